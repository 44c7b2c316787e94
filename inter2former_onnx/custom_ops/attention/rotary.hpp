// Rotary position embedding in two dimensions: the first half of a head's channels turns with the token's row, the
// second half with its column, two neighbouring channels sharing one frequency.
#pragma once

#include <math.h>

#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

// Cosines and sines of position * frequency for all positions of a grid side, laid out for `rotate`.
class RotaryTable {
 public:
  // Floats that the table takes.
  static I2F_INLINE int64_t floats(int64_t positions, int64_t head_dim) { return positions * head_dim; }

  // freqs [head_dim / 4]; `memory` holds floats(positions, head_dim) floats and outlives the table.
  RotaryTable(const float* freqs, int64_t head_dim, int64_t positions, float* memory)
      : table_(memory), half_(head_dim / 2) {
    for (int64_t j = 0; j < head_dim / 4; ++j) {
      // Turning by one step at a time in double precision is far cheaper than a cosine and a sine per position. The
      // angle of the definition is a float32 product; what its rounding changes is put in to second order.
      const double frequency = static_cast<double>(freqs[j]);
      const double step_cosine = cos(frequency);
      const double step_sine = sin(frequency);
      double cosine = 1.0;
      double sine = 0.0;
      for (int64_t position = 0; position < positions; ++position) {
        float* entry = memory + position * head_dim + 2 * j;
        const float rounded = static_cast<float>(position) * freqs[j];
        const double change = static_cast<double>(rounded) - static_cast<double>(position) * frequency;
        const double second = 1.0 - 0.5 * change * change;
        const float turned_cosine = static_cast<float>(cosine * second - sine * change);
        const float turned_sine = static_cast<float>(sine * second + cosine * change);
        entry[0] = turned_cosine;
        entry[1] = turned_cosine;
        entry[half_] = turned_sine;
        entry[half_ + 1] = -turned_sine;
        const double next = cosine * step_cosine - sine * step_sine;
        sine = sine * step_cosine + cosine * step_sine;
        cosine = next;
      }
    }
  }

  // out = scale * rotated x, one head of one token at (row, column). Returns the sum of squares of `out`.
  I2F_INLINE float rotate(const float* x, int64_t row, int64_t column, float scale, float* out) const {
    const float* row_entry = table_ + row * 2 * half_;
    const float* column_entry = table_ + column * 2 * half_;
    return sum(rotate_half(x, row_entry, scale, out) + rotate_half(x + half_, column_entry, scale, out + half_));
  }

 private:
  I2F_INLINE Vec rotate_half(const float* x, const float* entry, float scale, float* out) const {
    Vec squares = zero();
    for (int64_t i = 0; i < half_; i += kLanes) {
      const int64_t left = half_ - i;
      const Vec value = load_up_to(x + i, left);
      const Vec cosine = load_up_to(entry + i, left);
      const Vec sine = load_up_to(entry + half_ + i, left);
      const Vec turned = fma(value, cosine, swap_pairs(value) * sine) * set(scale);
      squares = fma(turned, turned, squares);
      store_up_to(out + i, turned, left);
    }
    return squares;
  }

  const float* table_;
  int64_t half_;
};

}  // namespace I2F_ISA
}  // namespace i2f
