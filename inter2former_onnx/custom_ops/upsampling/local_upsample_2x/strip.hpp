// One task of LocalUpsample2x: a block of source rows, for one group of output channels, from the source to the output.
#pragma once

#include "native/maths/activations.hpp"
#include "upsampling/local_upsample_2x/bicubic.hpp"
#include "upsampling/local_upsample_2x/edge_term.hpp"
#include "upsampling/local_upsample_2x/products.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

class Strip {
 public:
  Strip(const Layout& layout, const GroupNorm& norm, const EdgeTerm& edge, bool activation, const float* x, float* y)
      : layout_(layout), norm_(norm), edge_(edge), activation_(activation), x_(x), y_(y), ring_(layout) {}

  // Output rows 2 * begin .. 2 * end - 1 of the channels of group `group`, `weights` being that group's.
  void run(int64_t group, const float* weights, int64_t begin, int64_t end) {
    first_channel_ = group * layout_.group;
    const int64_t parts = ceil_div(layout_.width, layout_.columns());
    columns_ = round_up(ceil_div(layout_.width, parts), 16);
    // Room for two columns on either side and for what whole vectors read and write behind the last; the first column
    // of a block is aligned, and lines keep away from multiples of the page size.
    margin_ = round_up(2 * layout_.unit, kLanes);
    line_stride_ = margin_ + round_up((columns_ + 2) * layout_.unit, kLanes) + 3 * kLanes;
    const int64_t lines = 3 * layout_.streams;
    const int64_t row_floats = 2 * (columns_ + kLanes) * layout_.group;
    const Scratch scratch({bytes_of<float>(ring_.floats()), bytes_of<float>(ring_.input_floats()),
                           bytes_of<int64_t>(ring_.offsets()), bytes_of<float>(2 * lines * line_stride_),
                           bytes_of<float>(row_floats), bytes_of<float>(row_floats)});
    lines_[0] = scratch.part<float>(3);
    lines_[1] = lines_[0] + lines * line_stride_;
    row_ = scratch.part<float>(4);
    edge_row_ = scratch.part<float>(5);

    // The interpolation takes two rows above and two below.
    const int64_t first = max_of(begin - 2, 0);
    const int64_t stop = min_of(end + 2, layout_.height);
    ring_.set_memory(scratch.part<float>(0), scratch.part<float>(1), scratch.part<int64_t>(2), first);
    int64_t next = begin;
    for (int64_t row = first; row < stop; row += ring_.chunk()) {
      const int64_t count = min_of(ring_.chunk(), stop - row);
      ring_.compute(x_, norm_, weights, row, count);
      const int64_t ready = row + count == stop ? end : row + count - 2;
      for (; next < ready; ++next) {
        for (int64_t column = 0; column < layout_.width; column += columns_) {
          output_rows(next, column, min_of(column + columns_, layout_.width));
        }
      }
    }
  }

 private:
  // Output rows 2 * row and 2 * row + 1, the pixels of source columns begin .. end - 1.
  void output_rows(int64_t row, int64_t begin, int64_t end) {
    const bool top = row == 0;
    const bool bottom = row == layout_.height - 1;
    if (top && bottom) {
      double_rows<true, true>(row, begin, end);
    } else if (top) {
      double_rows<true, false>(row, begin, end);
    } else if (bottom) {
      double_rows<false, true>(row, begin, end);
    } else {
      double_rows<false, false>(row, begin, end);
    }
    for (int64_t i = 0; i < 2; ++i) {
      if (layout_.wide()) {
        double_columns_wide(lines_[i], end - begin);
      } else if (layout_.group == 1) {
        double_columns_single(lines_[i], end - begin);
      } else if (layout_.group % 4 == 0) {
        double_columns_of_four(lines_[i], end - begin);
      } else {
        double_columns_few(lines_[i], end - begin);
      }
      if (begin == 0) border_pixel<true>(lines_[i], 0);
      if (end == layout_.width) border_pixel<false>(lines_[i], end - begin - 1);
      finish_row(2 * row + i, 2 * begin, 2 * (end - begin));
    }
  }

