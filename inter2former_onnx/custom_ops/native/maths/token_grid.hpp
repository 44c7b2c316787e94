// Sizes and boxes of the token grid that come as the values of int64 tensors, checked before anything relies on them.
#pragma once

#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {

struct Grid {
  int64_t rows;
  int64_t columns;
};

// The size of a token grid from an int64 [2] input, which must hold `tokens` tokens.
I2F_INLINE Grid checked_grid(const Context& context, const char* name, const int64_t* grid, int64_t tokens) {
  const int64_t h = grid[0];
  const int64_t w = grid[1];
  // Compared by division: a product of absurd sizes could overflow.
  const bool fits = h >= 0 && w >= 0 && (h == 0 || w <= tokens / h) && h * w == tokens;
  if (!fits) {
    context.fail("input '%s' holds %lld x %lld, expected rows x columns of %lld tokens", name,
                 static_cast<long long>(h), static_cast<long long>(w), static_cast<long long>(tokens));
  }
  return {h, w};
}

struct Box {
  int64_t left;
  int64_t top;
  int64_t right;
  int64_t bottom;

  I2F_INLINE int64_t rows() const { return bottom - top; }
  I2F_INLINE int64_t columns() const { return right - left; }
};

// A box of tokens (left, top, right, bottom) from an int64 [4] input: at least one token, and inside the grid.
I2F_INLINE Box checked_box(const Context& context, const char* name, const int64_t* box, const Grid& grid) {
  const Box found = {box[0], box[1], box[2], box[3]};
  const bool fits = 0 <= found.left && found.left < found.right && found.right <= grid.columns && 0 <= found.top &&
                    found.top < found.bottom && found.bottom <= grid.rows;
  if (!fits) {
    context.fail("input '%s' is (%lld, %lld, %lld, %lld), expected left < right and top < bottom within %lld columns "
                 "and %lld rows of tokens", name, static_cast<long long>(found.left), static_cast<long long>(found.top),
                 static_cast<long long>(found.right), static_cast<long long>(found.bottom),
                 static_cast<long long>(grid.columns), static_cast<long long>(grid.rows));
  }
  return found;
}

}  // namespace I2F_ISA
}  // namespace i2f
