// BSQAttention: attention of the other tokens over the buckets of binary codes.
#include "attention/bsq.hpp"
#include "native/maths/rows.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "attention/bsq_attention/ports.def"
#include "native/ort/op_ports.hpp"

class BsqAttention final : public Kernel {
 public:
  explicit BsqAttention(const KernelInfo& info) : attributes_(info) {}
  static Kernel* create(const KernelInfo& info) { return new BsqAttention(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    const int64_t bits = checked_bits(context, in.B);
    if (in.num_heads < 1 || in.D % in.num_heads != 0) {
      context.fail("%lld channels and num_heads=%lld, expected heads of equal size", static_cast<long long>(in.D),
                   static_cast<long long>(in.num_heads));
    }
    float* y = Outputs(context, in).y;
    if (in.No == 0 || in.D == 0) return;

    const int64_t channels = in.D;
    const int64_t head_dim = channels / in.num_heads;
    const BsqMemory memory(in.N, bits, in.num_heads, head_dim);
    memory.pack_projection(in.code_weight, in.code_bias);
    context.parallel_for(memory.chunks(), [&](int64_t chunk) { memory.sum_chunk(in.k, in.v, channels, chunk); });
    const Buckets buckets = memory.collect();

    context.parallel_for(ceil_div(in.No, kPanel), [&](int64_t task) {
      const int64_t first = task * kPanel;
      const int64_t count = min_of(kPanel, in.No - first);
      const BsqScratch scratch(buckets);
      const Scratch result({bytes_of<float>(channels * kPanel)});
      float* out = result.part<float>(0);
      bsq_tile(scratch.tile(), in.q + first * channels, channels, nullptr, count, buckets, in.codebook, out);
      columns_to_rows(out, kPanel, count, channels, y + first * channels);
    });
  }

 private:
  Attributes attributes_;
};

}  // namespace

extern const OpDefinition bsq_attention_op;
const OpDefinition bsq_attention_op = {"BSQAttention", ports::kPorts, BsqAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
