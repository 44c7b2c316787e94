// FirstAttention: rotary attention of all tokens over all tokens, and the logarithms of the softmax's denominators.
#include "attention/attention.hpp"
#include "native/maths/rows.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "attention/first_attention/ports.def"
#include "native/ort/op_ports.hpp"

class FirstAttention final : public Kernel {
 public:
  explicit FirstAttention(const KernelInfo& info) : attributes_(info) {}
  static Kernel* create(const KernelInfo& info) { return new FirstAttention(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    const int64_t head_dim = checked_head_dim(context, in.D, in.num_heads);
    const Grid grid = checked_grid(context, "grid", in.grid, in.N);
    const Outputs outputs(context, in);
    if (in.N == 0) return;

    const int64_t channels = in.D;
    const int64_t stride = 3 * channels;
    const PreparedKeys prepared(context, in.freqs, grid, in.qkv + channels, in.qkv + 2 * channels, stride, in.num_heads,
                                head_dim);
    context.parallel_for(ceil_div(in.N, kPanel), [&](int64_t task) {
      const int64_t first = task * kPanel;
      const int64_t count = min_of(kPanel, in.N - first);
      const AttentionScratch scratch(head_dim);
      const Scratch result({bytes_of<float>(channels * kPanel), bytes_of<float>(in.num_heads * kPanel)});
      float* out = result.part<float>(0);
      float* logs = result.part<float>(1);
      int64_t tokens[kPanel];
      for (int64_t i = 0; i < kPanel; ++i) tokens[i] = first + i;
      attend_tile(scratch.tile(), prepared, in.qkv, stride, tokens, tokens, count, out, logs);
      columns_to_rows(out, kPanel, count, channels, outputs.attention + first * channels);
      columns_to_rows(logs, kPanel, count, in.num_heads, outputs.lse + first * in.num_heads);
    });
  }

 private:
  Attributes attributes_;
};

}  // namespace

extern const OpDefinition first_attention_op;
const OpDefinition first_attention_op = {"FirstAttention", ports::kPorts, FirstAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
