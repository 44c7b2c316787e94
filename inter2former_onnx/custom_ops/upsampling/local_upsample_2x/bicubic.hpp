// Bicubic doubling (half-pixel centres, a = -0.75) and the three taps of a convolution along one axis, in one step.
//
// Sample o of the doubled axis lies a quarter of a source sample before (o = 2i) or behind (o = 2i + 1) source sample
// i, and takes the samples i - 2 .. i + 1 or i - 1 .. i + 2. So with products P_d of the source with tap d = 0, 1, 2 of
// the convolution, output samples 2i and 2i + 1 are sums over the taps of four samples each, all among i - 2 .. i + 2.
#pragma once

#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

// Weights of the samples i - 1 .. i + 2 in sample 2i + 1 of the doubled axis; read backwards, of i - 2 .. i + 1 in
// sample 2i.
constexpr float kBehind[4] = {-27.0f / 256.0f, 225.0f / 256.0f, 67.0f / 256.0f, -9.0f / 256.0f};

// A pair of output vectors.
struct Pair {
  Vec even;
  Vec odd;
};

// Output samples 2i and 2i + 1, where at(d, k) is the vector of P_d at source sample i + k, -2 <= k <= 2, replicated
// beyond the border. First: i is the first sample, where tap 0 of sample 2i reaches the zero padding of the
// convolution. Last: tap 2 of sample 2i + 1 does so.
template <bool First, bool Last, class At>
I2F_INLINE Pair double_and_convolve(const At& at) {
  Vec w[4];
  I2F_UNROLL
  for (int k = 0; k < 4; ++k) w[k] = set(kBehind[k]);
  Pair y = {zero(), zero()};
  // Tap 0 takes doubled samples 2i - 1 and 2i, tap 1 takes 2i and 2i + 1, tap 2 takes 2i + 1 and 2i + 2.
  I2F_UNROLL
  for (int k = 0; k < 4; ++k) {
    const Vec x = at(0, k - 2);
    if (!First) y.even = fma(w[k], x, y.even);
    y.odd = fma(w[3 - k], x, y.odd);
  }
  I2F_UNROLL
  for (int k = 0; k < 5; ++k) {
    const Vec x = at(1, k - 2);
    if (k < 4) y.even = fma(w[3 - k], x, y.even);
    if (k > 0) y.odd = fma(w[k - 1], x, y.odd);
  }
  I2F_UNROLL
  for (int k = 0; k < 4; ++k) {
    const Vec x = at(2, k - 1);
    y.even = fma(w[k], x, y.even);
    if (!Last) y.odd = fma(w[3 - k], x, y.odd);
  }
  return y;
}

}  // namespace
}  // namespace I2F_ISA
}  // namespace i2f
