// Matrix products of token tiles with packed matrices: C[m, n] = A[m, k] B[k, n], C handed to an epilogue in registers.
//
// B is packed once (weights: when the kernel is made) into panels of kPanel columns: panel p holds, for each k, the
// columns p * kPanel .. p * kPanel + kPanel - 1 one after the other, zero where there is no such column. A is read as
// it lies, through a row stride and a k stride, so rows of tokens and k-major blocks both do.
#pragma once

#include "native/ort/kernel.hpp"
#include "native/memory.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

constexpr int kPanel = kGemmVectors * kLanes;

// Floats that a packed [k, n] matrix takes.
I2F_INLINE int64_t packed_floats(int64_t k, int64_t n) { return ceil_div(n, kPanel) * kPanel * k; }

// Packs B[k, j] = source[j * column_stride + k * k_stride], 0 <= j < n.
I2F_INLINE void pack(const float* source, int64_t column_stride, int64_t k_stride, int64_t k, int64_t n,
                     float* packed) {
  for (int64_t first = 0; first < n; first += kPanel) {
    const int64_t columns = min_of(kPanel, n - first);
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < kPanel; ++j) {
        *packed++ = j < columns ? source[(first + j) * column_stride + i * k_stride] : 0.0f;
      }
    }
  }
}

// R rows by V vectors of C, kept in registers and then handed to epilogue(row, column, c) as Vec (&c)[R][V]. A function
// of its own: all registers are its.
template <int R, int V, class Epilogue>
I2F_NOINLINE void gemm_block(const float* a, int64_t row_stride, int64_t k_stride, const float* panel, int64_t k,
                             int64_t row, int64_t column, const Epilogue& epilogue) {
  Vec c[R][V];
  I2F_UNROLL
  for (int r = 0; r < R; ++r) {
    I2F_UNROLL
    for (int v = 0; v < V; ++v) c[r][v] = zero();
  }
  for (int64_t i = 0; i < k; ++i) {
    Vec b[V];
    I2F_UNROLL
    for (int v = 0; v < V; ++v) b[v] = load(panel + v * kLanes);
    I2F_UNROLL
    for (int r = 0; r < R; ++r) {
      const Vec x = set(a[r * row_stride]);
      I2F_UNROLL
      for (int v = 0; v < V; ++v) c[r][v] = fma(x, b[v], c[r][v]);
    }
    a += k_stride;
    panel += kPanel;
  }
  epilogue(row, column, c);
}

// The block of `rows` rows, 1 <= rows <= R.
template <int R, int V, class Epilogue>
I2F_INLINE void gemm_rows(int64_t rows, const float* a, int64_t row_stride, int64_t k_stride, const float* panel,
                          int64_t k, int64_t row, int64_t column, const Epilogue& epilogue) {
  if (rows == R) {
    gemm_block<R, V>(a, row_stride, k_stride, panel, k, row, column, epilogue);
  } else if constexpr (R > 1) {
    gemm_rows<R - 1, V>(rows, a, row_stride, k_stride, panel, k, row, column, epilogue);
  }
}

// All rows of A against V vectors of a panel, in blocks of nearly equal height: a low block at the end would wait for
// its few multiply-adds to finish, one after the other.
template <int V, class Epilogue>
I2F_INLINE void gemm_panel(const float* a, int64_t row_stride, int64_t k_stride, int64_t m, const float* panel,
                           int64_t k, int64_t column, const Epilogue& epilogue) {
  const int64_t blocks = ceil_div(m, kGemmRows);
  int64_t row = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t rows = ceil_div(m - row, blocks - block);
    gemm_rows<kGemmRows, V>(rows, a + row * row_stride, row_stride, k_stride, panel, k, row, column, epilogue);
    row += rows;
  }
}

// Calls epilogue(row, column, c) for blocks Vec (&c)[R][V] that cover C; `column` is a multiple of kLanes, every vector
// of a block begins below n. The lanes of the last vector that lie beyond n are zero, and nothing may be stored for
// them.
template <class Epilogue>
I2F_INLINE void gemm_blocks(const float* a, int64_t row_stride, int64_t k_stride, int64_t m, const float* panels,
                            int64_t k, int64_t n, const Epilogue& epilogue) {
  for (int64_t column = 0; column < n; column += kPanel) {
    const float* panel = panels + column * k;
    // A panel with few columns left costs only the vectors that hold them.
    if (n - column > kPanel - kLanes) {
      gemm_panel<kGemmVectors>(a, row_stride, k_stride, m, panel, k, column, epilogue);
    } else {
      for (int64_t v = 0; column + v * kLanes < n; ++v) {
        gemm_panel<1>(a, row_stride, k_stride, m, panel + v * kLanes, k, column + v * kLanes, epilogue);
      }
    }
  }
}

