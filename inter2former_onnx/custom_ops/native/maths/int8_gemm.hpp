// Matrix products of tokens and weights in 8-bit integers: y = x W^T + b.
//
// A row of x is quantised when it is used, to unsigned bytes with a scale and a zero point of its own:
// x = scale (q - zero). Weights are signed bytes, with a scale for each output channel. The sums of products are exact
// integers on every processor; what is lost is lost in the two quantisations.
#pragma once

#include <string.h>

#include "native/maths/gemm.hpp"
#include "native/maths/int8_dot.hpp"
#include "native/maths/int8_unit.hpp"
#include "native/memory.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

// The weights [n, k] of a linear layer, packed for a unit.
struct PackedInt8 {
  Int8Unit unit = Int8Unit::kPairs;
  int64_t n = 0;
  int64_t k = 0;
  Buffer weights;  // int8_t or int16_t
  Buffer scales;   // [n], like sums and biases padded with zeros to whole panels
  Buffer sums;     // [n], of an output channel's quantised weights
  Buffer biases;

  I2F_INLINE int64_t padded_k() const { return round_up(k, kInt8Depth); }
  // Bytes from a quantised row to the next.
  I2F_INLINE int64_t row_bytes() const { return (unit == Int8Unit::kPairs ? 2 : 1) * padded_k() + 64; }
  I2F_INLINE int64_t block_rows() const { return unit == Int8Unit::kAmx ? kAmxRows : kDotRows; }
};

// The unit that kernels of this instruction set use.
inline Int8Unit int8_unit() {
  const Int8Unit best = best_int8_unit();  // always asked, so that a wrong wish is refused everywhere
  return kInt8Units ? best : Int8Unit::kPairs;
}

inline PackedInt8 pack_int8(const int8_t* weight, const float* scale, const float* bias, int64_t n, int64_t k,
                            Int8Unit unit) {
  PackedInt8 packed;
  packed.unit = unit;
  packed.n = n;
  packed.k = k;
  const int64_t depth = packed.padded_k();
  const int64_t width = round_up(n, kInt8Panel);
  packed.weights = Buffer(ceil_div((packed.unit == Int8Unit::kPairs ? 2 : 1) * depth * width, 4));
  packed.scales = Buffer(width);
  packed.sums = Buffer(width);
  packed.biases = Buffer(width);
  for (int64_t column = 0; column < width; ++column) {
    int64_t total = 0;
    for (int64_t i = 0; i < depth; ++i) {
      const int8_t value = column < n && i < k ? weight[column * k + i] : int8_t{0};
      total += value;
      if (packed.unit == Int8Unit::kPairs) {
        reinterpret_cast<int16_t*>(packed.weights.data())[pair_index(column, i, depth)] = value;
      } else {
        reinterpret_cast<int8_t*>(packed.weights.data())[quad_index(column, i, depth)] = value;
      }
    }
    packed.scales.data()[column] = column < n ? scale[column] : 0.0f;
    packed.sums.data()[column] = static_cast<float>(total);
    packed.biases.data()[column] = column < n ? bias[column] : 0.0f;
  }
  return packed;
}

// Quantised rows in scratch memory.
struct QuantisedRows {
  unsigned char* data;
  float* scales;
  float* zeros;

  static I2F_INLINE int64_t bytes(const PackedInt8& weights, int64_t rows) {
    return round_up(rows, weights.block_rows()) * weights.row_bytes();
  }
};

