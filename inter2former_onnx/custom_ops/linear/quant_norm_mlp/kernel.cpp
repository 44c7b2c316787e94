// QuantNormMlp: LayerNorm, linear, GELU, linear and residual for a tile of tokens at a time, both linear layers in
// bytes. The hidden layer exists for one tile only.
#include "native/ort/kernel.hpp"
#include "linear/normalised.hpp"
#include "native/maths/activations.hpp"
#include "native/maths/int8_weights.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kX, kNormWeight, kNormBias, kWeight1, kScale1, kBias1, kWeight2, kScale2, kBias2, kInputCount };

const PortDefinition kInputs[kInputCount] = {
    {"x", Element::kFloat},      {"norm_weight", Element::kFloat}, {"norm_bias", Element::kFloat},
    {"weight1", Element::kInt8}, {"scale1", Element::kFloat},      {"bias1", Element::kFloat},
    {"weight2", Element::kInt8}, {"scale2", Element::kFloat},      {"bias2", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

// Tokens of one task: their hidden layer, 1.2 MB with 3072 channels, stays in the second-level cache.
constexpr int64_t kTile = 96;

class QuantNormMlp final : public Kernel {
 public:
  explicit QuantNormMlp(const KernelInfo& info)
      : epsilon_(info.float_attribute("epsilon")),
        first_(info, kWeight1, kScale1, kBias1),
        second_(info, kWeight2, kScale2, kBias2) {}
  static Kernel* create(const KernelInfo& info) { return new QuantNormMlp(info); }

  void compute(const Context& context) const override {
    Dim n{"N"}, c{"C"}, h{"H"};
    const float* x = context.f32(kX, {&n, &c});
    const float* norm_weight = context.f32(kNormWeight, {&c});
    const float* norm_bias = context.f32(kNormBias, {&c});
    const int8_t* weight1 = context.i8(kWeight1, {&h, &c});
    const float* scale1 = context.f32(kScale1, {&h});
    const float* bias1 = context.f32(kBias1, {&h});
    const int8_t* weight2 = context.i8(kWeight2, {&c, &h});
    const float* scale2 = context.f32(kScale2, {&c});
    const float* bias2 = context.f32(kBias2, {&c});
    float* y = context.f32_output(0, {n.value, c.value});
    PackedInt8 local1;
    PackedInt8 local2;
    const PackedInt8& first = first_.get(weight1, scale1, bias1, h.value, c.value, &local1);
    const PackedInt8& second = second_.get(weight2, scale2, bias2, c.value, h.value, &local2);

    const int64_t channels = c.value;
    const LayerNorm norm = {norm_weight, norm_bias, epsilon_, channels};
    const int64_t width = h.value;
    context.parallel_for(ceil_div(n.value, kTile), [&](int64_t task) {
      const int64_t begin = task * kTile;
      const int64_t count = min_of(kTile, n.value - begin);
      // Both layers' quantised rows take turns in one part.
      const int64_t row_bytes = max_of(QuantisedRows::bytes(first, count), QuantisedRows::bytes(second, count));
      const Scratch scratch({row_bytes, bytes_of<float>(kTile), bytes_of<float>(kTile), bytes_of<float>(channels),
                             bytes_of<float>(count * width)});
      const QuantisedRows rows = {scratch.part<unsigned char>(0), scratch.part<float>(1), scratch.part<float>(2)};
      float* normal = scratch.part<float>(3);
      float* hidden = scratch.part<float>(4);
      normalise_and_quantise(norm, x + begin * channels, count, normal, first, rows);
      int8_gemm(rows, count, first, [=](int64_t row, int64_t column, Vec value) {
        store_columns(hidden + row * width, column, width, gelu(value));
      });
      quantise_rows(hidden, count, second, rows);
      int8_gemm(rows, count, second, Int8AddTo{x + begin * channels, y + begin * channels, channels});
    });
  }

 private:
  float epsilon_;
  Int8Weights first_;
  Int8Weights second_;
};

}  // namespace

extern const OpDefinition quant_norm_mlp_op;
const OpDefinition quant_norm_mlp_op = {"QuantNormMlp", kInputs, kInputCount, kOutputs, 1, QuantNormMlp::create};

}  // namespace I2F_ISA
}  // namespace i2f
