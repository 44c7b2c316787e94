// The four convolutions on lists of pixels, and what they give where all labels are the same.
#pragma once

#include "native/maths/gemm.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/rows.hpp"
#include "native/memory.hpp"
#include "prompt/prompt_embed/label_map.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

constexpr int64_t kTaps = 9;
// Rows of a table of uniform pixels: for each label those inside, in the first column, in the first row and in both;
// and a row of zeros for the padding.
constexpr int64_t kPlaces = 4;
constexpr int64_t kZeroRow = kLabels * kPlaces;
constexpr int64_t kTableRows = kZeroRow + 1;

I2F_INLINE int64_t place_of(int64_t row, int64_t column) { return (row == 0 ? 2 : 0) + (column == 0 ? 1 : 0); }

// Channels of the label embedding and of the levels.
struct Channels {
  int64_t of[kLevels + 1];
};

// Weights as they come: [Co, Ci, 3, 3] and [Co] of each level.
struct RawWeights {
  const float* embeds;  // [kLabels, channels.of[0]]
  const float* weight[kLevels];
  const float* bias[kLevels];
};

// The weights in the form that lists of pixels need, and the tables of uniform pixels.
class Convolutions {
 public:
  Convolutions() = default;
  Convolutions(const Channels& channels, const RawWeights& raw) : channels_(channels) {
    make_label_rows(raw);
    for (int k = 1; k < kLevels; ++k) pack_level(k, raw.weight[k], raw.bias[k]);
    for (int k = 1; k <= kLevels; ++k) make_table(k);
  }

  int64_t channels(int level) const { return channels_.of[level]; }

  // Uniform pixels of a level: [kTableRows, channels], see place_of.
  const float* table(int level) const { return tables_[level - 1].data(); }

  // Level 1 from labels: a sum of rows. `at(dy, dx)` is the label there, or a negative number outside the map.
  template <class At>
  I2F_INLINE void first_level(const At& at, float* out) const {
    const int64_t n = channels_.of[1];
    const int64_t stride = round_up(n, kLanes);
    const float* rows[kTaps];
    int count = 0;
    for (int dy = 0; dy < 3; ++dy) {
      for (int dx = 0; dx < 3; ++dx) {
        const int label = at(dy, dx);
        if (label >= 0) rows[count++] = label_rows_.data() + ((dy * 3 + dx) * kLabels + label) * stride;
      }
    }
    const float* bias = label_rows_.data() + kTaps * kLabels * stride;
    for (int64_t c = 0; c < n; c += kLanes) {
      Vec sum = load(bias + c);
      for (int i = 0; i < count; ++i) sum = sum + load(rows[i] + c);
      store_columns(out, c, n, max(zero(), sum));
    }
  }

  // Level 2 .. kLevels: columns first .. first + width - 1 (first a multiple of kPanel) of `pixels` pixels, whose nine
  // neighbourhoods lie in `taps` [pixels, 9, channels of the level below]. put(pixel, column, vector) stores a result.
  template <class Put>
  I2F_INLINE void level(int k, const float* taps, int64_t pixels, int64_t first, int64_t width, const Put& put) const {
    const int64_t depth = kTaps * channels_.of[k - 1];
    const float* bias = packed_[k - 1].bias(0) + first;
    gemm(taps, depth, 1, pixels, packed_[k - 1].panels(0) + first * depth, depth, width,
         [&](int64_t pixel, int64_t column, Vec value) {
           put(pixel, first + column, max(zero(), value + load(bias + column)));
         });
  }

 private:
  // Row (tap, label): what that tap of level 1 makes of that label. Then the bias.
  void make_label_rows(const RawWeights& raw) {
    const int64_t n = channels_.of[1];
    const int64_t stride = round_up(n, kLanes);
    const int64_t in = channels_.of[0];
    label_rows_ = Buffer((kTaps * kLabels + 1) * stride);
    for (int64_t row = 0; row <= kTaps * kLabels; ++row) {
      float* to = label_rows_.data() + row * stride;
      const float* embed = raw.embeds + row % kLabels * in;
      for (int64_t c = 0; c < stride; ++c) {
        double sum = 0.0;
        if (c < n && row < kTaps * kLabels) {
          const float* weight = raw.weight[0] + c * in * kTaps + row / kLabels;
          for (int64_t i = 0; i < in; ++i) sum += static_cast<double>(embed[i]) * weight[i * kTaps];
        } else if (c < n) {
          sum = static_cast<double>(raw.bias[0][c]);
        }
        to[c] = static_cast<float>(sum);
      }
    }
  }

  // [Co, Ci, taps] -> [Co, taps, Ci] -> packed panels.
  void pack_level(int index, const float* weight, const float* bias) {
    const int64_t out = channels_.of[index + 1];
    const int64_t in = channels_.of[index];
    const Scratch scratch({bytes_of<float>(out * in * kTaps)});
    float* sorted = scratch.part<float>(0);
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < in; ++i) {
        for (int64_t tap = 0; tap < kTaps; ++tap) {
          sorted[(o * kTaps + tap) * in + i] = weight[(o * in + i) * kTaps + tap];
        }
      }
    }
    packed_[index] = pack_linear(sorted, bias, 1, out, kTaps * in);
  }

  void make_table(int k) {
    const int64_t n = channels_.of[k];
    tables_[k - 1] = Buffer(kTableRows * n);
    float* table = tables_[k - 1].data();
    for (int64_t c = 0; c < n; ++c) table[kZeroRow * n + c] = 0.0f;
    const int64_t below = channels_.of[k - 1];
    const Scratch scratch({bytes_of<float>(k > 1 ? kZeroRow * kTaps * below : 0)});
    float* taps = scratch.part<float>(0);
    for (int64_t row = 0; row < kZeroRow; ++row) {
      const int64_t label = row / kPlaces;
      // A pixel at that place reads places of the level below: (row, column) 0 is the first, 1 stands for all others.
      const int64_t top = row % kPlaces / 2 == 1 ? 0 : 1;
      const int64_t left = row % kPlaces % 2 == 1 ? 0 : 1;
      const auto outside = [&](int dy, int dx) { return 2 * top + dy < 1 || 2 * left + dx < 1; };
      if (k == 1) {
        first_level([&](int dy, int dx) { return outside(dy, dx) ? -1 : static_cast<int>(label); }, table + row * n);
        continue;
      }
      for (int dy = 0; dy < 3; ++dy) {
        for (int dx = 0; dx < 3; ++dx) {
          const int64_t place = place_of(2 * top + dy - 1, 2 * left + dx - 1);
          const int64_t from = outside(dy, dx) ? kZeroRow : label * kPlaces + place;
          copy_row(tables_[k - 2].data() + from * below, below, taps + (row * kTaps + dy * 3 + dx) * below);
        }
      }
    }
    if (k > 1) {
      level(k, taps, kZeroRow, 0, n, [=](int64_t row, int64_t column, Vec value) {
        store_columns(table + row * n, column, n, value);
      });
    }
  }

  Channels channels_ = {};
  Buffer label_rows_;
  PackedLinear packed_[kLevels];
  Buffer tables_[kLevels];
};

}  // namespace
}  // namespace I2F_ISA
}  // namespace i2f
