// Vectors of the width that the compiler's target has, and the gates' functions on them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
constexpr int kBytes = 64;
constexpr const char* kInstructions = "AVX-512";
#elif defined(__AVX2__)
constexpr int kBytes = 32;
constexpr const char* kInstructions = "AVX2";
#elif defined(__AVX__)
constexpr int kBytes = 32;
constexpr const char* kInstructions = "AVX";
#else
constexpr int kBytes = 16;
constexpr const char* kInstructions = "128-bit vectors";
#endif

#define INLINE inline __attribute__((always_inline))

template <class T> struct Lanes;

template <> struct Lanes<float> {
  typedef float Vector __attribute__((vector_size(kBytes)));
  typedef int32_t Bits __attribute__((vector_size(kBytes)));
  static constexpr int32_t kBias = 127, kMantissa = 23;
  static constexpr float kRound = 12582912.0f;  // 1.5 · 2^23: adding it rounds to an integer
  static constexpr float kLowest = -88.0f, kHighest = 89.0f;  // e^x is 0 and infinite there
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  // (e^r - 1 - r) / r², fitted at Chebyshev's nodes of |r| ≤ ln 2 / 2
  static constexpr float kSeries[] = {0.5f, 0.1666657030582428f, 0.04166654497385025f,
                                      0.008364380337297916f, 0.0013927684631198645f};
};

template <> struct Lanes<double> {
  typedef double Vector __attribute__((vector_size(kBytes)));
  typedef int64_t Bits __attribute__((vector_size(kBytes)));
  static constexpr int64_t kBias = 1023, kMantissa = 52;
  static constexpr double kRound = 6755399441055744.0;
  static constexpr double kLowest = -709.3, kHighest = 710.0;
  static constexpr double kLn2High = 6.93145751953125e-1, kLn2Low = 1.42860682030941723212e-6;
  // Taylor's 1/2!, 1/3!, …
  static constexpr double kSeries[] = {1.0 / 2,         1.0 / 6,          1.0 / 24,         1.0 / 120,
                                       1.0 / 720,       1.0 / 5040,       1.0 / 40320,      1.0 / 362880,
                                       1.0 / 3628800.0, 1.0 / 39916800.0, 1.0 / 479001600.0, 1.0 / 6227020800.0};
};

template <class T> using Vector = typename Lanes<T>::Vector;
template <class T> constexpr int kWidth = kBytes / sizeof(T);

template <class T> INLINE Vector<T> load(const T* from) {
  Vector<T> x;
  std::memcpy(&x, from, kBytes);
  return x;
}

template <class T> INLINE void store(T* to, Vector<T> x) { std::memcpy(to, &x, kBytes); }

// The last units of a row may be fewer than a vector holds: `count` of them, the others read as 0.
template <class T> INLINE Vector<T> load(const T* from, int64_t count) {
  if (__builtin_expect(count >= kWidth<T>, 1)) return load(from);
  Vector<T> x = {};
  for (int64_t i = 0; i < count; ++i) x[i] = from[i];
  return x;
}

template <class T> INLINE void store(T* to, Vector<T> x, int64_t count) {
  if (__builtin_expect(count >= kWidth<T>, 1)) return store(to, x);
  for (int64_t i = 0; i < count; ++i) to[i] = x[i];
}

// e^x = scale · (1 + rest). Comparisons are written so that NaN passes through.
template <class T> struct Exponential {
  Vector<T> scale, rest;
};

template <class T> INLINE Exponential<T> exponential(Vector<T> x, T lowest, T highest) {
  using L = Lanes<T>;
  x = x < lowest ? lowest - Vector<T>{} : x;
  x = x > highest ? highest - Vector<T>{} : x;
  const Vector<T> shifted = x * T(1.4426950408889634) + L::kRound, n = shifted - L::kRound;
  const Vector<T> r = (x - n * L::kLn2High) - n * L::kLn2Low;
  constexpr int terms = sizeof(L::kSeries) / sizeof(T);
  Vector<T> sum = L::kSeries[terms - 1] - Vector<T>{};
#pragma GCC unroll 16
  for (int i = terms - 2; i >= 0; --i) sum = sum * r + L::kSeries[i];
  const typename L::Bits exponent = (typename L::Bits)shifted + L::kBias;
  return {(Vector<T>)(exponent << L::kMantissa), r * r * sum + r};
}

// 1 / (1 + e^-x); exactly 0 and 1 at -∞ and ∞, by which padding closes and opens gates
template <class T> INLINE Vector<T> sigmoid(Vector<T> x) {
  const auto e = exponential<T>(-x, Lanes<T>::kLowest, Lanes<T>::kHighest);
  // As a product: where the scale is infinite and the rest below 0, their sum would be no number.
  return T(1) / (T(1) + e.scale * (T(1) + e.rest));
}

// (e^2x - 1) / (e^2x + 1), with e^2x - 1 exact to the last bits at small x too
template <class T> INLINE Vector<T> hyperbolic_tangent(Vector<T> x) {
  const auto e = exponential<T>(x + x, T(-40), T(40));
  const Vector<T> less_one = e.scale * e.rest + (e.scale - T(1));
  return less_one / (less_one + T(2));
}
