// Matrix products of large tiles: C[rows, n] = A[rows, k] B[k, n] with A, too, laid out for the micro-kernel.
//
// A tile of A is cut into blocks of kTileRows rows, a block into chunks of kPanel columns, each [kTileRows][kPanel].
// So the micro-kernel finds its rows at constant distances from one pointer (gemm.hpp, which reads A as it lies, spends
// registers and instructions on addresses), and a block of C, kTileRows rows of one panel, is a chunk of the next A.
// B is packed as in gemm.hpp. Worth its copy where n is large.
#pragma once

#include "native/maths/gemm.hpp"
#include "native/memory.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

// AVX-512 has registers for 28 accumulators, two vectors of B and the broadcast within the multiply-add.
constexpr int kTileRows = kLanes == 16 ? 14 : kGemmRows;
constexpr int64_t kChunkFloats = int64_t{kTileRows} * kPanel;

using TileBlock = Vec[kTileRows][kGemmVectors];

// Floats that a tile of `rows` rows of k columns takes.
I2F_INLINE int64_t tile_floats(int64_t rows, int64_t k) {
  return ceil_div(rows, kTileRows) * ceil_div(k, kPanel) * kChunkFloats;
}

// A multiple of kTileRows near `rows`, to cut matrices into tiles.
constexpr int64_t tile_height(int64_t rows) { return (rows + kTileRows / 2) / kTileRows * kTileRows; }

// Where columns c * kPanel ... of row i of a tile of k columns lie; c counts chunks.
I2F_INLINE float* tile_chunk(float* tile, int64_t k, int64_t i, int64_t c) {
  return tile + (i / kTileRows * ceil_div(k, kPanel) + c) * kChunkFloats + i % kTileRows * kPanel;
}

// Copies a row of k floats into row i of a tile.
I2F_INLINE void tile_set_row(float* tile, int64_t k, int64_t i, const float* row) {
  for (int64_t first = 0; first < k; first += kPanel) {
    float* to = tile_chunk(tile, k, i, first / kPanel);
    const int64_t count = min_of(kPanel, k - first);
    int64_t j = 0;
    for (; j + kLanes <= count; j += kLanes) store(to + j, load(row + first + j));
    for (; j < count; ++j) to[j] = row[first + j];
  }
}

// Zeros the rows of the last block that lie beyond `rows`: they take part in the arithmetic.
I2F_INLINE void tile_clear_rest(float* tile, int64_t rows, int64_t k) {
  for (int64_t i = rows; i % kTileRows != 0; ++i) {
    for (int64_t c = 0; c < ceil_div(k, kPanel); ++c) {
      float* chunk = tile_chunk(tile, k, i, c);
      for (int64_t j = 0; j < kPanel; ++j) chunk[j] = 0.0f;
    }
  }
}

// One block of rows against one panel, handed to epilogue(row, column, c) in registers. Meanwhile asks for `step`
// floats per step of k from `next` on.
template <class Epilogue>
I2F_NOINLINE void tile_block(const float* a, const float* panel, int64_t k, const float* next, int64_t step,
                             int64_t row, int64_t column, const Epilogue& epilogue) {
  TileBlock c;
  clear_block(c);
  for (int64_t first = 0; first < k; first += kPanel) {
    const int64_t count = min_of(kPanel, k - first);
    for (int64_t i = 0; i < count; ++i) {
      prefetch(next);
      next += step;
      add_outer_product(c, a, kPanel, panel);
      ++a;
      panel += kPanel;
    }
    a += kChunkFloats - count;
  }
  epilogue(row, column, c);
}

// All blocks of a tile of `tile_k` columns against n columns of packed B, panels of `panel_k` rows each, over k of
// both. Calls epilogue(row, column, c) for TileBlock& c; rows and columns of it may lie beyond the tile's.
template <class Epilogue>
I2F_INLINE void tile_gemm(const float* tile, int64_t rows, int64_t tile_k, const float* panels, int64_t panel_k,
                          int64_t k, int64_t n, const Epilogue& epilogue) {
  const int64_t block_floats = ceil_div(tile_k, kPanel) * kChunkFloats;
  // A panel serves all blocks from the second-level cache; who works on it fetches a share of the next one.
  const int64_t step = kPanel / min_of(kPanel, ceil_div(rows, kTileRows));
  for (int64_t column = 0; column < n; column += kPanel) {
    const float* panel = panels + column * panel_k;
    const float* next = panel + (column + kPanel < n ? kPanel * panel_k : 0);
    for (int64_t row = 0; row < rows; row += kTileRows) {
      tile_block(tile + row / kTileRows * block_floats, panel, k, next, step, row, column, epilogue);
      next += step * k;
    }
  }
}

// Calls visit(row, column, vector) for the vectors of a block that begin within rows x n.
template <class Visit>
I2F_INLINE void for_each_vector(TileBlock& c, int64_t row, int64_t rows, int64_t column, int64_t n,
                                const Visit& visit) {
  if (row + kTileRows <= rows && column + kPanel <= n) {
    visit_block(c, row, column, visit);
    return;
  }
  for (int r = 0; r < kTileRows && row + r < rows; ++r) {
    for (int v = 0; v < kGemmVectors && column + v * kLanes < n; ++v) visit(row + r, column + v * kLanes, c[r][v]);
  }
}

// An epilogue of tile_gemm: to = from + (product + bias). `from` and `to`, [rows, width], may be the same.
struct AddTo {
  const float* from;
  float* to;
  const float* bias;  // padded to a multiple of kPanel
  int64_t rows;
  int64_t width;

  I2F_INLINE void operator()(int64_t row, int64_t column, TileBlock& c) const {
    if (row + kTileRows <= rows && column + kPanel <= width) {
      // All loads before all stores: rows lie at multiples of a kilobyte or so, and a load waits for an earlier store
      // to an address that looks like its own in the last twelve bits.
      I2F_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        I2F_UNROLL
        for (int v = 0; v < kGemmVectors; ++v) {
          const int64_t at = (row + r) * width + column + v * kLanes;
          c[r][v] = load(from + at) + (c[r][v] + load(bias + column + v * kLanes));
        }
      }
      I2F_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        I2F_UNROLL
        for (int v = 0; v < kGemmVectors; ++v) store(to + (row + r) * width + column + v * kLanes, c[r][v]);
      }
      return;
    }
    for_each_vector(c, row, rows, column, width, [&](int64_t i, int64_t j, Vec value) {
      const Vec before = load_up_to(from + i * width + j, width - j);
      store_columns(to + i * width, j, width, before + (value + load(bias + j)));
    });
  }
};

// Stores the block's chunk of the tile that is the next A.
I2F_INLINE void store_chunk(TileBlock& c, float* chunk) {
  visit_block(c, 0, 0, [=](int64_t row, int64_t column, Vec value) { store(chunk + row * kPanel + column, value); });
}

}  // namespace I2F_ISA
}  // namespace i2f
