// The equations of `lit_seq.cells.GRU`, with u_t = U_n h_{t-1}. Places: W_n x_t + b_n, r, z, u.
#include "recurrence.h"

namespace {

template <class T> struct GRU {
  static constexpr int kGates = 3, kSums = 4, kAhead = 1, kFirst = 2;
  static constexpr bool kCarries = true;
  const Affine<T>& a;
  const View<T>& kept;  // n, r, z, u side by side
  const int64_t hidden;

  INLINE Vector<T> earlier(const At& at) const {
    const View<T>& from = at.step ? a.h : a.h_0;
    return load((const T*)from.at(at.trial, std::max<int64_t>(at.step - 1, 0), at.row) + at.unit, at.count);
  }

  INLINE void expect(const At& at) const {
    for (int gate = 0; gate < 4; ++gate) kept.expect(at.trial, at.step, at.row, at.unit + gate * hidden);
    a.h.expect(at.trial, at.step, at.row, at.unit);
  }

  INLINE void forward(const Vector<T>* sum, const At& at) const {
    const auto r = sigmoid<T>(sum[1]), z = sigmoid<T>(sum[2]), u = sum[3];
    const auto n = hyperbolic_tangent<T>(sum[0] + r * u);
    T* to = kept.at(at.trial, at.step, at.row) + at.unit;
    store(to, n, at.count);
    store(to + hidden, r, at.count);
    store(to + 2 * hidden, z, at.count);
    store(to + 3 * hidden, u, at.count);
    store(a.h.at(at.trial, at.step, at.row) + at.unit, n + z * (earlier(at) - n), at.count);
  }

  INLINE Vector<T> backward(Vector<T> dh, T* delta, const At& at) const {
    const T* from = kept.at(at.trial, at.step, at.row) + at.unit;
    const auto n = load(from, at.count), r = load(from + hidden, at.count);
    const auto z = load(from + 2 * hidden, at.count), u = load(from + 3 * hidden, at.count);
    for (int place = 0; place < 4; ++place) kept.prefetch_before(from + place * hidden);
    const auto dn = (dh - dh * z) * (T(1) - n * n);
    store(delta, dn, at.count);
    store(delta + hidden, dn * u * r * (T(1) - r), at.count);
    store(delta + 2 * hidden, dh * (earlier(at) - n) * z * (T(1) - z), at.count);
    store(delta + 3 * hidden, dn * r, at.count);
    return dh * z;
  }
};

template <class T> struct Forward {
  Affine<T> a;
  View<T> kept;
};

template <class T> struct Backward {
  Affine<T> a;
  View<T> kept;
  Gradients<T> g;
};

template <class T> void forward(const Sizes& s, const Forward<T>& f) {
  forward(s, f.a, GRU<T>{f.a, f.kept, s.hidden});
}

template <class T> void backward(const Sizes& s, const Backward<T>& b) {
  backward(s, b.a, b.g, GRU<T>{b.a, b.kept, s.hidden});
}

}  // namespace

EXPORT(gru_forward, forward, Forward)
EXPORT(gru_backward, backward, Backward)
