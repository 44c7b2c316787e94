// The end of a layer with a skip connection: to[row] = from[row] + factor * (product + bias), for scattered rows.
#pragma once

#include "native/maths/gemm.hpp"

namespace i2f {
namespace I2F_ISA {

// An epilogue of gemm_blocks. Row i of the product belongs to row rows[i] of `from` and `to`, which may be the same.
struct AddToRows {
  const float* from;
  float* to;
  const int64_t* rows;
  int64_t width;         // of a row
  const float* bias;     // padded to a multiple of kPanel
  const float* factors;  // per row of the product

  template <int R, int V>
  I2F_INLINE void operator()(int64_t row, int64_t column, Vec (&c)[R][V]) const {
    const int64_t left = width - column;
    if (left >= V * kLanes) {
      // All loads before all stores: rows lie at multiples of a kilobyte or so, and a load waits for an earlier store
      // to an address that looks like its own in the last twelve bits.
      I2F_UNROLL
      for (int r = 0; r < R; ++r) {
        const float* residual = from + rows[row + r] * width + column;
        const Vec factor = set(factors[row + r]);
        I2F_UNROLL
        for (int v = 0; v < V; ++v) {
          c[r][v] = fma(c[r][v] + load(bias + column + v * kLanes), factor, load(residual + v * kLanes));
        }
      }
      I2F_UNROLL
      for (int r = 0; r < R; ++r) {
        float* out = to + rows[row + r] * width + column;
        I2F_UNROLL
        for (int v = 0; v < V; ++v) store(out + v * kLanes, c[r][v]);
      }
      return;
    }
    for (int r = 0; r < R; ++r) {
      const int64_t at = rows[row + r] * width + column;
      for (int v = 0; v < V; ++v) {
        const int64_t lanes = left - v * kLanes;
        if (lanes <= 0) break;
        const Vec residual = load_n(from + at + v * kLanes, lanes);
        const Vec value = c[r][v] + load(bias + column + v * kLanes);
        store_n(to + at + v * kLanes, fma(value, set(factors[row + r]), residual), lanes);
      }
    }
  }
};

}  // namespace I2F_ISA
}  // namespace i2f
