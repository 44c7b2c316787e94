// Moving rows of tokens.
#pragma once

#include "simd.hpp"

namespace i2f {
namespace I2F_ISA {

I2F_INLINE void copy_row(const float* from, int64_t width, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) store(to + i, load(from + i));
  for (; i < width; ++i) to[i] = from[i];
}

// to[i] = a[i] + b[i].
I2F_INLINE void add_rows(const float* a, const float* b, int64_t width, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) store(to + i, load(a + i) + load(b + i));
  for (; i < width; ++i) to[i] = a[i] + b[i];
}

}  // namespace I2F_ISA
}  // namespace i2f
