// Normalised source rows times the nine taps of the convolution, for a few rows at a time.
#pragma once

#include "native/maths/gemm.hpp"
#include "native/maths/group_norm.hpp"
#include "upsampling/local_upsample_2x/layout.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

// The products of the last few source rows: enough for the interpolation, few enough to stay in the second-level cache.
// They are computed in chunks of layout.chunk() rows from `first_row` on; a chunk takes the place of the oldest one.
class ProductRing {
 public:
  explicit ProductRing(const Layout& layout)
      : layout_(layout),
        chunk_(layout.chunk()),
        // A row of output reads five source rows, so up to four older than a new chunk.
        rows_(chunk_ * (1 + ceil_div(4, chunk_))),
        // Rows of a chunk follow each other closely, as the matrix product sees them as one. Other strides keep away
        // from multiples of the page size, where rows and planes would compete for the same lines of the cache.
        row_stride_(layout.wide() && chunk_ > 1 ? layout.width * layout.unit
                                                : round_up(layout.width * layout.unit, kLanes) + 2 * kLanes),
        plane_stride_(rows_ * row_stride_ + 3 * kLanes) {}

  int64_t chunk() const { return chunk_; }
  int64_t plane_stride() const { return plane_stride_; }
  // Room for the planes, and for what whole vectors read behind the last row.
  int64_t floats() const { return layout_.planes() * plane_stride_ + 2 * kLanes; }
  // Room for a chunk of normalised pixels.
  int64_t input_floats() const {
    return layout_.wide() ? chunk_ * layout_.width * layout_.in : round_up(layout_.width, kPanel) * layout_.in;
  }
  // Where products go for each vector of columns.
  int64_t offsets() const { return layout_.wide() ? kTaps * layout_.unit / kLanes : 0; }

  void set_memory(float* planes, float* input, int64_t* offsets, int64_t first_row) {
    planes_ = planes;
    input_ = input;
    offsets_ = offsets;
    first_row_ = first_row;
    for (int64_t v = 0; v < this->offsets(); ++v) {
      const int64_t column = v * kLanes;
      offsets_[v] = column / layout_.unit * plane_stride_ + column % layout_.unit;
    }
  }

  // Source row `row` of the first plane.
  const float* row(int64_t row) const { return planes_ + (row - first_row_) % rows_ * row_stride_; }

  // Computes rows row .. row + count - 1 (count <= chunk, row the first of a chunk) of the source x [height, width,
  // in].
  void compute(const float* x, const GroupNorm& norm, const float* weights, int64_t row, int64_t count) {
    float* to = planes_ + (row - first_row_) % rows_ * row_stride_;
    if (layout_.wide()) {
      compute_wide(x + row * layout_.width * layout_.in, norm, weights, count * layout_.width, to);
    } else {
      compute_narrow(x + row * layout_.width * layout_.in, norm, weights, to);
    }
  }

 private:
  void compute_wide(const float* x, const GroupNorm& norm, const float* weights, int64_t pixels, float* to) {
    const int64_t channels = layout_.in;
    const Vec mean = set(norm.mean);
    for (int64_t i = 0; i < pixels; ++i) {
      const float* from = x + i * channels;
      float* normal = input_ + i * channels;
      int64_t c = 0;
      for (; c + kLanes <= channels; c += kLanes) {
        store(normal + c, fma(load(from + c) - mean, load(norm.scale + c), load(norm.shift + c)));
      }
      for (; c < channels; ++c) normal[c] = (from[c] - norm.mean) * norm.scale[c] + norm.shift[c];
    }
    const int64_t unit = layout_.unit;
    const int64_t* offsets = offsets_;
    gemm(input_, channels, 1, pixels, weights, channels, kTaps * unit, [=](int64_t pixel, int64_t column, Vec value) {
      store(to + offsets[column / kLanes] + pixel * unit, value);
    });
  }

  // The pixels are the columns of the product here, the taps and output channels its rows.
  void compute_narrow(const float* x, const GroupNorm& norm, const float* weights, float* to) {
    const int64_t width = layout_.width;
    for (int64_t first = 0; first < width; first += kPanel) {
      for (int64_t v = 0; v < kPanel; v += kLanes) {
        pack_pixels(x + (first + v) * layout_.in, min_of(width - first - v, kLanes), norm,
                    input_ + first * layout_.in + v);
      }
    }
    const int64_t plane_stride = plane_stride_;
    gemm(weights, layout_.in, 1, layout_.planes(), input_, layout_.in, width,
         [=](int64_t plane, int64_t column, Vec value) { store(to + plane * plane_stride + column, value); });
  }

  // A vector of up to kLanes neighbouring pixels (none if pixels <= 0), channel by channel, kPanel floats apart; zero
  // where there is no pixel.
  void pack_pixels(const float* x, int64_t pixels, const GroupNorm& norm, float* to) const {
    const int64_t channels = layout_.in;
    const Vec mean = set(norm.mean);
    int64_t c = 0;
    if (pixels == kLanes) {
      for (; c + 4 <= channels; c += 4) {
        Vec y[4];
        I2F_UNROLL
        for (int p = 0; p < 4; ++p) y[p] = load_blocks(x + p * channels + c, 4 * channels);
        transpose_blocks(y[0], y[1], y[2], y[3]);
        I2F_UNROLL
        for (int p = 0; p < 4; ++p) {
          store(to + (c + p) * kPanel, fma(y[p] - mean, set(norm.scale[c + p]), set(norm.shift[c + p])));
        }
      }
    }
    for (; c < channels; ++c) {
      for (int64_t p = 0; p < kLanes; ++p) {
        to[c * kPanel + p] = p < pixels ? (x[p * channels + c] - norm.mean) * norm.scale[c] + norm.shift[c] : 0.0f;
      }
    }
  }

  const Layout& layout_;
  int64_t chunk_;
  int64_t rows_;
  int64_t row_stride_;
  int64_t plane_stride_;
  float* planes_ = nullptr;
  float* input_ = nullptr;
  int64_t* offsets_ = nullptr;
  int64_t first_row_ = 0;
};

}  // namespace
}  // namespace I2F_ISA
}  // namespace i2f