// Calls epilogue(row, column, vector) once for every vector of C; see gemm_blocks.
template <class Epilogue>
I2F_INLINE void gemm(const float* a, int64_t row_stride, int64_t k_stride, int64_t m, const float* panels, int64_t k,
                     int64_t n, const Epilogue& epilogue) {
  gemm_blocks(a, row_stride, k_stride, m, panels, k, n, [&](int64_t row, int64_t column, auto& c) {
    constexpr int kRows = sizeof(c) / sizeof(c[0]);
    constexpr int kVectors = sizeof(c[0]) / sizeof(c[0][0]);
    I2F_UNROLL
    for (int r = 0; r < kRows; ++r) {
      I2F_UNROLL
      for (int v = 0; v < kVectors; ++v) epilogue(row + r, column + v * kLanes, c[r][v]);
    }
  });
}

// Stores min(n - column, kLanes) lanes of a vector of row `row`.
I2F_INLINE void store_columns(float* row, int64_t column, int64_t n, Vec value) {
  if (column + kLanes <= n) {
    store(row + column, value);
  } else {
    store_n(row + column, value, n - column);
  }
}

// The packed weights and biases of `count` linear layers of one shape: y = x W^T + b, W [n, k], b [n].
struct PackedLinear {
  Buffer weights;
  Buffer biases;
  int64_t count = 0;
  int64_t n = 0;
  int64_t k = 0;

  I2F_INLINE const float* panels(int64_t i) const { return weights.data() + i * packed_floats(k, n); }
  // Padded with zeros to a multiple of kPanel.
  I2F_INLINE const float* bias(int64_t i) const { return biases.data() + i * round_up(n, kPanel); }
};

// Packs W [count, n, k] and b [count, n] (null: zeros).
inline PackedLinear pack_linear(const float* weight, const float* bias, int64_t count, int64_t n, int64_t k) {
  PackedLinear packed;
  packed.count = count;
  packed.n = n;
  packed.k = k;
  packed.weights = Buffer(count * packed_floats(k, n));
  packed.biases = Buffer(count * round_up(n, kPanel));
  for (int64_t i = 0; i < count; ++i) {
    pack(weight + i * n * k, k, 1, k, n, packed.weights.data() + i * packed_floats(k, n));
    float* row = packed.biases.data() + i * round_up(n, kPanel);
    for (int64_t j = 0; j < round_up(n, kPanel); ++j) row[j] = bias != nullptr && j < n ? bias[i * n + j] : 0.0f;
  }
  return packed;
}

// Weights of a kernel, packed when it is made if they are constants of the graph, otherwise at every run.
class LinearWeights {
 public:
  LinearWeights(const KernelInfo& info, size_t weight_index, size_t bias_index) {
    TensorView weight;
    TensorView bias;
    if (!info.constant_input(weight_index, &weight) || !info.constant_input(bias_index, &bias)) return;
    // A wrong shape is reported by compute, which knows what to compare it with.
    if ((weight.rank != 2 && weight.rank != 3) || bias.rank != weight.rank - 1) return;
    const int64_t count = weight.rank == 3 ? weight.dims[0] : 1;
    const int64_t n = weight.dims[weight.rank - 2];
    if (bias.dims[bias.rank - 1] != n || (weight.rank == 3 && bias.dims[0] != count)) return;
    packed_ = pack_linear(static_cast<const float*>(weight.data), static_cast<const float*>(bias.data), count, n,
                          weight.dims[weight.rank - 1]);
    constant_ = true;
  }

  // The packed form; `local` holds it when the weights are not constant. The arguments were checked by the caller.
  const PackedLinear& get(const float* weight, const float* bias, int64_t count, int64_t n, int64_t k,
                          PackedLinear* local) const {
    if (constant_ && packed_.count == count && packed_.n == n && packed_.k == k) return packed_;
    *local = pack_linear(weight, bias, count, n, k);
    return *local;
  }

 private:
  PackedLinear packed_;
  bool constant_ = false;
};

}  // namespace I2F_ISA
}  // namespace i2f
