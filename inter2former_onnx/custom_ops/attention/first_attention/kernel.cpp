// FirstAttention: rotary attention of all tokens over all tokens, and the logarithms of the softmax's denominators.
#include "native/ort/kernel.hpp"
#include "attention/attention.hpp"

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
      const Scratch scratch({bytes_of<float>(AttentionTile::query_floats(head_dim)),
                             bytes_of<float>(AttentionTile::score_floats()),
                             bytes_of<float>(AttentionTile::state_floats()), bytes_of<float>(channels * kPanel),
                             bytes_of<float>(heads_ * kPanel)});
      const AttentionTile tile = {scratch.part<float>(0), scratch.part<float>(1), scratch.part<float>(2)};
      float* out = scratch.part<float>(3);
      float* logs = scratch.part<float>(4);
      int64_t tokens[kPanel];
      for (int64_t i = 0; i < kPanel; ++i) tokens[i] = first + i;
      attend_tile(tile, prepared.rotary(), grid, qkv, stride, tokens, tokens, count, prepared.keys(), prepared.norms(),
                  out, logs);
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t j = 0; j < channels; ++j) attention[(first + i) * channels + j] = out[j * kPanel + i];
        for (int64_t j = 0; j < heads_; ++j) lse[(first + i) * heads_ + j] = logs[j * kPanel + i];
      }
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
