// What the recurrences share: views of torch's tensors, packed weights, the product on registers, panels.
#pragma once

#include <algorithm>
#include <memory>

#include "vector.h"

struct Sizes {
  int64_t trials, time, batch, inputs, hidden, threads;
};

// (trials, time, batch, features) with features contiguous; a missing or expanded dimension has stride 0.
template <class T> struct View {
  T* data;
  int64_t trial, step, row;
  T* at(int64_t k, int64_t t, int64_t b) const { return data + k * trial + t * step + b * row; }

  // Fetch what will be written: otherwise each store into fresh memory waits for its line. GCC takes a function
  // that only fetches for one without effect, and drops its calls unless all are inlined.
  INLINE void expect(int64_t k, int64_t t, int64_t b, int64_t i) const { __builtin_prefetch(at(k, t, b) + i, 1, 3); }

  // Fetch what the backward pass reads one step later: going back in time, the processor does not foresee it.
  INLINE void prefetch_before(const T* at) const { __builtin_prefetch(at - step, 0, 2); }
};

template <class T> using Vectors = std::unique_ptr<Vector<T>[]>;

template <class T> INLINE int64_t vectors_for(int64_t count) { return (count + kWidth<T> - 1) / kWidth<T>; }

// Rows first … end of one trial: what one thread takes through all steps. They depend on the batch alone, so
// that no result depends on the number of trials or threads.
struct Panel {
  static constexpr int64_t kMost = 32;
  int64_t trial, index, first, end;

  static int64_t count(const Sizes& s) { return (s.batch + kMost - 1) / kMost; }
};

template <class Work> void for_panels(const Sizes& s, Work work) {
  const int64_t panels = Panel::count(s);
#pragma omp parallel for schedule(dynamic) num_threads(std::clamp<int64_t>(s.trials * panels, 1, s.threads))
  for (int64_t item = 0; item < s.trials * panels; ++item) {
    const int64_t p = item % panels;
    work(Panel{item / panels, p, s.batch * p / panels, s.batch * (p + 1) / panels});
  }
}

// Matrices of all trials in the order in which products read them: block of columns, row, vector of the block.
template <class T> class Packed {
 public:
  const int64_t blocks, vectors;

  // `fill(trial, block, row, v)` gives vector v of a block's row.
  template <class Fill>
  Packed(const Sizes& s, int64_t blocks, int64_t rows, int64_t vectors, Fill fill)
      : blocks(blocks), vectors(vectors), size_(rows * vectors), data_(new Vector<T>[s.trials * blocks * size_]) {
#pragma omp parallel for collapse(2) num_threads(std::min(s.threads, s.trials * blocks))
    for (int64_t trial = 0; trial < s.trials; ++trial)
      for (int64_t block = 0; block < blocks; ++block)
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t v = 0; v < vectors; ++v)
            data_[(trial * blocks + block) * size_ + row * vectors + v] = fill(trial, block, row, v);
  }

  const Vector<T>* at(int64_t trial, int64_t block) const {
    return data_.get() + (trial * blocks + block) * size_;
  }

 private:
  const int64_t size_;
  const Vectors<T> data_;
};

// How many of `count` vectors a block has, at most 4, so that little of the last block is padding.
inline int64_t block_width(int64_t count) {
  const int64_t blocks = (count + 3) / 4;
  return (count + blocks - 1) / blocks;
}

// Rows of a tile: with 4 vectors each, 24 of the 32 registers that AVX-512 and ARM have, or 12 of 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRows = 6;
#else
constexpr int kRows = 3;
#endif

// sum += a w, for R rows and V vectors. One order of additions for any R, so that a row's result does not
// depend on the rows around it. a(k, r) is at a[k * step + r * row].
template <int R, int V, class T>
void multiply(Vector<T>* sum, int64_t width, const T* a, int64_t row, int64_t step, const T* w, int64_t next,
              int64_t depth) {
  Vector<T> local[R][V];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) local[r][v] = sum[r * width + v];
  for (int64_t k = 0; k < depth; ++k, a += step, w += next) {
    Vector<T> column[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) column[v] = load(w + v * kWidth<T>);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const Vector<T> x = a[r * row] - Vector<T>{};
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) local[r][v] += x * column[v];
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[r * width + v] = local[r][v];
}

template <int V, class T, class... Rest> void multiply_rows(int64_t rows, Vector<T>* sum, Rest... rest) {
  switch (rows) {
    case 6: return multiply<6, V, T>(sum, rest...);
    case 5: return multiply<5, V, T>(sum, rest...);
    case 4: return multiply<4, V, T>(sum, rest...);
    case 3: return multiply<3, V, T>(sum, rest...);
    case 2: return multiply<2, V, T>(sum, rest...);
    case 1: return multiply<1, V, T>(sum, rest...);
  }
}

// The same for any number of rows up to kRows and vectors up to 4.
template <class T, class... Rest>
void multiply(int64_t rows, int64_t vectors, Vector<T>* sum, int64_t width, const T* a, Rest... rest) {
  switch (vectors) {
    case 4: return multiply_rows<4, T>(rows, sum, width, a, rest...);
    case 3: return multiply_rows<3, T>(rows, sum, width, a, rest...);
    case 2: return multiply_rows<2, T>(rows, sum, width, a, rest...);
    case 1: return multiply_rows<1, T>(rows, sum, width, a, rest...);
  }
}

// Call work(first, count) for tiles of about equal size.
template <class Work> INLINE void for_tiles(int64_t first, int64_t end, Work work) {
  const int64_t rows = end - first, tiles = (rows + kRows - 1) / kRows;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t from = rows * i / tiles;
    work(first + from, rows * (i + 1) / tiles - from);
  }
}

#define EXPORT(name, function, Arguments)                                                 \
  extern "C" void name##_float32(Sizes s, const Arguments<float>* a) { function(s, *a); } \
  extern "C" void name##_float64(Sizes s, const Arguments<double>* a) { function(s, *a); }
