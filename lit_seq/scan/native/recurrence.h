// The passes along time that all cells share. A cell has
//   kGates: blocks of its parameters; kSums: pre-activations a unit has;
//   kAhead: the place among them where U h is added, W x + b being added from place 0;
//   kFirst: the gate that W x + b has at place 0, the others following cyclically;
//   kCarries: dh_{t-1} has a part that does not go through U;
//   expect(at): fetch what forward will write;
//   forward(sums, at): compute and store a vector of units; backward(dh, delta, at): store δ at each place,
//   as many elements apart as there are hidden units, and return the part that kCarries tells of.
#pragma once

#include "product.h"

// Which vector of units is at hand: the first of them, and how many there are from it to the last.
struct At {
  int64_t trial, step, row, unit, count;
};

template <class T> struct Affine {
  View<T> x, weight_input, bias, weight, h_0, h;
};

// grad_last becomes the gradient of h_0; grad_x.data is null if nobody asks for it.
template <class T> struct Gradients {
  View<T> grad_h, grad_last, grad_x, grad_weight_input, grad_bias, grad_weight;
};

template <class Cell, class T> Packed<T> pack_forward(const Sizes& s, const Affine<T>& a) {
  const int64_t units = Cell::kSums == 1 ? block_width(vectors_for<T>(s.hidden)) : 1;
  const int64_t blocks = (vectors_for<T>(s.hidden) + units - 1) / units;
  // rows: b, Wᵀ, Uᵀ
  return {s, blocks, 1 + s.inputs + s.hidden, Cell::kGates * units,
          [&, units](int64_t trial, int64_t block, int64_t row, int64_t v) {
            const bool recurrent = row > s.inputs;
            const int64_t gate = (v / units + (recurrent ? 0 : Cell::kFirst)) % Cell::kGates;
            const int64_t unit = (block * units + v % units) * kWidth<T>;
            const View<T>& from = recurrent ? a.weight : a.weight_input;
            Vector<T> x = {};
            for (int64_t i = 0; i < std::min<int64_t>(kWidth<T>, s.hidden - unit); ++i) {
              const int64_t of = gate * s.hidden + unit + i;
              if (row > 0)
                x[i] = from.at(trial, 0, of)[row - 1 - (recurrent ? s.inputs : 0)];
              else if (a.bias.data)
                x[i] = a.bias.at(trial, 0, 0)[of];
            }
            return x;
          }};
}

template <class Cell, class T> void forward(const Sizes& s, const Affine<T>& a, const Cell& cell) {
  const Packed<T> weights = pack_forward<Cell>(s, a);
  const int64_t vectors = weights.vectors, units = vectors / Cell::kGates, width = Cell::kSums * units;
  for_panels(s, [&](const Panel& p) {
    Vector<T> sum[kRows * 4];
    for (int64_t t = 0; t < s.time; ++t) {
      const View<T>& before = t ? a.h : a.h_0;
      for (int64_t block = 0; block < weights.blocks; ++block)
        for_tiles(p.first, p.end, [&](int64_t first, int64_t rows) {
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t v = 0; v < units; ++v) {
              const int64_t unit = (block * units + v) * kWidth<T>;
              if (unit < s.hidden) cell.expect(At{p.trial, t, first + r, unit, s.hidden - unit});
            }
          const Vector<T>* w = weights.at(p.trial, block);
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t v = 0; v < width; ++v) sum[r * width + v] = v < vectors ? w[v] : Vector<T>{};
          const T *W = (const T*)(w + vectors), *U = (const T*)(w + vectors * (1 + s.inputs));
          const int64_t next = vectors * kWidth<T>;
          multiply<T>(rows, vectors, sum, width, a.x.at(p.trial, t, first), a.x.row, 1, W, next, s.inputs);
          multiply<T>(rows, vectors, sum + Cell::kAhead * units, width,
                      before.at(p.trial, std::max<int64_t>(t - 1, 0), first), before.row, 1, U, next, s.hidden);
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t v = 0; v < units; ++v) {
              const int64_t unit = (block * units + v) * kWidth<T>;
              if (unit < s.hidden) cell.forward(sum + r * width + v, At{p.trial, t, first + r, unit, s.hidden - unit});
            }
        });
    }
  });
}

