// 3 x 3 convolutions of maps in [rows, columns, channels] order, as matrix products over the map as it lies.
//
// What an output pixel sees of one input row is one run of numbers, so a convolution is a product of A, whose rows are
// such runs at a fixed distance, with the kernel, three runs long. Where the output has fewer channels than a vector
// has lanes, one row of A serves a group of neighbouring pixels: the run grows, and the kernel is put together from
// shifted copies of itself.
#pragma once

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

// R rows by V vectors of the product, handed to epilogue(row, column, c): gemm_block with a k of three runs.
template <int R, int V, class Epilogue>
I2F_NOINLINE void conv_block(const float* a, int64_t row_stride, int64_t run, int64_t line, const float* panel,
                             int64_t row, int64_t column, const Epilogue& epilogue) {
  Vec c[R][V];
  I2F_UNROLL
  for (int r = 0; r < R; ++r) {
    I2F_UNROLL
    for (int v = 0; v < V; ++v) c[r][v] = zero();
  }
  for (int dy = 0; dy < 3; ++dy) {
    const float* from = a + dy * line;
    for (int64_t i = 0; i < run; ++i) {
      Vec b[V];
      I2F_UNROLL
      for (int v = 0; v < V; ++v) b[v] = load(panel + v * kLanes);
      I2F_UNROLL
      for (int r = 0; r < R; ++r) {
        const Vec x = set(from[r * row_stride]);
        I2F_UNROLL
        for (int v = 0; v < V; ++v) c[r][v] = fma(x, b[v], c[r][v]);
      }
      ++from;
      panel += kPanel;
    }
  }
  I2F_UNROLL
  for (int r = 0; r < R; ++r) {
    I2F_UNROLL
    for (int v = 0; v < V; ++v) epilogue(row + r, column + v * kLanes, c[r][v]);
  }
}

template <int R, int V, class Epilogue>
I2F_INLINE void conv_rows(int64_t rows, const float* a, int64_t row_stride, int64_t run, int64_t line,
                          const float* panel, int64_t row, int64_t column, const Epilogue& epilogue) {
  if (rows == R) {
    conv_block<R, V>(a, row_stride, run, line, panel, row, column, epilogue);
  } else if constexpr (R > 1) {
    conv_rows<R - 1, V>(rows, a, row_stride, run, line, panel, row, column, epilogue);
  }
}

template <int V, class Epilogue>
I2F_INLINE void conv_panel(const float* a, int64_t row_stride, int64_t run, int64_t line, int64_t m, const float* panel,
                           int64_t column, const Epilogue& epilogue) {
  const int64_t blocks = ceil_div(m, kGemmRows);
  int64_t row = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t rows = ceil_div(m - row, blocks - block);
    conv_rows<kGemmRows, V>(rows, a + row * row_stride, row_stride, run, line, panel, row, column, epilogue);
    row += rows;
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
  for (int64_t column = 0; column < width; column += kPanel) {
    const float* panel = conv.panels.data() + column * 3 * run;
    for (int64_t y = 0; y < rows; ++y) {
      const float* a = patch + y * conv.stride * line;
      const int64_t step = conv.group * conv.stride * conv.in;
      const auto visit = [&](int64_t group, int64_t first, Vec value) {
        const int64_t at = group * width + first;
        const int64_t lanes = min_of(kLanes, min_of(width - first, end - at));
        if (lanes > 0) epilogue(y, at, first, lanes, value);
      };
      if (width - column > kPanel - kLanes) {
        conv_panel<kGemmVectors>(a, step, run, line, groups, panel, column, visit);
      } else {
        for (int64_t v = 0; column + v * kLanes < width; ++v) {
          conv_panel<1>(a, step, run, line, groups, panel + v * kLanes, column + v * kLanes, visit);
        }
      }
    }
  }
}

}  // namespace I2F_ISA
}  // namespace i2f
