// φ of the cells that have one, and its derivative by φ's value.
#pragma once

#include "vector.h"

struct Tanh {
  template <class T> static INLINE Vector<T> value(Vector<T> x) { return hyperbolic_tangent<T>(x); }
  template <class T> static INLINE Vector<T> gradient(Vector<T> d, Vector<T> y) { return d * (T(1) - y * y); }
};

// NaN passes both ways, as in torch.
struct Relu {
  template <class T> static INLINE Vector<T> value(Vector<T> x) { return x <= T(0) ? Vector<T>{} : x; }
  template <class T> static INLINE Vector<T> gradient(Vector<T> d, Vector<T> y) { return y <= T(0) ? Vector<T>{} : d; }
};