// A matrix itself, for δ W and δ U, its gates in the order of the places of δ.
template <class Cell, class T>
Packed<T> pack_backward(const Sizes& s, const View<T>& weight, int64_t columns, int64_t first) {
  const int64_t vectors = block_width(vectors_for<T>(columns));
  return {s, (vectors_for<T>(columns) + vectors - 1) / vectors, Cell::kGates * s.hidden, vectors,
          [&, vectors, columns, first](int64_t trial, int64_t block, int64_t row, int64_t v) {
            const int64_t from = (row + first * s.hidden) % (Cell::kGates * s.hidden);
            const int64_t column = (block * vectors + v) * kWidth<T>;
            return load((const T*)weight.at(trial, 0, from) + column, columns - column);
          }};
}

// What a panel keeps of the latest steps until they are added to the gradients of the weights.
template <class Cell, class T> class Recent {
 public:
  const int64_t rows, steps;    // as many steps as make a product deep enough to be worth reading its total
  const int64_t row, seen_row;  // one vector more than needed, against conflicts in the cache

  Recent(const Sizes& s, int64_t rows)
      : rows(rows),
        steps(std::min(s.time, (kDepth + rows - 1) / rows)),
        row((vectors_for<T>(Cell::kSums * s.hidden) + 1) * kWidth<T>),
        seen_row((vectors_for<T>(s.hidden) + vectors_for<T>(s.inputs) + 1) * kWidth<T>),
        delta_(new Vector<T>[steps * rows * row / kWidth<T>]()),
        seen_(new Vector<T>[steps * rows * seen_row / kWidth<T>]()) {}

  // δ_t of a panel's row, and h_{t-1} and x_t beside each other; rows of the steps follow one another
  T* delta(int64_t place, int64_t r) const { return (T*)delta_.get() + (place * rows + r) * row; }
  T* seen(int64_t place, int64_t r) const { return (T*)seen_.get() + (place * rows + r) * seen_row; }
 private:
  static constexpr int64_t kDepth = 4 * Panel::kMost;
  const Vectors<T> delta_, seen_;
};

// total (rows × vectors) += Σ δᵀ seen
template <class T>
void add_products(Vector<T>* total, int64_t rows, int64_t vectors, const T* delta, int64_t delta_row, const T* seen,
                  int64_t seen_row, int64_t depth) {
  const int64_t width = block_width(vectors);
  for (int64_t from = 0; from < vectors; from += width)
    for_tiles(0, rows, [&](int64_t first, int64_t count) {
      multiply<T>(count, std::min(width, vectors - from), total + first * vectors + from, vectors, delta + first, 1,
                  delta_row, seen + from * kWidth<T>, seen_row, depth);
    });
}

template <class T>
void reduce(const Sizes& s, const Vectors<T>& totals, int64_t rows, int64_t vectors, int64_t first, const View<T>& to,
            int64_t columns) {
  const int64_t panels = Panel::count(s);
#pragma omp parallel for num_threads(s.threads)
  for (int64_t item = 0; item < s.trials * rows; ++item) {
    const int64_t trial = item / rows, row = item % rows;
    for (int64_t v = 0; v < vectors; ++v) {
      Vector<T> sum = {};
      for (int64_t p = 0; p < panels; ++p) sum += totals[((trial * panels + p) * rows + row) * vectors + v];
      store(to.at(trial, 0, (row + first * s.hidden) % rows) + v * kWidth<T>, sum, columns - v * kWidth<T>);
    }
  }
}

