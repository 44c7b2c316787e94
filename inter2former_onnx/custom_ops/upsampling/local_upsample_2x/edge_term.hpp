// What the edge map adds to the output of one level inside a crop of tokens.
#pragma once

#include "native/maths/token_grid.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

// The four tensors of one level as they lie, for the whole image, and the crop's place in them.
struct EdgeTerm {
  const float* edge;     // [s h, s w, Co]
  const float* rows;     // [2, h, s w, Co]
  const float* columns;  // [2, s h, w, Co]
  const float* corners;  // [2, 2, h, w, Co]
  int64_t h, w, co;      // of the image, in tokens, and channels
  int64_t s;             // output pixels per token side
  Box box;

  int64_t crop_height() const { return s * box.rows(); }
  int64_t crop_width() const { return s * box.columns(); }

  // The map itself at pixel (row, column) of the crop, without the corrections at the crop's border.
  const float* at(int64_t row, int64_t column) const {
    return edge + ((s * box.top + row) * s * w + s * box.left + column) * co;
  }

  // Channels first .. first + count - 1 of the term at `pixels` pixels from (row, column) of the crop, to out [pixels,
  // count]. At the crop's border it leaves out what edge pixels outside the crop contribute to the map: a row, a
  // column, and their common pixel, which both leave out, once again.
  inline void corrected(int64_t row, int64_t column, int64_t pixels, int64_t first, int64_t count, float* out) const {
    const bool is_top = row == 0;
    const bool is_bottom = row == crop_height() - 1;
    for (int64_t p = 0; p < pixels; ++p) {
      const int64_t x = column + p;
      const bool is_left = x == 0;
      const bool is_right = x == crop_width() - 1;
      const float* from = at(row, x) + first;
      float* to = out + p * count;
      for (int64_t c = 0; c < count; ++c) to[c] = from[c];
      if (is_top) subtract(rows + (box.top * s * w + s * box.left + x) * co + first, count, to);
      if (is_bottom) subtract(rows + ((h + box.bottom - 1) * s * w + s * box.left + x) * co + first, count, to);
      if (is_left) subtract(columns + ((s * box.top + row) * w + box.left) * co + first, count, to);
      if (is_right) subtract(columns + ((s * (h + box.top) + row) * w + box.right - 1) * co + first, count, to);
      if ((is_top || is_bottom) && (is_left || is_right)) {
        const int64_t token_row = is_top ? box.top : box.bottom - 1;
        const int64_t token_column = is_left ? box.left : box.right - 1;
        const int64_t which = (is_top ? 0 : 2) + (is_left ? 0 : 1);
        const float* corner = corners + ((which * h + token_row) * w + token_column) * co + first;
        for (int64_t c = 0; c < count; ++c) to[c] += corner[c];
      }
    }
  }

 private:
  static inline void subtract(const float* values, int64_t count, float* from) {
    for (int64_t c = 0; c < count; ++c) from[c] -= values[c];
  }
};

}  // namespace
}  // namespace I2F_ISA
}  // namespace i2f
