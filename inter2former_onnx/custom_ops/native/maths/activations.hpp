// Activations: sigmoid, SiLU and GELU.
#pragma once

#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

I2F_INLINE Vec sigmoid(Vec x) { return set(1.0f) / (set(1.0f) + exp(zero() - x)); }
I2F_INLINE Vec silu(Vec x) { return x * sigmoid(x); }

// SiLU for results that are added up by the million: x / (1 + e^-x) with one division and without the special cases of
// exp. The relative error is about 1e-7 max(2, -x) down to x = -87; further down, where the result is within 1e-36 of
// zero, it is x 2^-126. NaN for NaN, infinity for infinity; minus infinity, for which there should be a NaN, stays what
// it is.
I2F_INLINE Vec fast_silu(Vec x) {
  // The order of the arguments lets a NaN through.
  const Vec power = min(set(126.0f), x * set(-kLog2E));
  return x / (set(1.0f) + exp2_of_score(power));
}

// erf(x) to a few units in the last place: an odd rational function on [-4, 4], beyond which float32 knows only +-1.
I2F_INLINE Vec erf(Vec x) {
  // The order of the arguments lets a NaN through.
  const Vec y = min(set(4.0f), max(set(-4.0f), x));
  const Vec square = y * y;
  Vec p = set(-2.72614225801306e-10f);
  p = fma(p, square, set(2.77068142495902e-08f));
  p = fma(p, square, set(-2.10102402082508e-06f));
  p = fma(p, square, set(-5.69250639462346e-05f));
  p = fma(p, square, set(-7.34990630326855e-04f));
  p = fma(p, square, set(-2.95459980854025e-03f));
  p = fma(p, square, set(-1.60960333262415e-02f));
  Vec q = set(-1.45660718464996e-05f);
  q = fma(q, square, set(-2.13374055278905e-04f));
  q = fma(q, square, set(-1.68282697438203e-03f));
  q = fma(q, square, set(-7.37332916720468e-03f));
  q = fma(q, square, set(-1.42647390514189e-02f));
  return y * p / q;
}

// x/2 (1 + erf(x / sqrt 2)): GELU with the error function itself, not its tanh approximation.
I2F_INLINE Vec gelu(Vec x) {
  const Vec half = x * set(0.5f);
  return fma(half, erf(x * set(0.707106781f)), half);
}

}  // namespace I2F_ISA
}  // namespace i2f