template <class Cell, class T>
void backward(const Sizes& s, const Affine<T>& a, const Gradients<T>& g, const Cell& cell) {
  const Packed<T> recurrent = pack_backward<Cell>(s, a.weight, s.hidden, 0);
  const Packed<T> input = pack_backward<Cell>(s, a.weight_input, s.inputs, Cell::kFirst);
  const int64_t width = Cell::kGates * s.hidden, ahead = Cell::kAhead * s.hidden;
  const int64_t of_h = vectors_for<T>(s.hidden), of_x = vectors_for<T>(s.inputs), of_b = vectors_for<T>(width);
  const int64_t panels = s.trials * Panel::count(s);
  const Vectors<T> total_h(new Vector<T>[panels * width * of_h]), total_x(new Vector<T>[panels * width * of_x]);
  const Vectors<T> total_b(new Vector<T>[panels * of_b]);
  for_panels(s, [&](const Panel& p) {
    const int64_t index = p.trial * Panel::count(s) + p.index;
    Vector<T>*to_h = &total_h[index * width * of_h], *to_x = &total_x[index * width * of_x];
    Vector<T>*to_b = &total_b[index * of_b], sum[kRows * 4];
    std::fill_n(to_h, width * of_h, Vector<T>{});
    std::fill_n(to_x, width * of_x, Vector<T>{});
    std::fill_n(to_b, of_b, Vector<T>{});
    const Recent<Cell, T> kept(s, p.end - p.first);
    for (int64_t t = s.time - 1; t >= -1; --t) {
      const int64_t place = (s.time - 1 - t) % kept.steps, last = (place + kept.steps - 1) % kept.steps;
      for (int64_t block = 0; block < recurrent.blocks; ++block)
        for_tiles(p.first, p.end, [&](int64_t first, int64_t rows) {
          const int64_t vectors = recurrent.vectors;
          std::fill_n(sum, rows * vectors, Vector<T>{});
          if (t + 1 < s.time)
            multiply<T>(rows, vectors, sum, vectors, kept.delta(last, first - p.first) + ahead, kept.row, 1,
                        (const T*)recurrent.at(p.trial, block), vectors * kWidth<T>, width);
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t v = 0; v < vectors; ++v) {
              const int64_t unit = (block * vectors + v) * kWidth<T>, count = s.hidden - unit;
              if (count <= 0) break;
              Vector<T> dh = sum[r * vectors + v];
              T* carried = g.grad_last.at(p.trial, 0, first + r) + unit;
              if (t + 1 == s.time || Cell::kCarries) dh += load((const T*)carried, count);
              if (t >= 0) {
                const T* incoming = g.grad_h.at(p.trial, t, first + r) + unit;
                g.grad_h.prefetch_before(incoming);
                dh += load(incoming, count);
                dh = cell.backward(dh, kept.delta(place, first + r - p.first) + unit,
                                   At{p.trial, t, first + r, unit, count});
              }
              if (t < 0 || Cell::kCarries) store(carried, dh, count);
            }
        });
      if (t < 0) break;
      for (int64_t r = 0; r < kept.rows; ++r) {
        const View<T>& before = t ? a.h : a.h_0;
        const T* h = before.at(p.trial, std::max<int64_t>(t - 1, 0), p.first + r);
        const T* x = a.x.at(p.trial, t, p.first + r);
        std::copy_n(h, s.hidden, kept.seen(place, r));
        std::copy_n(x, s.inputs, kept.seen(place, r) + of_h * kWidth<T>);
        for (int64_t unit = 0; unit < s.hidden; unit += kWidth<T>) before.prefetch_before(h + unit);
        for (int64_t i = 0; i < s.inputs; i += kWidth<T>) a.x.prefetch_before(x + i);
      }
      if (g.grad_x.data)
        for (int64_t block = 0; block < input.blocks; ++block)
          for_tiles(0, kept.rows, [&](int64_t first, int64_t rows) {
            const int64_t vectors = input.vectors;
            std::fill_n(sum, rows * vectors, Vector<T>{});
            multiply<T>(rows, vectors, sum, vectors, kept.delta(place, first), kept.row, 1,
                        (const T*)input.at(p.trial, block), vectors * kWidth<T>, width);
            for (int64_t r = 0; r < rows; ++r)
              for (int64_t v = 0; v < vectors; ++v) {
                const int64_t column = (block * vectors + v) * kWidth<T>;
                if (column < s.inputs)
                  store(g.grad_x.at(p.trial, t, p.first + first + r) + column, sum[r * vectors + v],
                        s.inputs - column);
              }
          });
      if (place + 1 < kept.steps && t) continue;
      const int64_t depth = (place + 1) * kept.rows;
      const T *delta = kept.delta(0, 0), *seen = kept.seen(0, 0);
      add_products<T>(to_h, width, of_h, delta + ahead, kept.row, seen, kept.seen_row, depth);
      add_products<T>(to_x, width, of_x, delta, kept.row, seen + of_h * kWidth<T>, kept.seen_row, depth);
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t v = 0; v < of_b; ++v) to_b[v] += load(delta + k * kept.row + v * kWidth<T>);
    }
  });
  reduce(s, total_h, width, of_h, 0, g.grad_weight, s.hidden);
  reduce(s, total_x, width, of_x, Cell::kFirst, g.grad_weight_input, s.inputs);
  const int64_t count = Panel::count(s);
  for (int64_t trial = 0; trial < s.trials; ++trial)
    for (int64_t i = 0; i < width; ++i) {
      T sum = 0;
      for (int64_t q = 0; q < count; ++q) sum += ((const T*)&total_b[(trial * count + q) * of_b])[i];
      g.grad_bias.at(trial, 0, 0)[(i + Cell::kFirst * s.hidden) % width] = sum;
    }
}
