// One vector type `Vec` of kLanes floats for the instruction set this file is compiled for, and the mathematics on it.
//
// CMake compiles every kernel source once per instruction set with I2F_ISA naming a namespace (baseline, avx2, avx512,
// neon) and I2F_ISA_<NAME> defined. Everything here and in the kernels lives in that namespace, so the copies never
// meet.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "native/macros.hpp"

#if defined(I2F_ISA_AVX512)
#include "native/simd/avx512.hpp"
#elif defined(I2F_ISA_AVX2)
#include "native/simd/avx2.hpp"
#elif defined(I2F_ISA_BASELINE)
#include "native/simd/sse2.hpp"
#elif defined(I2F_ISA_NEON)
#include "native/simd/neon.hpp"
#else
#error "no instruction set chosen: compile through CMakeLists.txt"
#endif

namespace i2f {
namespace I2F_ISA {

I2F_INLINE int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
I2F_INLINE int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }
I2F_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
I2F_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// load_n and store_n where n is often kLanes or more, which needs no mask.
I2F_INLINE Vec load_up_to(const float* p, int64_t n) { return n >= kLanes ? load(p) : load_n(p, n); }
I2F_INLINE void store_up_to(float* p, Vec a, int64_t n) {
  if (n >= kLanes) {
    store(p, a);
  } else {
    store_n(p, a, n);
  }
}

constexpr float kLog2E = 1.44269504f;

// e^x, relative error below 2e-7. Zero below -87.33 (results that would be subnormal), infinity above 88.72, NaN for
// NaN.
I2F_INLINE Vec exp(Vec x) {
  const Vec lowest = set(-87.33654f);
  const Vec highest = set(88.72283f);
  // The order of the arguments lets a NaN through.
  const Vec y = min(highest, max(lowest, x));
  const Vec n = round_nearest(y * set(kLog2E));
  // ln 2 in two parts: n * 0.693359375 is exact.
  Vec r = fnma(n, set(0.693359375f), y);
  r = fnma(n, set(-2.12194440e-4f), r);
  Vec p = set(0.00138368441f);
  p = fma(p, r, set(0.00837481733f));
  p = fma(p, r, set(0.0416682257f));
  p = fma(p, r, set(0.166664202f));
  p = fma(p, r, set(0.499999921f));
  p = fma(p, r, set(1.00000004f));
  p = fma(p, r, set(1.0f));
  const Vec result = select(less(x, lowest), zero(), scale_power_of_two(p, n));
  return select(less(highest, x), set(INFINITY), result);
}

// 2^y for y <= 127, relative error below 2e-7 beside the rounding of y itself; at least 2^-126, however small y is (the
// shifted terms of a softmax: one term is near 1, so that floor is nothing). NaN for NaN.
I2F_INLINE Vec exp2_of_score(Vec y) {
  y = max(set(-126.0f), y);
  const Vec n = round_nearest(y);
  const Vec f = y - n;
  Vec p = set(0.0013276472f);
  p = fma(p, f, set(0.00967554133f));
  p = fma(p, f, set(0.0555071327f));
  p = fma(p, f, set(0.240221197f));
  p = fma(p, f, set(0.693146967f));
  p = fma(p, f, set(1.00000007f));
  return scale_power_of_two(p, n);
}

}  // namespace I2F_ISA
}  // namespace i2f
