// Matrix products of token tiles with packed matrices: C[m, n] = A[m, k] B[k, n], C handed to an epilogue in registers.
//
// B is packed (panels.hpp). A is read as it lies, through a walk that says where its rows and the numbers of a row are:
// tokens, k-major blocks, and the patches of a convolution are all products of this kind.
#pragma once

#include "native/maths/panels.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

// The walk along rows of numbers at equal distances. Every walk has these members: a row is kRuns runs of `length`
// numbers, `step` apart, and each run begins `distance` behind the one before.
struct StridedWalk {
  static constexpr int kRuns = 1;
  static constexpr int64_t distance = 0;
  int64_t row_stride;
  int64_t step;
  int64_t length;
};

template <int R, int V>
I2F_INLINE void clear_block(Vec (&c)[R][V]) {
  I2F_UNROLL
  for (int r = 0; r < R; ++r) {
    I2F_UNROLL
    for (int v = 0; v < V; ++v) c[r][v] = zero();
  }
}

// One step along k: c += the column of A at `a` times a row of V vectors of B.
template <int R, int V>
I2F_INLINE void add_outer_product(Vec (&c)[R][V], const float* a, int64_t row_stride, const float* b) {
  Vec x[V];
  I2F_UNROLL
  for (int v = 0; v < V; ++v) x[v] = load(b + v * kLanes);
  I2F_UNROLL
  for (int r = 0; r < R; ++r) {
    const Vec y = set(a[r * row_stride]);
    I2F_UNROLL
    for (int v = 0; v < V; ++v) c[r][v] = fma(y, x[v], c[r][v]);
  }
}

// R rows by V vectors of C, kept in registers and then handed to epilogue(row, column, c) as Vec (&c)[R][V]. A function
// of its own: all registers are its. The walk comes by reference: copied for every block, it costs some per cent where
// k is small.
template <int R, int V, class Walk, class Epilogue>
I2F_NOINLINE void gemm_block(const float* a, const Walk& walk, const float* panel, int64_t row, int64_t column,
                             const Epilogue& epilogue) {
  Vec c[R][V];
  clear_block(c);
  for (int run = 0; run < Walk::kRuns; ++run) {
    const float* from = a + run * walk.distance;
    for (int64_t i = 0; i < walk.length; ++i) {
      add_outer_product(c, from, walk.row_stride, panel);
      from += walk.step;
      panel += kPanel;
    }
  }
  epilogue(row, column, c);
}

// The block of `rows` rows, 1 <= rows <= R.
template <int R, int V, class Walk, class Epilogue>
I2F_INLINE void gemm_rows(int64_t rows, const float* a, const Walk& walk, const float* panel, int64_t row,
                          int64_t column, const Epilogue& epilogue) {
  if (rows == R) {
    gemm_block<R, V>(a, walk, panel, row, column, epilogue);
  } else if constexpr (R > 1) {
    gemm_rows<R - 1, V>(rows, a, walk, panel, row, column, epilogue);
  }
}

// All rows of A against V vectors of a panel, in blocks of nearly equal height: a low block at the end would wait for
// its few multiply-adds to finish, one after the other.
template <int V, class Walk, class Epilogue>
I2F_INLINE void gemm_vectors(const float* a, const Walk& walk, int64_t m, const float* panel, int64_t column,
                             const Epilogue& epilogue) {
  const int64_t blocks = ceil_div(m, kGemmRows);
  int64_t row = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t rows = ceil_div(m - row, blocks - block);
    gemm_rows<kGemmRows, V>(rows, a + row * walk.row_stride, walk, panel, row, column, epilogue);
    row += rows;
  }
}

// All rows of A against the panel that begins with column `column`. One with few columns left costs only the vectors
// that hold them.
template <class Walk, class Epilogue>
I2F_INLINE void gemm_panel(const float* a, const Walk& walk, int64_t m, const float* panel, int64_t column, int64_t n,
                           const Epilogue& epilogue) {
  if (n - column > kPanel - kLanes) {
    gemm_vectors<kGemmVectors>(a, walk, m, panel, column, epilogue);
  } else {
    for (int64_t v = 0; column + v * kLanes < n; ++v) {
      gemm_vectors<1>(a, walk, m, panel + v * kLanes, column + v * kLanes, epilogue);
    }
  }
}

// Calls epilogue(row, column, c) for blocks Vec (&c)[R][V] that cover C; `column` is a multiple of kLanes, every vector
// of a block begins below n. The lanes of the last vector that lie beyond n are zero, and nothing may be stored for
// them.
template <class Epilogue>
I2F_INLINE void gemm_blocks(const float* a, int64_t row_stride, int64_t k_stride, int64_t m, const float* panels,
                            int64_t k, int64_t n, const Epilogue& epilogue) {
  const StridedWalk walk = {row_stride, k_stride, k};
  for (int64_t column = 0; column < n; column += kPanel) {
    gemm_panel(a, walk, m, panels + column * k, column, n, epilogue);
  }
}

// Calls visit(row, column, vector) for every vector of a block.
template <int R, int V, class Visit>
I2F_INLINE void visit_block(Vec (&c)[R][V], int64_t row, int64_t column, const Visit& visit) {
  I2F_UNROLL
  for (int r = 0; r < R; ++r) {
    I2F_UNROLL
    for (int v = 0; v < V; ++v) visit(row + r, column + v * kLanes, c[r][v]);
  }
}

// Calls epilogue(row, column, vector) once for every vector of C; see gemm_blocks.
template <class Epilogue>
I2F_INLINE void gemm(const float* a, int64_t row_stride, int64_t k_stride, int64_t m, const float* panels, int64_t k,
                     int64_t n, const Epilogue& epilogue) {
  gemm_blocks(a, row_stride, k_stride, m, panels, k, n,
              [&](int64_t row, int64_t column, auto& c) { visit_block(c, row, column, epilogue); });
}

// Stores min(n - column, kLanes) lanes of a vector of row `row`.
I2F_INLINE void store_columns(float* row, int64_t column, int64_t n, Vec value) {
  store_up_to(row + column, value, n - column);
}

}  // namespace I2F_ISA
}  // namespace i2f
