// ResidualConvBlock: normalisation, SiLU and convolution strip by strip. Only the map between the two convolutions is
// ever written as a whole; what a convolution reads is normalised and activated in the cache.
#include "native/ort/kernel.hpp"
#include "native/maths/crop_norm.hpp"
#include "native/maths/direct_conv.hpp"
#include "native/maths/fast_silu.hpp"
#include "edges/residual_conv_block/winograd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "edges/residual_conv_block/ports.def"
#include "native/ort/op_ports.hpp"

// Output rows of a strip without Winograd: two more are activated for it.
constexpr int64_t kDirectRows = 8;
// Tiles of a strip: products of fewer rows would wait for the weights.
constexpr int64_t kFewestTiles = 32;
// From here on the products outweigh the transformations.
constexpr int64_t kWinogradChannels = 32;

// One convolution's kernel in the form that its channels ask for.
struct ConvWeights {
  DirectConv direct;
  Buffer winograd;
  bool packed = false;

  static I2F_INLINE bool by_winograd(int64_t channels) {
    return channels >= kWinogradChannels && channels % kLanes == 0;
  }
  void pack(const float* weight, int64_t channels) {
    if (by_winograd(channels)) {
      winograd = pack_winograd(weight, channels, channels);
    } else {
      direct = pack_conv(weight, channels, channels, 1);
    }
    packed = true;
  }
};

// silu((x - mean) * scale + shift) of `count` floats; scale and shift repeat after `period` of them, a multiple of
// kLanes.
inline void activate(const float* x, int64_t count, float mean, const float* scale, const float* shift, int64_t period,
                     float* to) {
  const Vec centre = set(mean);
  for (int64_t first = 0; first < count; first += period) {
    const int64_t end = min_of(period, count - first);
    int64_t i = 0;
    for (; i + kLanes <= end; i += kLanes) {
      store(to + first + i, fast_silu(fma(load(x + first + i) - centre, load(scale + i), load(shift + i))));
    }
    if (i < end) {
      const Vec value = fma(load_n(x + first + i, end - i) - centre, load(scale + i), load(shift + i));
      store_n(to + first + i, fast_silu(value), end - i);
    }
  }
}

inline void clear(float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = 0.0f;
}

