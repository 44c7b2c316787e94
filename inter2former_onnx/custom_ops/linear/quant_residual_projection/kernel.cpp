// QuantResidualProjection: rounding to bytes, a linear layer of bytes and the residual in one pass over the tokens.
#include "native/ort/kernel.hpp"
#include "native/maths/int8_weights.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kX, kResidual, kWeight, kScale, kBias, kInputCount };

const PortDefinition kInputs[kInputCount] = {{"x", Element::kFloat},
                                             {"residual", Element::kFloat},
                                             {"weight", Element::kInt8},
                                             {"scale", Element::kFloat},
                                             {"bias", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

constexpr int64_t kTile = 96;

class QuantResidualProjection final : public Kernel {
 public:
  explicit QuantResidualProjection(const KernelInfo& info) : weights_(info, kWeight, kScale, kBias) {}
  static Kernel* create(const KernelInfo& info) { return new QuantResidualProjection(info); }

  void compute(const Context& context) const override {
    Dim n{"N"}, c{"C"}, p{"P"};
    const float* x = context.f32(kX, {&n, &c});
    const float* residual = context.f32(kResidual, {&n, &p});
    const int8_t* weight = context.i8(kWeight, {&p, &c});
    const float* scale = context.f32(kScale, {&p});
    const float* bias = context.f32(kBias, {&p});
    float* y = context.f32_output(0, {n.value, p.value});
    PackedInt8 local;
    const PackedInt8& linear = weights_.get(weight, scale, bias, p.value, c.value, &local);

    const int64_t width = p.value;
    context.parallel_for(ceil_div(n.value, kTile), [&](int64_t task) {
      const int64_t first = task * kTile;
      const int64_t count = min_of(kTile, n.value - first);
      const Scratch scratch({QuantisedRows::bytes(linear, count), bytes_of<float>(kTile), bytes_of<float>(kTile)});
      const QuantisedRows rows = {scratch.part<unsigned char>(0), scratch.part<float>(1), scratch.part<float>(2)};
      quantise_rows(x + first * c.value, count, linear, rows);
      int8_gemm(rows, count, linear, Int8AddTo{residual + first * width, y + first * width, width});
    });
  }

 private:
  Int8Weights weights_;
};

}  // namespace

extern const OpDefinition quant_residual_projection_op;
const OpDefinition quant_residual_projection_op = {"QuantResidualProjection",      kInputs, kInputCount, kOutputs, 1,
                                                   QuantResidualProjection::create};

}  // namespace I2F_ISA
}  // namespace i2f
