// LayerNorm of one row in registers and the first-level cache.
#pragma once

#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

// out[i] = (x[i] - mean) / sqrt(variance + epsilon) * weight[i] + bias[i], i < n. `out` may be `x`.
I2F_INLINE void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, int64_t n,
                           float* out) {
  const int64_t whole = n / kLanes * kLanes;
  const int64_t rest = n - whole;
  // Two partial sums hide the latency of the additions.
  Vec sum0 = zero();
  Vec sum1 = zero();
  int64_t i = 0;
  for (; i + 2 * kLanes <= whole; i += 2 * kLanes) {
    sum0 = sum0 + load(x + i);
    sum1 = sum1 + load(x + i + kLanes);
  }
  for (; i < whole; i += kLanes) sum0 = sum0 + load(x + i);
  if (rest > 0) sum1 = sum1 + load_n(x + whole, rest);
  const float count = static_cast<float>(n);
  const float mean = sum(sum0 + sum1) / count;
  const Vec mean_v = set(mean);
  sum0 = zero();
  sum1 = zero();
  i = 0;
  for (; i + 2 * kLanes <= whole; i += 2 * kLanes) {
    const Vec d0 = load(x + i) - mean_v;
    const Vec d1 = load(x + i + kLanes) - mean_v;
    sum0 = fma(d0, d0, sum0);
    sum1 = fma(d1, d1, sum1);
  }
  for (; i < whole; i += kLanes) {
    const Vec d = load(x + i) - mean_v;
    sum0 = fma(d, d, sum0);
  }
  float squares = sum(sum0 + sum1);
  for (int64_t j = whole; j < n; ++j) {
    const float d = x[j] - mean;
    squares += d * d;
  }
  const Vec scale = set(1.0f / sqrtf(squares / count + epsilon));
  for (i = 0; i < whole; i += kLanes) {
    store(out + i, fma((load(x + i) - mean_v) * scale, load(weight + i), load(bias + i)));
  }
  if (rest > 0) {
    const Vec y =
        fma((load_n(x + whole, rest) - mean_v) * scale, load_n(weight + whole, rest), load_n(bias + whole, rest));
    store_n(out + whole, y, rest);
  }
}

// The parameters of a LayerNorm over `channels` channels.
struct LayerNorm {
  const float* weight;
  const float* bias;
  float epsilon;
  int64_t channels;

  I2F_INLINE void operator()(const float* x, float* out) const { layer_norm(x, weight, bias, epsilon, channels, out); }
};

}  // namespace I2F_ISA
}  // namespace i2f
