// ResidualProjection: a linear layer whose result is added to the residual while it is still in registers.
#include "native/ort/kernel.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/tile_gemm.hpp"
#include "native/memory.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kX, kResidual, kWeight, kBias, kInputCount };

const PortDefinition kInputs[kInputCount] = {
    {"x", Element::kFloat}, {"residual", Element::kFloat}, {"weight", Element::kFloat}, {"bias", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

constexpr int64_t kTile = tile_height(56);

class ResidualProjection final : public Kernel {
 public:
  explicit ResidualProjection(const KernelInfo& info) : weights_(info, kWeight, kBias) {}
  static Kernel* create(const KernelInfo& info) { return new ResidualProjection(info); }

  void compute(const Context& context) const override {
    Dim n{"N"}, c{"C"}, p{"P"};
    const float* x = context.f32(kX, {&n, &c});
    const float* residual = context.f32(kResidual, {&n, &p});
    const float* weight = context.f32(kWeight, {&p, &c});
    const float* bias = context.f32(kBias, {&p});
    float* y = context.f32_output(0, {n.value, p.value});
    PackedLinear local;
    const PackedLinear& linear = weights_.get(weight, bias, 1, p.value, c.value, &local);

    const int64_t channels = c.value;
    const int64_t width = p.value;
    context.parallel_for(ceil_div(n.value, kTile), [&](int64_t task) {
      const int64_t first = task * kTile;
      const int64_t rows = min_of(kTile, n.value - first);
      const Scratch scratch({bytes_of<float>(tile_floats(rows, channels))});
      float* tile = scratch.part<float>(0);
      for (int64_t i = 0; i < rows; ++i) tile_set_row(tile, channels, i, x + (first + i) * channels);
      tile_clear_rest(tile, rows, channels);
      tile_gemm(tile, rows, channels, linear.panels(0), channels, channels, width,
                AddTo{residual + first * width, y + first * width, linear.bias(0), rows, width});
    });
  }

 private:
  LinearWeights weights_;
};

}  // namespace

extern const OpDefinition residual_projection_op;
const OpDefinition residual_projection_op = {"ResidualProjection",      kInputs, kInputCount, kOutputs, 1,
                                             ResidualProjection::create};

}  // namespace I2F_ISA
}  // namespace i2f
