// BoundaryAttention: rotary attention of the boundary tokens over all tokens, scores never stored beyond one block of
// keys.
#include "native/ort/kernel.hpp"
#include "attention/attention.hpp"
#include "native/maths/rows.hpp"
#include "native/memory.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kQ, kK, kV, kBoundary, kGrid, kFreqs, kInputCount };

const PortDefinition kInputs[kInputCount] = {{"q", Element::kFloat},    {"k", Element::kFloat},
                                             {"v", Element::kFloat},    {"boundary", Element::kInt64},
                                             {"grid", Element::kInt64}, {"freqs", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

class BoundaryAttention final : public Kernel {
 public:
  explicit BoundaryAttention(const KernelInfo& info) : heads_(info.int_attribute("num_heads")) {}
  static Kernel* create(const KernelInfo& info) { return new BoundaryAttention(info); }

  void compute(const Context& context) const override {
    Dim nb{"Nb"}, n{"N"}, d{"D"}, two{"2", 2};
    const float* q = context.f32(kQ, {&nb, &d});
    const float* k = context.f32(kK, {&n, &d});
    const float* v = context.f32(kV, {&n, &d});
    const int64_t* boundary = context.i64(kBoundary, {&nb});
    const int64_t* grid_input = context.i64(kGrid, {&two});
    const int64_t head_dim = checked_head_dim(context, d.value, heads_);
    Dim quarter{"D/num_heads/4", head_dim / 4};
    const float* freqs = context.f32(kFreqs, {&quarter});
    const Grid grid = checked_grid(context, "grid", grid_input, n.value);
    context.check_indices(kBoundary, boundary, nb.value, n.value);
    float* y = context.f32_output(0, {nb.value, d.value});
    if (nb.value == 0 || d.value == 0) return;

    const int64_t channels = d.value;
    const PreparedKeys prepared(context, freqs, grid, k, v, channels, heads_, head_dim);

    context.parallel_for(ceil_div(nb.value, kPanel), [&](int64_t task) {
      const int64_t first = task * kPanel;
      const int64_t count = min_of(kPanel, nb.value - first);
      const AttentionScratch scratch(head_dim);
      const Scratch result({bytes_of<float>(channels * kPanel)});
      float* out = result.part<float>(0);
      attend_tile(scratch.tile(), prepared, q + first * channels, channels, nullptr, boundary + first, count, out);
      columns_to_rows(out, kPanel, count, channels, y + first * channels);
    });
  }

 private:
  int64_t heads_;
};

}  // namespace

extern const OpDefinition boundary_attention_op;
const OpDefinition boundary_attention_op = {"BoundaryAttention",      kInputs, kInputCount, kOutputs, 1,
                                            BoundaryAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
