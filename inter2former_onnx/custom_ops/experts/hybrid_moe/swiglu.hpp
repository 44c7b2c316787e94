// The experts' layers: w3(LN(silu(w1 y + b1) * (w2 y + b2))) + b3.
#pragma once

#include "native/maths/activations.hpp"
#include "native/maths/gemm.hpp"
#include "native/maths/layer_norm.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/residual.hpp"

namespace i2f {
namespace I2F_ISA {

// w1 and w2 of `count` experts side by side: half of the vectors of a panel belong to w1, the other half to the same
// columns of w2, so both factors of a hidden value meet in registers.
struct PackedPair {
  static constexpr int kHalfVectors = kGemmVectors / 2;
  static constexpr int64_t kHalf = kHalfVectors * kLanes;
  static_assert(kGemmVectors % 2 == 0, "a panel is shared by two matrices");

  Buffer weights;
  Buffer biases;
  int64_t hidden = 0;  // columns of each
  int64_t k = 0;

  I2F_INLINE int64_t panel_count() const { return ceil_div(hidden, kHalf); }
  // Columns of the product, padding included, and the stride of a hidden row.
  I2F_INLINE int64_t columns() const { return panel_count() * kPanel; }
  I2F_INLINE int64_t hidden_stride() const { return panel_count() * kHalf; }
  I2F_INLINE const float* panels(int64_t i) const { return weights.data() + i * columns() * k; }
  I2F_INLINE const float* bias(int64_t i) const { return biases.data() + i * columns(); }
};

// w1, w2 [count, hidden, k]; b1, b2 [count, hidden].
inline PackedPair pack_pair(const float* w1, const float* b1, const float* w2, const float* b2, int64_t count,
                            int64_t hidden, int64_t k) {
  PackedPair packed;
  packed.hidden = hidden;
  packed.k = k;
  packed.weights = Buffer(count * packed.columns() * k);
  packed.biases = Buffer(count * packed.columns());
  for (int64_t i = 0; i < count; ++i) {
    // Row `l` of a column of the two [k, hidden] matrices side by side.
    const auto at = [&](const float* first, const float* second, int64_t length, int64_t l, int64_t column) {
      const int64_t j = column / kPanel * PackedPair::kHalf + column % PackedPair::kHalf;
      const float* from = column % kPanel < PackedPair::kHalf ? first : second;
      return j < hidden ? from[(i * hidden + j) * length + l] : 0.0f;
    };
    pack_panels(k, packed.columns(), packed.weights.data() + i * packed.columns() * k,
                [&](int64_t l, int64_t column) { return at(w1, w2, k, l, column); });
    float* bias = packed.biases.data() + i * packed.columns();
    for (int64_t column = 0; column < packed.columns(); ++column) bias[column] = at(b1, b2, 1, 0, column);
  }
  return packed;
}

// What one expert is made of.
struct Expert {
  const PackedPair& in;
  const float* norm_weight;
  const float* norm_bias;
  const PackedLinear& out;
  int64_t index;  // among the packed ones
  float epsilon;
};

// Runs `rows` rows of y [rows, k] through an expert and adds them to rows of a tensor; `add` without its bias. `hidden`
// has room for rows * in.hidden_stride() floats.
inline void run_expert(const Expert& expert, const float* y, int64_t rows, float* hidden, AddToRows add) {
  const PackedPair& in = expert.in;
  const int64_t stride = in.hidden_stride();
  const float* in_bias = in.bias(expert.index);
  gemm_blocks(y, in.k, 1, rows, in.panels(expert.index), in.k, in.columns(), [=](int64_t row, int64_t column, auto& c) {
    constexpr int kRows = sizeof(c) / sizeof(c[0]);
    // The product's columns fill whole panels, so blocks are always as wide as one; the narrow case is never called.
    if constexpr (sizeof(c[0]) / sizeof(c[0][0]) == kGemmVectors) {
      I2F_UNROLL
      for (int v = 0; v < PackedPair::kHalfVectors; ++v) {
        const Vec left_bias = load(in_bias + column + v * kLanes);
        const Vec right_bias = load(in_bias + column + PackedPair::kHalf + v * kLanes);
        float* to = hidden + row * stride + column / 2 + v * kLanes;
        I2F_UNROLL
        for (int r = 0; r < kRows; ++r) {
          store(to + r * stride, silu(c[r][v] + left_bias) * (c[r][v + PackedPair::kHalfVectors] + right_bias));
        }
      }
    }
  });
  for (int64_t i = 0; i < rows; ++i) {
    float* row = hidden + i * stride;
    layer_norm(row, expert.norm_weight, expert.norm_bias, expert.epsilon, in.hidden, row);
  }
  add.bias = expert.out.bias(expert.index);
  gemm_blocks(hidden, stride, 1, rows, expert.out.panels(expert.index), in.hidden, expert.out.n, add);
}

}  // namespace I2F_ISA
}  // namespace i2f
