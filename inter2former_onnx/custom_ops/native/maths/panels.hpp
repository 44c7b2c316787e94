// The right-hand sides of matrix products, B [k, n], packed into panels: what the micro-kernels read from end to end.
//
// A panel is kPanel neighbouring columns, kGemmVectors vectors wide. Panel p holds, for each k, the columns
// p * kPanel .. p * kPanel + kPanel - 1 one after the other, zero where there is no such column.
#pragma once

#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

constexpr int kPanel = kGemmVectors * kLanes;

// Floats that a packed [k, n] matrix takes.
I2F_INLINE int64_t packed_floats(int64_t k, int64_t n) { return ceil_div(n, kPanel) * kPanel * k; }

// Packs B[i, j] = at(i, j), 0 <= i < k, 0 <= j < n.
template <class At>
I2F_INLINE void pack_panels(int64_t k, int64_t n, float* packed, const At& at) {
  for (int64_t first = 0; first < n; first += kPanel) {
    const int64_t columns = min_of(kPanel, n - first);
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < kPanel; ++j) *packed++ = j < columns ? at(i, first + j) : 0.0f;
    }
  }
}

// Packs B[i, j] = source[j * column_stride + i * k_stride].
I2F_INLINE void pack(const float* source, int64_t column_stride, int64_t k_stride, int64_t k, int64_t n,
                     float* packed) {
  pack_panels(k, n, packed, [=](int64_t i, int64_t j) { return source[j * column_stride + i * k_stride]; });
}

}  // namespace I2F_ISA
}  // namespace i2f
