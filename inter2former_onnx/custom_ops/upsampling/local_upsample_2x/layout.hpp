// How one level's numbers are laid out and cut into tasks. Depends on shapes only, never on the number of threads.
#pragma once

#include "native/maths/panels.hpp"
#include "native/memory.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

// Taps of a 3 x 3 convolution; tap 3 dy + dx.
constexpr int64_t kTaps = 9;

// The products of the source pixels with the taps lie in planes, one row of the crop after the other.
//   wide    at least a vector of output channels: a plane per tap, the channels of a pixel side by side;
//   narrow  fewer: a plane per tap and output channel, the pixels of a row side by side.
// Either way a row of a plane is contiguous, and a pixel's neighbour is `unit` floats further.
struct Layout {
  int64_t height, width;  // of the source crop
  int64_t in, out;        // channels
  int64_t groups;         // groups of output channels; each is a task of its own, as their products are independent
  int64_t group;          // output channels of a group
  int64_t unit;           // wide: `group` in whole vectors, narrow: 1
  int64_t streams;        // planes per tap; wide: 1, narrow: `group`

  bool wide() const { return unit > 1; }
  int64_t planes() const { return kTaps * streams; }
  // Columns of the source whose rows are interpolated together, so that they stay in the first-level cache.
  int64_t columns() const { return max_of(16, 1024 / (unit * streams) / 16 * 16); }
  // Rows of the source whose products are computed together: some tens of pixels make the matrix product efficient.
  int64_t chunk() const { return wide() ? min_of(height, ceil_div(48, width)) : 1; }
  // Blocks of rows, each a task; the products of two rows above and two below a block are computed once more. Even
  // numbers suit even numbers of threads; a level that is cut into groups needs fewer blocks.
  int64_t row_blocks() const {
    return max_of(1, min_of(groups > 1 ? height / 32 : 2 * ceil_div(height, 64), height / 4));
  }
};

// Channels are cut into groups of this many, where they can: a task's weights and products then fit the second-level
// cache.
constexpr int64_t kGroup = 32;

inline Layout layout_of(int64_t height, int64_t width, int64_t in, int64_t out) {
  Layout layout = {height, width, in, out, 1, out, 1, out};
  if (out < kLanes || out == 1) return layout;
  if (out % kGroup == 0) {
    layout.groups = out / kGroup;
    layout.group = kGroup;
  }
  layout.unit = round_up(layout.group, kLanes);
  layout.streams = 1;
  return layout;
}

// The weights [Co, Ci, 3, 3] as the matrix products take them.
//   wide    for each group packed panels of [Ci, 9 unit], column tap * unit + channel;
//   narrow  [9 Co, Ci], row tap * Co + channel.
class TapWeights {
 public:
  TapWeights() = default;
  TapWeights(const float* weight, int64_t out, int64_t in) {
    const Layout layout = layout_of(1, 1, in, out);
    if (layout.wide()) {
      const int64_t columns = kTaps * layout.unit;
      group_floats_ = packed_floats(in, columns);
      packed_ = Buffer(layout.groups * group_floats_);
      for (int64_t g = 0; g < layout.groups; ++g) {
        pack_panels(in, columns, packed_.data() + g * group_floats_, [&](int64_t k, int64_t column) {
          const int64_t tap = column / layout.unit;
          const int64_t channel = column % layout.unit;
          return channel < layout.group ? weight[((g * layout.group + channel) * in + k) * kTaps + tap] : 0.0f;
        });
      }
    } else {
      packed_ = Buffer(kTaps * out * in);
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        for (int64_t row = 0; row < out * in; ++row) packed_.data()[tap * out * in + row] = weight[row * kTaps + tap];
      }
    }
  }

  const float* group(int64_t g) const { return packed_.data() + g * group_floats_; }

 private:
  Buffer packed_;
  int64_t group_floats_ = 0;
};

}  // namespace
}  // namespace I2F_ISA
}  // namespace i2f