  // Along the columns: lines [2 rows, 3 taps dx, streams, columns] from the products.
  template <bool Top, bool Bottom>
  I2F_NOINLINE void double_rows(int64_t row, int64_t begin, int64_t end) {
    const int64_t last_row = layout_.height - 1;
    const int64_t unit = layout_.unit;
    const int64_t lines = 3 * layout_.streams;
    const int64_t tap = lines * ring_.plane_stride();
    // The columns of the block with two neighbours on either side; those beyond the border repeat the border.
    const int64_t low = max_of(begin - 2, 0);
    const int64_t high = min_of(end + 2, layout_.width);
    const float* rows[5];
    for (int64_t k = 0; k < 5; ++k) rows[k] = ring_.row(max_of(0, min_of(row + k - 2, last_row))) + low * unit;
    for (int64_t line = 0; line < lines; ++line) {
      const int64_t at = line * ring_.plane_stride();
      float* even = lines_[0] + line * line_stride_;
      float* odd = lines_[1] + line * line_stride_;
      const int64_t shift = margin_ + (low - begin) * unit;
      const int64_t run = (high - low) * unit;
      for (int64_t i = 0; i < run; i += kLanes) {
        const Pair pair = double_and_convolve<Top, Bottom>(
            [&](int d, int k) { return load(rows[k + 2] + d * tap + at + i); });
        store(even + shift + i, pair.even);
        store(odd + shift + i, pair.odd);
      }
      for (float* values : {even, odd}) {
        for (int64_t j = begin - 2; j < low; ++j) copy_pixel(values + shift, values + margin_ + (j - begin) * unit);
        for (int64_t j = high; j < end + 2; ++j) {
          copy_pixel(values + margin_ + (high - 1 - begin) * unit, values + margin_ + (j - begin) * unit);
        }
      }
    }
  }

  I2F_INLINE void copy_pixel(const float* from, float* to) const {
    for (int64_t c = 0; c < layout_.unit; ++c) to[c] = from[c];
  }

  // Output pixels 2 column and 2 column + 1 of channel or stream `c`; First and Last as in double_and_convolve.
  template <bool First, bool Last>
  I2F_INLINE Pair pixels(const float* lines, int64_t column, int64_t c) const {
    const int64_t unit = layout_.unit;
    const int64_t tap = layout_.streams * line_stride_;
    // Wide: channel c of the pixel. Narrow: the line of stream c.
    const float* from = lines + (layout_.wide() ? c : c * line_stride_) + margin_ + column * unit;
    return double_and_convolve<First, Last>(
        [&](int d, int k) { return load(from + d * tap + k * unit); });
  }

  // Along the rows: the block's pixels before the edge term, to row_ [2 columns, group].
  I2F_NOINLINE void double_columns_wide(const float* lines, int64_t columns) {
    const int64_t group = layout_.group;
    for (int64_t j = 0; j < columns; ++j) {
      for (int64_t c = 0; c < group; c += kLanes) {
        const Pair pair = pixels<false, false>(lines, j, c);
        store_columns(row_ + 2 * j * group, c, group, pair.even);
        store_columns(row_ + (2 * j + 1) * group, c, group, pair.odd);
      }
    }
  }

  I2F_NOINLINE void double_columns_single(const float* lines, int64_t columns) {
    for (int64_t j = 0; j < columns; j += kLanes) {
      const Pair pair = pixels<false, false>(lines, j, 0);
      store_interleaved(row_ + 2 * j, pair.even, pair.odd);
    }
  }

  I2F_NOINLINE void double_columns_of_four(const float* lines, int64_t columns) {
    const int64_t group = layout_.group;
    for (int64_t c = 0; c < group; c += 4) {
      for (int64_t j = 0; j < columns; j += kLanes) {
        Pair y[4];
        I2F_UNROLL
        for (int v = 0; v < 4; ++v) y[v] = pixels<false, false>(lines, j, c + v);
        transpose_blocks(y[0].even, y[1].even, y[2].even, y[3].even);
        transpose_blocks(y[0].odd, y[1].odd, y[2].odd, y[3].odd);
        // Block i of y[v] is now source column j + 4 i + v.
        I2F_UNROLL
        for (int v = 0; v < 4; ++v) {
          float* to = row_ + 2 * (j + v) * group + c;
          store_blocks(to, 8 * group, y[v].even);
          store_blocks(to + group, 8 * group, y[v].odd);
        }
      }
    }
  }

