// ResidualConvBlock: normalisation, SiLU and convolution strip by strip. Only the map between the two convolutions is
// ever written as a whole; what a convolution reads is normalised and activated in the cache.
#include "native/ort/kernel.hpp"
#include "native/maths/activations.hpp"
#include "native/maths/direct_conv.hpp"
#include "native/maths/group_norm.hpp"
#include "native/maths/rows.hpp"
#include "edges/residual_conv_block/winograd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t {
  kX,
  kNorm1Weight,
  kNorm1Bias,
  kConv1Weight,
  kConv1Bias,
  kNorm2Weight,
  kNorm2Bias,
  kConv2Weight,
  kConv2Bias,
  kInputCount
};

const PortDefinition kInputs[kInputCount] = {{"x", Element::kFloat},          {"norm1_weight", Element::kFloat},
                                             {"norm1_bias", Element::kFloat}, {"conv1_weight", Element::kFloat},
                                             {"conv1_bias", Element::kFloat}, {"norm2_weight", Element::kFloat},
                                             {"norm2_bias", Element::kFloat}, {"conv2_weight", Element::kFloat},
                                             {"conv2_bias", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

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
  explicit ResidualConvBlock(const KernelInfo& info) : epsilon_(info.float_attribute("epsilon")) {
    for (int i = 0; i < 2; ++i) {
      TensorView weight;
      if (!info.constant_input(i == 0 ? kConv1Weight : kConv2Weight, &weight)) continue;
      // A wrong shape is reported by compute, which knows what to compare it with.
      if (weight.rank != 4 || weight.dims[0] != weight.dims[1] || weight.dims[2] != 3 || weight.dims[3] != 3) continue;
      convs_[i].pack(static_cast<const float*>(weight.data), weight.dims[0]);
    }
  }
  static Kernel* create(const KernelInfo& info) { return new ResidualConvBlock(info); }

  void compute(const Context& context) const override {
    Dim h{"H"}, w{"W"}, c{"C"}, three{"3", 3};
    const float* x = context.f32(kX, {&h, &w, &c});
    const float* norm1_weight = context.f32(kNorm1Weight, {&c});
    const float* norm1_bias = context.f32(kNorm1Bias, {&c});
    const float* conv1_weight = context.f32(kConv1Weight, {&c, &c, &three, &three});
    const float* conv1_bias = context.f32(kConv1Bias, {&c});
    const float* norm2_weight = context.f32(kNorm2Weight, {&c});
    const float* norm2_bias = context.f32(kNorm2Bias, {&c});
    const float* conv2_weight = context.f32(kConv2Weight, {&c, &c, &three, &three});
    const float* conv2_bias = context.f32(kConv2Bias, {&c});
    float* y = context.f32_output(0, {h.value, w.value, c.value});
    if (h.value * w.value * c.value == 0) return;
    ConvWeights local[2];
    const ConvWeights& conv1 = weights(0, conv1_weight, c.value, local);
    const ConvWeights& conv2 = weights(1, conv2_weight, c.value, local);
    const MapSize size = {h.value, w.value, c.value};
    const Scratch scratch({bytes_of<float>(size.floats())});
    float* between = scratch.part<float>(0);
    norm_silu_conv(context, x, size, norm1_weight, norm1_bias, epsilon_, conv1, conv1_bias, nullptr, between);
    norm_silu_conv(context, between, size, norm2_weight, norm2_bias, epsilon_, conv2, conv2_bias, x, y);
  }

 private:
  const ConvWeights& weights(int i, const float* weight, int64_t channels, ConvWeights (&local)[2]) const {
    if (convs_[i].packed) return convs_[i];
    local[i].pack(weight, channels);
    return local[i];
  }

  float epsilon_;
  ConvWeights convs_[2];
};

}  // namespace

extern const OpDefinition residual_conv_block_op;
const OpDefinition residual_conv_block_op = {"ResidualConvBlock",      kInputs, kInputCount, kOutputs, 1,
                                             ResidualConvBlock::create};

}  // namespace I2F_ISA
}  // namespace i2f
