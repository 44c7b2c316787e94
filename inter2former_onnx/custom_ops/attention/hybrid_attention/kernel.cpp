// HybridAttention: x + proj(attention of both routes), fused.
#include "native/ort/kernel.hpp"
#include "attention/hybrid.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

const PortDefinition kInputs[kHybridInputs] = {
    {"x", Element::kFloat},           {"qkv", Element::kFloat},       {"boundary", Element::kInt64},
    {"other", Element::kInt64},       {"grid", Element::kInt64},      {"freqs", Element::kFloat},
    {"code_weight", Element::kFloat}, {"code_bias", Element::kFloat}, {"codebook", Element::kFloat},
    {"proj_weight", Element::kFloat}, {"proj_bias", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

class HybridAttention final : public Kernel {
 public:
  explicit HybridAttention(const KernelInfo& info)
      : heads_(info.int_attribute("num_heads")), projection_(info, kProjWeight, kProjBias) {}
  static Kernel* create(const KernelInfo& info) { return new HybridAttention(info); }

  void compute(const Context& context) const override {
    const HybridArguments in = checked_hybrid_inputs(context, heads_);
    float* y = context.f32_output(0, {in.tokens, in.width});
    if (in.tokens == 0 || in.width == 0) return;
    PackedLinear local;
    hybrid_attention(context, in, projection_.get(in.proj_weight, in.proj_bias, 1, in.width, in.channels, &local), y);
  }

 private:
  int64_t heads_;
  LinearWeights projection_;
};

}  // namespace

extern const OpDefinition hybrid_attention_op;
const OpDefinition hybrid_attention_op = {"HybridAttention", kInputs, kHybridInputs,
                                          kOutputs,          1,       HybridAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