// Quantises a row of k floats to row i: the range from its least to its largest value, zero included, in 255 steps.
inline void quantise_row(const float* x, int64_t i, const PackedInt8& weights, const QuantisedRows& rows) {
  const int64_t k = weights.k;
  const int64_t whole = k / kLanes * kLanes;
  Vec least = zero();
  Vec most = zero();
  for (int64_t j = 0; j < whole; j += kLanes) {
    const Vec value = load(x + j);
    least = min(least, value);
    most = max(most, value);
  }
  float low = -max_lane(zero() - least);
  float high = max_lane(most);
  for (int64_t j = whole; j < k; ++j) {
    low = x[j] < low ? x[j] : low;
    high = x[j] > high ? x[j] : high;
  }
  const float range = high - low;
  // A row of zeros, and one too small for its steps to be numbers, becomes zeros.
  const float factor = range > 1e-30f ? 255.0f / range : 0.0f;
  float zero_point[kLanes];
  store(zero_point, round_nearest(set(-low * factor)));
  rows.scales[i] = range > 1e-30f ? range / 255.0f : 0.0f;
  rows.zeros[i] = zero_point[0];
  unsigned char* to = rows.data + i * weights.row_bytes();
  const Vec by = set(factor);
  const Vec shift = set(zero_point[0]);
  const bool pairs = weights.unit == Int8Unit::kPairs;
  // Rounding may take the ends of the range one step out of it; NaN becomes 0.
  const Vec top = set(255.0f);
  for (int64_t j = 0; j < whole; j += kLanes) {
    const Vec q = min(top, max(zero(), round_nearest(load(x + j) * by) + shift));
    if (pairs) {
      store_int16(reinterpret_cast<int16_t*>(to) + j, q);
    } else {
      store_uint8(to + j, q);
    }
  }
  for (int64_t j = whole; j < weights.padded_k(); ++j) {
    float q[kLanes] = {};
    if (j < k) store(q, min(top, max(zero(), round_nearest(set(x[j]) * by) + shift)));
    if (pairs) {
      reinterpret_cast<int16_t*>(to)[j] = static_cast<int16_t>(q[0]);
    } else {
      to[j] = static_cast<unsigned char>(q[0]);
    }
  }
}

// Zeros the rows between `count` and the end of its block: they take part in the arithmetic.
inline void clear_rows(int64_t count, const PackedInt8& weights, const QuantisedRows& rows) {
  const int64_t end = round_up(count, weights.block_rows());
  memset(rows.data + count * weights.row_bytes(), 0, static_cast<size_t>((end - count) * weights.row_bytes()));
}

// Quantises `count` rows of x [count, k], ready for int8_gemm.
inline void quantise_rows(const float* x, int64_t count, const PackedInt8& weights, const QuantisedRows& rows) {
  for (int64_t i = 0; i < count; ++i) quantise_row(x + i * weights.k, i, weights, rows);
  clear_rows(count, weights, rows);
}

// Calls epilogue(row, column, vector) for every vector of y = rows W^T + b that begins below n; `count` rows, whose
// last block clear_rows has completed.
template <class Epilogue>
inline void int8_gemm(const QuantisedRows& rows, int64_t count, const PackedInt8& weights, const Epilogue& epilogue) {
  const int64_t depth = weights.padded_k();
  const int64_t step = weights.block_rows();
  alignas(64) int32_t block[kMostBlockRows * kInt8Panel];
  const AmxSession amx(weights.unit == Int8Unit::kAmx);
  for (int64_t column = 0; column < weights.n; column += kInt8Panel) {
    for (int64_t row = 0; row < count; row += step) {
      const unsigned char* a = rows.data + row * weights.row_bytes();
      if (weights.unit == Int8Unit::kPairs) {
        const int16_t* panel = reinterpret_cast<const int16_t*>(weights.weights.data()) + column * depth;
        dot_pairs_block(reinterpret_cast<const int16_t*>(a), weights.row_bytes() / 2, panel, depth, block);
      } else {
        const int8_t* panel = reinterpret_cast<const int8_t*>(weights.weights.data()) + column * depth;
        dot_quads_block(weights.unit, a, weights.row_bytes(), panel, depth, block);
      }
      const int64_t end = min_of(step, count - row);
      for (int64_t v = 0; v < kInt8Panel && column + v < weights.n; v += kLanes) {
        const Vec sums = load(weights.sums.data() + column + v);
        const Vec scales = load(weights.scales.data() + column + v);
        const Vec biases = load(weights.biases.data() + column + v);
        for (int64_t r = 0; r < end; ++r) {
          const Vec total = load_int32(block + r * kInt8Panel + v) - set(rows.zeros[row + r]) * sums;
          epilogue(row + r, column + v, fma(total, set(rows.scales[row + r]) * scales, biases));
        }
      }
    }
  }
}

// An epilogue of int8_gemm: to = from + product, rows of `width` floats.
struct Int8AddTo {
  const float* from;
  float* to;
  int64_t width;

  I2F_INLINE void operator()(int64_t row, int64_t column, Vec value) const {
    const Vec before = load_up_to(from + row * width + column, width - column);
    store_columns(to + row * width, column, width, before + value);
  }
};

}  // namespace I2F_ISA
}  // namespace i2f
