// ResidualConvBlock: normalisation, SiLU and convolution strip by strip. Only the map between the two convolutions is
// ever written as a whole; what a convolution reads is normalised and activated in the cache.
#include "edges/residual_conv_block/winograd.hpp"
#include "native/maths/activations.hpp"
#include "native/maths/direct_conv.hpp"
#include "native/maths/group_norm.hpp"
#include "native/maths/rows.hpp"
#include "native/ort/kernel.hpp"

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

struct MapSize {
  int64_t height;
  int64_t width;
  int64_t channels;

  I2F_INLINE int64_t row_floats() const { return width * channels; }
  I2F_INLINE int64_t floats() const { return height * row_floats(); }
};

// silu(norm(x)) of `count` floats of a map, from the first channel of a pixel on. The norm's scale and shift repeat
// after `period` floats, a multiple of kLanes.
I2F_INLINE void activate(const float* x, int64_t count, const GroupNorm& norm, int64_t period, float* to) {
  const Vec centre = set(norm.mean);
  const float* scale = norm.scale;
  const float* shift = norm.shift;
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

// to = [residual +] conv + bias by Winograd's products. fill(first, rows, line, patch) fills a patch of lines of `line`
// floats with rows of what is convolved, see fill_patch.
template <class Fill>
inline void winograd_strips(const Context& context, const MapSize& size, const float* packed, const float* bias,
                            const float* residual, float* to, const Fill& fill) {
  const int64_t tile_columns = ceil_div(size.width, kTileSide);
  const int64_t strip = max_of(1, kFewestTiles / tile_columns) * kTileSide;
  const int64_t line = (tile_columns * kTileSide + 2) * size.channels;
  context.parallel_for(ceil_div(size.height, strip), [&](int64_t task) {
    const int64_t first = task * strip;
    const int64_t rows = min_of(strip, size.height - first);
    const int64_t tile_rows = ceil_div(rows, kTileSide);
    const int64_t seen = tile_rows * kTileSide + 2;
    const int64_t values = winograd_floats(tile_rows * tile_columns, size.channels);
    const Scratch scratch({bytes_of<float>(seen * line), bytes_of<float>(values), bytes_of<float>(values)});
    float* patch = scratch.part<float>(0);
    fill(first - 1, seen, line, patch);
    const int64_t at = first * size.row_floats();
    convolve_winograd(packed, size.channels, patch, tile_rows, tile_columns, scratch.part<float>(1),
                      scratch.part<float>(2),
                      {to + at, bias, residual == nullptr ? nullptr : residual + at, rows, size.width});
  });
}

// The same by products over the map as it lies.
template <class Fill>
inline void direct_strips(const Context& context, const MapSize& size, const DirectConv& conv, const float* bias,
                          const float* residual, float* to, const Fill& fill) {
  const int64_t padded_width = round_up(conv.width(), kPanel);
  const Scratch shared({bytes_of<float>(padded_width)});
  float* group_bias = shared.part<float>(0);
  repeat(bias, size.channels, padded_width, group_bias);
  const int64_t line = conv.columns_read(size.width) * size.channels;
  context.parallel_for(ceil_div(size.height, kDirectRows), [&](int64_t task) {
    const int64_t first = task * kDirectRows;
    const int64_t rows = min_of(kDirectRows, size.height - first);
    const Scratch scratch({bytes_of<float>((rows + 2) * line)});
    float* patch = scratch.part<float>(0);
    fill(first - 1, rows + 2, line, patch);
    const int64_t row_floats = size.row_floats();
    float* out = to + first * row_floats;
    const float* skip = residual == nullptr ? nullptr : residual + first * row_floats;
    const auto add = [=](int64_t row, int64_t at, int64_t column, int64_t lanes, Vec value) {
      Vec sum = value + load(group_bias + column);
      if (skip != nullptr) sum = sum + load_up_to(skip + row * row_floats + at, lanes);
      store_up_to(out + row * row_floats + at, sum, lanes);
    };
    convolve(conv, patch, line, rows, size.width, add);
  });
}

// to = [residual +] conv(silu(norm(x))) + bias.
inline void norm_silu_conv(const Context& context, const float* x, const MapSize& size, const float* norm_weight,
                           const float* norm_bias, float epsilon, const ConvWeights& conv, const float* bias,
                           const float* residual, float* to) {
  const int64_t channels = size.channels;
  const int64_t period = channels % kLanes == 0 ? channels : channels * kLanes;
  const Scratch shared({bytes_of<float>(period), bytes_of<float>(period)});
  float* scale = shared.part<float>(0);
  float* shift = shared.part<float>(1);
  const GroupNorm norm =
      group_norm(context, x, size.floats(), norm_weight, norm_bias, channels, epsilon, scale, shift);
  repeat(scale, channels, period, scale);
  repeat(shift, channels, period, shift);
  const auto fill = [&](int64_t first, int64_t rows, int64_t line, float* patch) {
    fill_patch(first, rows, size.height, size.row_floats(), channels, line, patch,
               [&](int64_t y, int64_t count, float* row) {
                 activate(x + y * size.row_floats(), count, norm, period, row);
               });
  };
  if (ConvWeights::by_winograd(channels)) {
    winograd_strips(context, size, conv.winograd.data(), bias, residual, to, fill);
  } else {
    direct_strips(context, size, conv.direct, bias, residual, to, fill);
  }
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
    const MapSize size = {in.H, in.W, in.C};
    const Scratch scratch({bytes_of<float>(size.floats())});
    float* between = scratch.part<float>(0);
    norm_silu_conv(context, in.x, size, in.norm1_weight, in.norm1_bias, in.epsilon, conv1, in.conv1_bias, nullptr,
                   between);
    norm_silu_conv(context, between, size, in.norm2_weight, in.norm2_bias, in.epsilon, conv2, in.conv2_bias, in.x, y);
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
