// GroupNorm with one group: mean and variance over a whole crop, and the affine map that they make of each channel.
#pragma once

#include "native/memory.hpp"
#include "native/ort/kernel.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

// Values whose sums are taken in single precision, in one visit to the first-level cache, and such parts of one task.
// Fixed, so that the result does not depend on the number of threads.
constexpr int64_t kPart = 4096;
constexpr int64_t kPartsOfTask = 16;

// Of some values: their sum and the sum of their squared distances from the mean.
struct Moments {
  double mean;
  double squares;
};

// Moments of n <= kPart values: first a mean, which need not be exact, then the sums of the distances from it.
inline Moments moments_of(const float* x, int64_t n) {
  const int64_t whole = n / (4 * kLanes) * (4 * kLanes);
  Vec sums[4] = {zero(), zero(), zero(), zero()};
  for (int64_t i = 0; i < whole; i += 4 * kLanes) {
    I2F_UNROLL
    for (int v = 0; v < 4; ++v) sums[v] = sums[v] + load(x + i + v * kLanes);
  }
  float total = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (int64_t i = whole; i < n; ++i) total += x[i];
  const float shift = total / static_cast<float>(n);

  const Vec shift_v = set(shift);
  Vec squares[4] = {zero(), zero(), zero(), zero()};
  for (Vec& s : sums) s = zero();
  for (int64_t i = 0; i < whole; i += 4 * kLanes) {
    I2F_UNROLL
    for (int v = 0; v < 4; ++v) {
      const Vec d = load(x + i + v * kLanes) - shift_v;
      sums[v] = sums[v] + d;
      squares[v] = fma(d, d, squares[v]);
    }
  }
  double distance = static_cast<double>(sum((sums[0] + sums[1]) + (sums[2] + sums[3])));
  double square = static_cast<double>(sum((squares[0] + squares[1]) + (squares[2] + squares[3])));
  for (int64_t i = whole; i < n; ++i) {
    const double d = static_cast<double>(x[i]) - static_cast<double>(shift);
    distance += d;
    square += d * d;
  }
  const double count = static_cast<double>(n);
  return {static_cast<double>(shift) + distance / count, square - distance * distance / count};
}

// Moments of n > 0 values: those of the parts, merged in double precision in the order of the parts.
inline Moments crop_moments(const Context& context, const float* x, int64_t n) {
  const int64_t parts = ceil_div(n, kPart);
  const Scratch scratch({bytes_of<Moments>(parts)});
  Moments* found = scratch.part<Moments>(0);
  context.parallel_for(ceil_div(parts, kPartsOfTask), [&](int64_t task) {
    const int64_t end = min_of((task + 1) * kPartsOfTask, parts);
    for (int64_t part = task * kPartsOfTask; part < end; ++part) {
      found[part] = moments_of(x + part * kPart, min_of(kPart, n - part * kPart));
    }
  });
  Moments all = {0.0, 0.0};
  double count = 0.0;
  for (int64_t part = 0; part < parts; ++part) {
    const double added = static_cast<double>(min_of(kPart, n - part * kPart));
    const double difference = found[part].mean - all.mean;
    all.mean += difference * added / (count + added);
    all.squares += found[part].squares + difference * difference * count * added / (count + added);
    count += added;
  }
  return all;
}

// y = (x - mean) * scale[c] + shift[c]. The difference comes first: folded into the shift, a mean that is large beside
// the deviation would cost the digits that matter.
struct GroupNorm {
  float mean;
  const float* scale;
  const float* shift;
};

// `scale` and `shift` have room for `channels` floats; x holds n > 0 values.
inline GroupNorm group_norm(const Context& context, const float* x, int64_t n, const float* weight, const float* bias,
                            int64_t channels, float epsilon, float* scale, float* shift) {
  const Moments moments = crop_moments(context, x, n);
  const double variance = moments.squares / static_cast<double>(n) + static_cast<double>(epsilon);
  const double factor = 1.0 / ::sqrt(variance);
  const float mean = static_cast<float>(moments.mean);
  const double rest = moments.mean - static_cast<double>(mean);
  for (int64_t c = 0; c < channels; ++c) {
    const double s = factor * static_cast<double>(weight[c]);
    scale[c] = static_cast<float>(s);
    shift[c] = static_cast<float>(static_cast<double>(bias[c]) - rest * s);
  }
  return {mean, scale, shift};
}

}  // namespace
}  // namespace I2F_ISA
}  // namespace i2f
