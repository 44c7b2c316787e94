// The tokens of one task behind their LayerNorm, in the form that products of floats and of bytes take them.
#pragma once

#include "native/maths/int8_gemm.hpp"
#include "native/maths/layer_norm.hpp"
#include "native/maths/tile_gemm.hpp"

namespace i2f {
namespace I2F_ISA {

// Normalises `rows` rows of x into a tile. `normal` has room for one.
I2F_INLINE void normalise_into_tile(const LayerNorm& norm, const float* x, int64_t rows, float* normal, float* tile) {
  for (int64_t i = 0; i < rows; ++i) {
    norm(x + i * norm.channels, normal);
    tile_set_row(tile, norm.channels, i, normal);
  }
  tile_clear_rest(tile, rows, norm.channels);
}

// Normalises `count` rows of x and quantises them for `weights`. `normal` has room for one.
I2F_INLINE void normalise_and_quantise(const LayerNorm& norm, const float* x, int64_t count, float* normal,
                                       const PackedInt8& weights, const QuantisedRows& rows) {
  for (int64_t i = 0; i < count; ++i) {
    norm(x + i * norm.channels, normal);
    quantise_row(normal, i, weights, rows);
  }
  clear_rows(count, weights, rows);
}

}  // namespace I2F_ISA
}  // namespace i2f
