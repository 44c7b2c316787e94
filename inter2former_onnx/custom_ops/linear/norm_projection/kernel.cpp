// NormProjection: LayerNorm and a linear layer in one pass over the tokens; the normalised rows never leave the cache.
#include "native/ort/kernel.hpp"
#include "linear/normalised.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/tile_gemm.hpp"
#include "native/memory.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kX, kNormWeight, kNormBias, kWeight, kBias, kInputCount };

const PortDefinition kInputs[kInputCount] = {{"x", Element::kFloat},
                                             {"norm_weight", Element::kFloat},
                                             {"norm_bias", Element::kFloat},
                                             {"weight", Element::kFloat},
                                             {"bias", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

// Tokens of one task: their normalised rows stay in the second-level cache while the weights pass by.
constexpr int64_t kTile = tile_height(56);

class NormProjection final : public Kernel {
 public:
  explicit NormProjection(const KernelInfo& info)
      : epsilon_(info.float_attribute("epsilon")), weights_(info, kWeight, kBias) {}
  static Kernel* create(const KernelInfo& info) { return new NormProjection(info); }

  void compute(const Context& context) const override {
    Dim n{"N"}, c{"C"}, p{"P"};
    const float* x = context.f32(kX, {&n, &c});
    const float* norm_weight = context.f32(kNormWeight, {&c});
    const float* norm_bias = context.f32(kNormBias, {&c});
    const float* weight = context.f32(kWeight, {&p, &c});
    const float* bias = context.f32(kBias, {&p});
    float* y = context.f32_output(0, {n.value, p.value});
    PackedLinear local;
    const PackedLinear& linear = weights_.get(weight, bias, 1, p.value, c.value, &local);

    const int64_t channels = c.value;
    const LayerNorm norm = {norm_weight, norm_bias, epsilon_, channels};
    const int64_t width = p.value;
    context.parallel_for(ceil_div(n.value, kTile), [&](int64_t task) {
      const int64_t first = task * kTile;
      const int64_t rows = min_of(kTile, n.value - first);
      const Scratch scratch({bytes_of<float>(tile_floats(rows, channels)), bytes_of<float>(channels)});
      float* tile = scratch.part<float>(0);
      float* normal = scratch.part<float>(1);
      normalise_into_tile(norm, x + first * channels, rows, normal, tile);
      float* out = y + first * width;
      const float* padded_bias = linear.bias(0);
      tile_gemm(tile, rows, channels, linear.panels(0), channels, channels, width,
                [=](int64_t row, int64_t column, TileBlock& block) {
                  for_each_vector(block, row, rows, column, width, [=](int64_t i, int64_t j, Vec value) {
                    store_columns(out + i * width, j, width, value + load(padded_bias + j));
                  });
                });
    });
  }

 private:
  float epsilon_;
  LinearWeights weights_;
};

}  // namespace

extern const OpDefinition norm_projection_op;
const OpDefinition norm_projection_op = {"NormProjection", kInputs, kInputCount, kOutputs, 1, NormProjection::create};

}  // namespace I2F_ISA
}  // namespace i2f
