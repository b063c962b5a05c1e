// The equation of `lit_seq.cells.Leaky` with tanh and with ReLU.
#include "phi.h"
#include "recurrence.h"

namespace {

template <class Phi, class T> struct Leaky {
  static constexpr int kGates = 1, kSums = 1, kAhead = 0, kFirst = 0;
  static constexpr bool kCarries = true;
  const Affine<T>& a;
  const View<T>& rates;
  const View<T>& kept;  // φ of all steps
  const View<T> moved;  // dh ⊙ (φ - h_{t-1}), of which the gradient of the rates is the sum, if anybody asks

  INLINE Vector<T> rate(const At& at) const { return load((const T*)rates.at(at.trial, 0, 0) + at.unit, at.count); }

  INLINE Vector<T> earlier(const At& at) const {
    const View<T>& from = at.step ? a.h : a.h_0;
    return load((const T*)from.at(at.trial, std::max<int64_t>(at.step - 1, 0), at.row) + at.unit, at.count);
  }

  INLINE void expect(const At& at) const {
    kept.expect(at.trial, at.step, at.row, at.unit);
    a.h.expect(at.trial, at.step, at.row, at.unit);
  }

  INLINE void forward(const Vector<T>* sum, const At& at) const {
    const auto n = Phi::template value<T>(*sum), h = earlier(at);
    store(kept.at(at.trial, at.step, at.row) + at.unit, n, at.count);
    store(a.h.at(at.trial, at.step, at.row) + at.unit, h + rate(at) * (n - h), at.count);
  }

  INLINE Vector<T> backward(Vector<T> dh, T* delta, const At& at) const {
    const T* from = kept.at(at.trial, at.step, at.row) + at.unit;
    const auto n = load(from, at.count), dn = dh * rate(at);
    kept.prefetch_before(from);
    if (moved.data) store(moved.at(at.trial, at.step, at.row) + at.unit, dh * (n - earlier(at)), at.count);
    store(delta, Phi::template gradient<T>(dn, n), at.count);
    return dh - dn;
  }
};

template <class T> struct Forward {
  Affine<T> a;
  View<T> rates, kept;
};

template <class T> struct Backward {
  Affine<T> a;
  View<T> rates, kept;
  Gradients<T> g;
  View<T> moved;
};

template <class Phi, class T> void forward(const Sizes& s, const Forward<T>& f) {
  forward(s, f.a, Leaky<Phi, T>{f.a, f.rates, f.kept, {}});
}

template <class Phi, class T> void backward(const Sizes& s, const Backward<T>& b) {
  backward(s, b.a, b.g, Leaky<Phi, T>{b.a, b.rates, b.kept, b.moved});
}

}  // namespace

EXPORT(leaky_tanh_forward, forward<Tanh>, Forward)
EXPORT(leaky_tanh_backward, backward<Tanh>, Backward)
EXPORT(leaky_relu_forward, forward<Relu>, Forward)
EXPORT(leaky_relu_backward, backward<Relu>, Backward)
