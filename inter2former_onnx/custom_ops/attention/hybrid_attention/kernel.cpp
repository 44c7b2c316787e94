// HybridAttention: x + proj(attention of both routes), fused.
#include "attention/hybrid.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "attention/hybrid_attention/ports.def"
#include "native/ort/op_ports.hpp"

class HybridAttention final : public Kernel {
 public:
  explicit HybridAttention(const KernelInfo& info)
      : attributes_(info), projection_(info, input::proj_weight, input::proj_bias) {}
  static Kernel* create(const KernelInfo& info) { return new HybridAttention(info); }

  void compute(const Context& context) const override {
    const Inputs inputs(context, attributes_);
    const HybridArguments in = checked_hybrid_inputs(context, inputs, input::boundary, input::other);
    float* y = Outputs(context, inputs).y;
    if (in.tokens == 0 || in.width == 0) return;
    PackedLinear local;
    hybrid_attention(context, in, projection_.get(in.proj_weight, in.proj_bias, 1, in.width, in.channels, &local), y);
  }

 private:
  Attributes attributes_;
  LinearWeights projection_;
};

}  // namespace

extern const OpDefinition hybrid_attention_op;
const OpDefinition hybrid_attention_op = {"HybridAttention", ports::kPorts, HybridAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
