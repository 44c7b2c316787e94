// 3 x 3 convolutions of maps in [rows, columns, channels] order, as matrix products over the map as it lies.
//
// What an output pixel sees of one input row is one run of numbers, so a convolution is a product of A, whose rows are
// such runs at a fixed distance, with the kernel, three runs long. Where the output has fewer channels than a vector
// has lanes, one row of A serves a group of neighbouring pixels: the run grows, and the kernel is put together from
// shifted copies of itself.
#pragma once

#include <string.h>

#include "native/maths/gemm.hpp"
#include "native/memory.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

// The kernel [out, in, 3, 3] of a convolution, packed.
struct DirectConv {
  Buffer panels;
  int64_t in = 0;
  int64_t out = 0;
  int64_t stride = 1;  // of the output in input pixels
  int64_t group = 1;   // output pixels computed side by side

  // Numbers of one input row that a group sees.
  I2F_INLINE int64_t run() const { return ((group - 1) * stride + 3) * in; }
  I2F_INLINE int64_t width() const { return group * out; }
  // Input pixels that a row of `columns` output pixels reads, from the one left of the first on, groups completed.
  I2F_INLINE int64_t columns_read(int64_t columns) const { return ceil_div(columns, group) * group * stride + 2; }
};

inline DirectConv pack_conv(const float* weight, int64_t out, int64_t in, int64_t stride) {
  DirectConv conv;
  conv.in = in;
  conv.out = out;
  conv.stride = stride;
  conv.group = max_of(1, kLanes / max_of(1, out));
  const int64_t run = conv.run();
  const int64_t width = conv.width();
  const Scratch scratch({bytes_of<float>(3 * run * width)});
  float* dense = scratch.part<float>(0);  // [width][3][run]
  for (int64_t i = 0; i < 3 * run * width; ++i) dense[i] = 0.0f;
  for (int64_t p = 0; p < conv.group; ++p) {
    for (int64_t o = 0; o < out; ++o) {
      float* row = dense + (p * out + o) * 3 * run;
      for (int64_t i = 0; i < in; ++i) {
        for (int64_t dy = 0; dy < 3; ++dy) {
          for (int64_t dx = 0; dx < 3; ++dx) {
            row[dy * run + (p * stride + dx) * in + i] = weight[((o * in + i) * 3 + dy) * 3 + dx];
          }
        }
      }
    }
  }
  conv.panels = Buffer(packed_floats(3 * run, width));
  pack(dense, 3 * run, 1, 3 * run, width, conv.panels.data());
  return conv;
}

// The walk along what groups of pixels see: a run of each of three input rows, which are `distance` floats apart.
struct PatchWalk {
  static constexpr int kRuns = 3;
  static constexpr int64_t step = 1;
  int64_t row_stride;
  int64_t length;
  int64_t distance;
};

// Fills a patch, as `convolve` takes it, with `rows` rows of a map of `height` rows of `row_floats` floats, from row
// `first` and the pixel left of its first one on; zeros beyond the map. copy(y, count, to) brings the first `count`
// floats of row y.
template <class Copy>
I2F_INLINE void fill_patch(int64_t first, int64_t rows, int64_t height, int64_t row_floats, int64_t channels,
                           int64_t line, float* patch, const Copy& copy) {
  const auto clear = [](float* to, int64_t count) { memset(to, 0, static_cast<size_t>(bytes_of<float>(count))); };
  const int64_t used = min_of(row_floats, line - channels);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t y = first + r;
    float* to = patch + r * line;
    if (y < 0 || y >= height) {
      clear(to, line);
      continue;
    }
    clear(to, channels);
    copy(y, used, to + channels);
    clear(to + channels + used, line - channels - used);
  }
}

// Convolves `rows` output rows of `columns` pixels. `patch` holds the input rows that they see, each `line` floats
// long, beginning with the pixel left of and the row above the first output pixel's; beyond the map it holds zeros.
// Calls epilogue(row, at, first, lanes, vector): `lanes` values of an output row from float `at` on, which is float
// `first` of its group.
template <class Epilogue>
I2F_INLINE void convolve(const DirectConv& conv, const float* patch, int64_t line, int64_t rows, int64_t columns,
                         const Epilogue& epilogue) {
  const int64_t run = conv.run();
  const int64_t width = conv.width();
  const int64_t groups = ceil_div(columns, conv.group);
  const int64_t end = columns * conv.out;
  const PatchWalk walk = {conv.group * conv.stride * conv.in, run, line};
  for (int64_t column = 0; column < width; column += kPanel) {
    const float* panel = conv.panels.data() + column * 3 * run;
    for (int64_t y = 0; y < rows; ++y) {
      const auto visit = [&](int64_t group, int64_t first, Vec value) {
        const int64_t at = group * width + first;
        const int64_t lanes = min_of(kLanes, min_of(width - first, end - at));
        if (lanes > 0) epilogue(y, at, first, lanes, value);
      };
      gemm_panel(patch + y * conv.stride * line, walk, groups, panel, column, width,
                 [&](int64_t group, int64_t first, auto& c) { visit_block(c, group, first, visit); });
    }
  }
}

}  // namespace I2F_ISA
}  // namespace i2f
