// BSQAttention: attention of the other tokens over the buckets of binary codes.
#include "native/ort/kernel.hpp"
#include "attention/bsq.hpp"
#include "native/maths/rows.hpp"
#include "native/memory.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kQ, kK, kV, kCodeWeight, kCodeBias, kCodebook, kInputCount };

const PortDefinition kInputs[kInputCount] = {{"q", Element::kFloat},         {"k", Element::kFloat},
                                             {"v", Element::kFloat},         {"code_weight", Element::kFloat},
                                             {"code_bias", Element::kFloat}, {"codebook", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

class BsqAttention final : public Kernel {
 public:
  explicit BsqAttention(const KernelInfo& info) : heads_(info.int_attribute("num_heads")) {}
  static Kernel* create(const KernelInfo& info) { return new BsqAttention(info); }

  void compute(const Context& context) const override {
    Dim no{"No"}, n{"N"}, d{"D"}, b{"B"};
    const float* q = context.f32(kQ, {&no, &d});
    const float* k = context.f32(kK, {&n, &d});
    const float* v = context.f32(kV, {&n, &d});
    const float* code_weight = context.f32(kCodeWeight, {&b, &d});
    const float* code_bias = context.f32(kCodeBias, {&b});
    const int64_t bits = checked_bits(context, b.value);
    Dim twice{"2B", 2 * bits};
    const float* codebook = context.f32(kCodebook, {&twice, &d});
    if (heads_ < 1 || d.value % heads_ != 0) {
      context.fail("%lld channels and num_heads=%lld, expected heads of equal size", static_cast<long long>(d.value),
                   static_cast<long long>(heads_));
    }
    float* y = context.f32_output(0, {no.value, d.value});
    if (no.value == 0 || d.value == 0) return;

    const int64_t channels = d.value;
    const int64_t head_dim = channels / heads_;
    const BsqMemory memory(n.value, bits, heads_, head_dim);
    memory.pack_projection(code_weight, code_bias);
    context.parallel_for(memory.chunks(), [&](int64_t chunk) { memory.sum_chunk(k, v, channels, chunk); });
    const Buckets buckets = memory.collect();

    context.parallel_for(ceil_div(no.value, kPanel), [&](int64_t task) {
      const int64_t first = task * kPanel;
      const int64_t count = min_of(kPanel, no.value - first);
      const BsqScratch scratch(buckets);
      const Scratch result({bytes_of<float>(channels * kPanel)});
      float* out = result.part<float>(0);
      bsq_tile(scratch.tile(), q + first * channels, channels, nullptr, count, buckets, codebook, out);
      columns_to_rows(out, kPanel, count, channels, y + first * channels);
    });
  }

 private:
  int64_t heads_;
};

}  // namespace

extern const OpDefinition bsq_attention_op;
const OpDefinition bsq_attention_op = {"BSQAttention", kInputs, kInputCount, kOutputs, 1, BsqAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
