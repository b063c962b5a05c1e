// The equations of `lit_seq.cells.LSTM` without peepholes.
#include "recurrence.h"

namespace {

// c_0, gates i, f, g, o behind their functions, and c of all steps
template <class T> struct Kept {
  View<T> c_0, gates, c;
};

template <class T> struct LSTM {
  static constexpr int kGates = 4, kSums = 4, kAhead = 0, kFirst = 0;
  static constexpr bool kCarries = false;
  const View<T>& h;
  const Kept<T>& kept;
  const View<T> grad_c;  // of the last c; becomes that of c_0
  const int64_t hidden;

  INLINE Vector<T> earlier(const At& at) const {
    const View<T>& from = at.step ? kept.c : kept.c_0;
    return load((const T*)from.at(at.trial, std::max<int64_t>(at.step - 1, 0), at.row) + at.unit, at.count);
  }

  INLINE void expect(const At& at) const {
    for (int gate = 0; gate < 4; ++gate) kept.gates.expect(at.trial, at.step, at.row, at.unit + gate * hidden);
    kept.c.expect(at.trial, at.step, at.row, at.unit);
    h.expect(at.trial, at.step, at.row, at.unit);
  }

  INLINE void forward(const Vector<T>* sum, const At& at) const {
    const auto i = sigmoid<T>(sum[0]), f = sigmoid<T>(sum[1]), g = hyperbolic_tangent<T>(sum[2]);
    const auto o = sigmoid<T>(sum[3]), c = f * earlier(at) + i * g;
    T* gates = kept.gates.at(at.trial, at.step, at.row) + at.unit;
    store(gates, i, at.count);
    store(gates + hidden, f, at.count);
    store(gates + 2 * hidden, g, at.count);
    store(gates + 3 * hidden, o, at.count);
    store(kept.c.at(at.trial, at.step, at.row) + at.unit, c, at.count);
    store(h.at(at.trial, at.step, at.row) + at.unit, o * hyperbolic_tangent<T>(c), at.count);
  }

  INLINE Vector<T> backward(Vector<T> dh, T* delta, const At& at) const {
    const T* gates = kept.gates.at(at.trial, at.step, at.row) + at.unit;
    const auto i = load(gates, at.count), f = load(gates + hidden, at.count);
    const auto g = load(gates + 2 * hidden, at.count), o = load(gates + 3 * hidden, at.count);
    const T* c = kept.c.at(at.trial, at.step, at.row) + at.unit;
    for (int gate = 0; gate < 4; ++gate) kept.gates.prefetch_before(gates + gate * hidden);
    kept.c.prefetch_before(c - kept.c.step);
    const auto tanh_c = hyperbolic_tangent<T>(load(c, at.count));
    T* carried = grad_c.at(at.trial, 0, at.row) + at.unit;
    const auto dc = load((const T*)carried, at.count) + dh * o * (T(1) - tanh_c * tanh_c);
    store(delta, dc * g * i * (T(1) - i), at.count);
    store(delta + hidden, dc * earlier(at) * f * (T(1) - f), at.count);
    store(delta + 2 * hidden, dc * i * (T(1) - g * g), at.count);
    store(delta + 3 * hidden, dh * tanh_c * o * (T(1) - o), at.count);
    store(carried, dc * f, at.count);
    return dh;
  }
};

template <class T> struct Forward {
  Affine<T> a;
  Kept<T> kept;
};

template <class T> struct Backward {
  Affine<T> a;
  Kept<T> kept;
  Gradients<T> g;
  View<T> grad_c;
};

template <class T> void forward(const Sizes& s, const Forward<T>& f) {
  forward(s, f.a, LSTM<T>{f.a.h, f.kept, {}, s.hidden});
}

template <class T> void backward(const Sizes& s, const Backward<T>& b) {
  backward(s, b.a, b.g, LSTM<T>{b.a.h, b.kept, b.grad_c, s.hidden});
}

}  // namespace

EXPORT(lstm_forward, forward, Forward)
EXPORT(lstm_backward, backward, Backward)