  I2F_NOINLINE void double_columns_few(const float* lines, int64_t columns) {
    const int64_t group = layout_.group;
    for (int64_t c = 0; c < group; ++c) {
      for (int64_t j = 0; j < columns; j += kLanes) {
        const Pair pair = pixels<false, false>(lines, j, c);
        float mixed[2 * kLanes];
        store(mixed, pair.even);
        store(mixed + kLanes, pair.odd);
        float* to = row_ + 2 * j * group + c;
        for (int64_t i = 0; i < kLanes; ++i) {
          to[2 * i * group] = mixed[i];
          to[(2 * i + 1) * group] = mixed[kLanes + i];
        }
      }
    }
  }

  // The first pixel of the crop's row, or the last, over again: there the convolution reaches its zero padding.
  template <bool First>
  void border_pixel(const float* lines, int64_t column) {
    const int64_t group = layout_.group;
    float* to = row_ + (2 * column + (First ? 0 : 1)) * group;
    for (int64_t c = 0; c < group; c += layout_.wide() ? kLanes : 1) {
      const Pair pair = pixels<First, !First>(lines, column, c);
      store_n(to + c, First ? pair.even : pair.odd, layout_.wide() ? min_of(group - c, kLanes) : 1);
    }
  }

  // Adds the edge term to row_ and stores it as pixels column .. column + pixels - 1 of output row `row`.
  void finish_row(int64_t row, int64_t column, int64_t pixels) {
    const int64_t width = 2 * layout_.width;
    int64_t begin = column;
    int64_t end = column + pixels;
    if (row == 0 || row == 2 * layout_.height - 1) {
      finish_corrected(row, column, begin, end);
      return;
    }
    if (begin == 0) finish_corrected(row, column, begin++, 1);
    if (end == width) {
      --end;
      finish_corrected(row, column, end, width);
    }
    finish(row, column, begin, end, edge_.at(row, begin) + first_channel_, layout_.out);
  }

  void finish_corrected(int64_t row, int64_t column, int64_t begin, int64_t end) {
    edge_.corrected(row, begin, end - begin, first_channel_, layout_.group, edge_row_);
    finish(row, column, begin, end, edge_row_, layout_.group);
  }

  // Pixels begin .. end - 1 of output row `row`; row_ starts at pixel `column`, `edge` at `begin`.
  void finish(int64_t row, int64_t column, int64_t begin, int64_t end, const float* edge, int64_t edge_stride) const {
    const int64_t group = layout_.group;
    const int64_t stride = layout_.out;
    const float* from = row_ + (begin - column) * group;
    float* to = y_ + (row * 2 * layout_.width + begin) * stride + first_channel_;
    const int64_t pixels = end - begin;
    if (group == stride && group == edge_stride) {
      finish_run(from, edge, pixels * group, to);
      return;
    }
    for (int64_t p = 0; p < pixels; ++p) finish_run(from + p * group, edge + p * edge_stride, group, to + p * stride);
  }

  I2F_INLINE void finish_run(const float* from, const float* edge, int64_t n, float* to) const {
    int64_t i = 0;
    if (activation_) {
      for (; i + kLanes <= n; i += kLanes) store(to + i, fast_silu(load(from + i) + load(edge + i)));
      if (i < n) store_n(to + i, fast_silu(load_n(from + i, n - i) + load_n(edge + i, n - i)), n - i);
    } else {
      for (; i + kLanes <= n; i += kLanes) store(to + i, load(from + i) + load(edge + i));
      for (; i < n; ++i) to[i] = from[i] + edge[i];
    }
  }

  const Layout& layout_;
  const GroupNorm& norm_;
  const EdgeTerm& edge_;
  bool activation_;
  const float* x_;
  float* y_;
  ProductRing ring_;
  int64_t first_channel_ = 0;
  int64_t columns_ = 0;
  int64_t margin_ = 0;
  int64_t line_stride_ = 0;
  float* lines_[2] = {};
  float* row_ = nullptr;
  float* edge_row_ = nullptr;
};

}  // namespace
}  // namespace I2F_ISA
}  // namespace i2f