// to = [residual +] conv(silu(norm(x))) + bias for maps [height, width, channels].
inline void norm_silu_conv(const Context& context, const float* x, int64_t height, int64_t width, int64_t channels,
                           const float* norm_weight, const float* norm_bias, float epsilon, const ConvWeights& conv,
                           const float* bias, const float* residual, float* to) {
  const bool winograd = ConvWeights::by_winograd(channels);
  const int64_t period = channels % kLanes == 0 ? channels : channels * kLanes;
  const int64_t group = winograd ? 0 : round_up(conv.direct.width(), kPanel);
  const Scratch shared({bytes_of<float>(period), bytes_of<float>(period), bytes_of<float>(group)});
  float* scale = shared.part<float>(0);
  float* shift = shared.part<float>(1);
  float* group_bias = shared.part<float>(2);
  for (int64_t i = 0; i < group; ++i) group_bias[i] = bias[i % channels];
  const CropNorm norm =
      crop_norm(context, x, height * width * channels, norm_weight, norm_bias, channels, epsilon, scale, shift);
  for (int64_t i = channels; i < period; ++i) {
    scale[i] = scale[i - channels];
    shift[i] = shift[i - channels];
  }
  const int64_t tile_columns = ceil_div(width, kTileSide);
  const int64_t tile_rows = max_of(1, kFewestTiles / tile_columns);
  const int64_t strip = winograd ? tile_rows * kTileSide : kDirectRows;
  const int64_t pixels = winograd ? tile_columns * kTileSide + 2 : conv.direct.columns_read(width);
  const int64_t line = pixels * channels;

  context.parallel_for(ceil_div(height, strip), [&](int64_t task) {
    const int64_t first = task * strip;
    const int64_t rows = min_of(strip, height - first);
    const int64_t rows_of_tiles = ceil_div(rows, kTileSide);
    const int64_t seen = winograd ? rows_of_tiles * kTileSide + 2 : rows + 2;
    const int64_t values = winograd ? winograd_floats(rows_of_tiles * tile_columns, channels) : 0;
    const Scratch scratch({bytes_of<float>(seen * line), bytes_of<float>(values), bytes_of<float>(values)});
    float* patch = scratch.part<float>(0);
    for (int64_t r = 0; r < seen; ++r) {
      const int64_t y = first + r - 1;
      float* row = patch + r * line;
      if (y < 0 || y >= height) {
        clear(row, line);
        continue;
      }
      clear(row, channels);
      activate(x + y * width * channels, width * channels, norm.mean, scale, shift, period, row + channels);
      clear(row + (width + 1) * channels, (pixels - width - 1) * channels);
    }
    float* out = to + first * width * channels;
    const float* skip = residual == nullptr ? nullptr : residual + first * width * channels;
    if (winograd) {
      convolve_winograd(conv.winograd.data(), channels, patch, rows_of_tiles, tile_columns, scratch.part<float>(1),
                        scratch.part<float>(2), {out, bias, skip, rows, width});
      return;
    }
    const int64_t row_floats = width * channels;
    const auto add = [=](int64_t row, int64_t at, int64_t column, int64_t lanes, Vec value) {
      Vec sum = value + load(group_bias + column);
      float* pixel = out + row * row_floats + at;
      if (lanes == kLanes) {
        if (skip != nullptr) sum = sum + load(skip + row * row_floats + at);
        store(pixel, sum);
      } else {
        if (skip != nullptr) sum = sum + load_n(skip + row * row_floats + at, lanes);
        store_n(pixel, sum, lanes);
      }
    };
    convolve(conv.direct, patch, line, rows, width, add);
  });
}

class ResidualConvBlock final : public Kernel {
 public:
  explicit ResidualConvBlock(const KernelInfo& info) : attributes_(info) {
    Inputs in(attributes_);
    if (in.take_constants(info, input::conv1_weight, input::conv1_weight)) convs_[0].pack(in.conv1_weight, in.C);
    if (in.take_constants(info, input::conv2_weight, input::conv2_weight)) convs_[1].pack(in.conv2_weight, in.C);
  }
  static Kernel* create(const KernelInfo& info) { return new ResidualConvBlock(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    float* y = Outputs(context, in).y;
    if (in.H * in.W * in.C == 0) return;
    ConvWeights local[2];
    const ConvWeights& conv1 = weights(0, in.conv1_weight, in.C, local);
    const ConvWeights& conv2 = weights(1, in.conv2_weight, in.C, local);
    const Scratch scratch({bytes_of<float>(in.H * in.W * in.C)});
    float* between = scratch.part<float>(0);
    norm_silu_conv(context, in.x, in.H, in.W, in.C, in.norm1_weight, in.norm1_bias, in.epsilon, conv1, in.conv1_bias,
                   nullptr, between);
    norm_silu_conv(context, between, in.H, in.W, in.C, in.norm2_weight, in.norm2_bias, in.epsilon, conv2, in.conv2_bias,
                   in.x, y);
  }

 private:
  const ConvWeights& weights(int i, const float* weight, int64_t channels, ConvWeights (&local)[2]) const {
    if (convs_[i].packed) return convs_[i];
    local[i].pack(weight, channels);
    return local[i];
  }

  Attributes attributes_;
  ConvWeights convs_[2];
};

}  // namespace

extern const OpDefinition residual_conv_block_op;
const OpDefinition residual_conv_block_op = {"ResidualConvBlock", ports::kPorts, ResidualConvBlock::create};

}  // namespace I2F_ISA
}  // namespace i2f
