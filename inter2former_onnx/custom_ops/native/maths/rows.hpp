// Moving rows of tokens, and finding them in lists.
#pragma once

#include "native/simd/simd.hpp"

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

// to[i] = from[i % period], i < count. `to` may be `from`.
I2F_INLINE void repeat(const float* from, int64_t period, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i % period];
}

// Row i of `to` [rows, width] = column i of `from`, whose rows are `stride` floats apart.
I2F_INLINE void columns_to_rows(const float* from, int64_t stride, int64_t rows, int64_t width, float* to) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < width; ++j) to[i * width + j] = from[j * stride + i];
  }
}

// Position of the first of the ascending values that is at least `least`; `count` if none is.
I2F_INLINE int64_t first_at_least(const int64_t* values, int64_t count, int64_t least) {
  int64_t low = 0;
  while (count > 0) {
    const int64_t half = count / 2;
    if (values[low + half] < least) {
      low += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return low;
}

}  // namespace I2F_ISA
}  // namespace i2f
