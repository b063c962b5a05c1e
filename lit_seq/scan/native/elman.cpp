// The equation of `lit_seq.cells.Elman` with tanh and with ReLU.
#include "phi.h"
#include "recurrence.h"

namespace {

template <class Phi, class T> struct Elman {
  static constexpr int kGates = 1, kSums = 1, kAhead = 0, kFirst = 0;
  static constexpr bool kCarries = false;
  const View<T>& h;

  INLINE void expect(const At& at) const { h.expect(at.trial, at.step, at.row, at.unit); }

  INLINE void forward(const Vector<T>* sum, const At& at) const {
    store(h.at(at.trial, at.step, at.row) + at.unit, Phi::template value<T>(*sum), at.count);
  }

  INLINE Vector<T> backward(Vector<T> dh, T* delta, const At& at) const {
    const T* y = h.at(at.trial, at.step, at.row) + at.unit;
    store(delta, Phi::template gradient<T>(dh, load(y, at.count)), at.count);
    return dh;
  }
};

template <class T> struct Backward {
  Affine<T> a;
  Gradients<T> g;
};

template <class Phi, class T> void forward(const Sizes& s, const Affine<T>& a) {
  forward(s, a, Elman<Phi, T>{a.h});
}

template <class Phi, class T> void backward(const Sizes& s, const Backward<T>& b) {
  backward(s, b.a, b.g, Elman<Phi, T>{b.a.h});
}

}  // namespace

EXPORT(elman_tanh_forward, forward<Tanh>, Affine)
EXPORT(elman_tanh_backward, backward<Tanh>, Backward)
EXPORT(elman_relu_forward, forward<Relu>, Affine)
EXPORT(elman_relu_backward, backward<Relu>, Backward)
