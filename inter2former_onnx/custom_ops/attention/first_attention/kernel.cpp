// FirstAttention: rotary attention of all tokens over all tokens, and the logarithms of the softmax's denominators.
#include "native/ort/kernel.hpp"
#include "attention/attention.hpp"
#include "native/maths/rows.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kQkv, kGrid, kFreqs, kInputCount };

const PortDefinition kInputs[kInputCount] = {
    {"qkv", Element::kFloat}, {"grid", Element::kInt64}, {"freqs", Element::kFloat}};
const PortDefinition kOutputs[] = {{"attention", Element::kFloat}, {"lse", Element::kFloat}};

class FirstAttention final : public Kernel {
 public:
  explicit FirstAttention(const KernelInfo& info) : heads_(info.int_attribute("num_heads")) {}
  static Kernel* create(const KernelInfo& info) { return new FirstAttention(info); }

  void compute(const Context& context) const override {
    Dim n{"N"}, d3{"3D"}, two{"2", 2};
    const float* qkv = context.f32(kQkv, {&n, &d3});
    const int64_t channels = checked_third(context, d3.value);
    const int64_t* grid_input = context.i64(kGrid, {&two});
    const int64_t head_dim = checked_head_dim(context, channels, heads_);
    Dim quarter{"D/num_heads/4", head_dim / 4};
    const float* freqs = context.f32(kFreqs, {&quarter});
    const Grid grid = checked_grid(context, "grid", grid_input, n.value);
    float* attention = context.f32_output(0, {n.value, channels});
    float* lse = context.f32_output(1, {n.value, heads_});
    if (n.value == 0) return;

    const int64_t stride = d3.value;
    const PreparedKeys prepared(context, freqs, grid, qkv + channels, qkv + 2 * channels, stride, heads_, head_dim);
    context.parallel_for(ceil_div(n.value, kPanel), [&](int64_t task) {
      const int64_t first = task * kPanel;
      const int64_t count = min_of(kPanel, n.value - first);
      const AttentionScratch scratch(head_dim);
      const Scratch result({bytes_of<float>(channels * kPanel), bytes_of<float>(heads_ * kPanel)});
      float* out = result.part<float>(0);
      float* logs = result.part<float>(1);
      int64_t tokens[kPanel];
      for (int64_t i = 0; i < kPanel; ++i) tokens[i] = first + i;
      attend_tile(scratch.tile(), prepared, qkv, stride, tokens, tokens, count, out, logs);
      columns_to_rows(out, kPanel, count, channels, attention + first * channels);
      columns_to_rows(logs, kPanel, count, heads_, lse + first * heads_);
    });
  }

 private:
  int64_t heads_;
};

}  // namespace

extern const OpDefinition first_attention_op;
const OpDefinition first_attention_op = {"FirstAttention", kInputs, kInputCount, kOutputs, 2, FirstAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
