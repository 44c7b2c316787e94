// QuantNormProjection: LayerNorm, rounding to bytes and a linear layer of bytes in one pass over the tokens.
#include "native/ort/kernel.hpp"
#include "linear/normalised.hpp"
#include "native/maths/int8_weights.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kX, kNormWeight, kNormBias, kWeight, kScale, kBias, kInputCount };

const PortDefinition kInputs[kInputCount] = {{"x", Element::kFloat},         {"norm_weight", Element::kFloat},
                                             {"norm_bias", Element::kFloat}, {"weight", Element::kInt8},
                                             {"scale", Element::kFloat},     {"bias", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

constexpr int64_t kTile = 96;

class QuantNormProjection final : public Kernel {
 public:
  explicit QuantNormProjection(const KernelInfo& info)
      : epsilon_(info.float_attribute("epsilon")), weights_(info, kWeight, kScale, kBias) {}
  static Kernel* create(const KernelInfo& info) { return new QuantNormProjection(info); }

  void compute(const Context& context) const override {
    Dim n{"N"}, c{"C"}, p{"P"};
    const float* x = context.f32(kX, {&n, &c});
    const float* norm_weight = context.f32(kNormWeight, {&c});
    const float* norm_bias = context.f32(kNormBias, {&c});
    const int8_t* weight = context.i8(kWeight, {&p, &c});
    const float* scale = context.f32(kScale, {&p});
    const float* bias = context.f32(kBias, {&p});
    float* y = context.f32_output(0, {n.value, p.value});
    PackedInt8 local;
    const PackedInt8& linear = weights_.get(weight, scale, bias, p.value, c.value, &local);

    const int64_t channels = c.value;
    const LayerNorm norm = {norm_weight, norm_bias, epsilon_, channels};
    const int64_t width = p.value;
    context.parallel_for(ceil_div(n.value, kTile), [&](int64_t task) {
      const int64_t first = task * kTile;
      const int64_t count = min_of(kTile, n.value - first);
      const Scratch scratch({QuantisedRows::bytes(linear, count), bytes_of<float>(kTile), bytes_of<float>(kTile),
                             bytes_of<float>(channels)});
      const QuantisedRows rows = {scratch.part<unsigned char>(0), scratch.part<float>(1), scratch.part<float>(2)};
      float* normal = scratch.part<float>(3);
      normalise_and_quantise(norm, x + first * channels, count, normal, linear, rows);
      float* out = y + first * width;
      int8_gemm(rows, count, linear, [=](int64_t row, int64_t column, Vec value) {
        store_columns(out + row * width, column, width, value);
      });
    });
  }

 private:
  float epsilon_;
  Int8Weights weights_;
};

}  // namespace

extern const OpDefinition quant_norm_projection_op;
const OpDefinition quant_norm_projection_op = {"QuantNormProjection",      kInputs, kInputCount, kOutputs, 1,
                                               QuantNormProjection::create};

}  // namespace I2F_ISA
}  // namespace i2f
