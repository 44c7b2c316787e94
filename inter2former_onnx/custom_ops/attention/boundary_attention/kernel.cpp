// BoundaryAttention: rotary attention of the boundary tokens over all tokens, scores never stored beyond one block of
// keys.
#include "native/ort/kernel.hpp"
#include "attention/attention.hpp"
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
      const Scratch scratch({bytes_of<float>(AttentionTile::query_floats(head_dim)),
                             bytes_of<float>(AttentionTile::score_floats()),
                             bytes_of<float>(AttentionTile::state_floats()), bytes_of<float>(channels * kPanel)});
      const AttentionTile tile = {scratch.part<float>(0), scratch.part<float>(1), scratch.part<float>(2)};
      float* out = scratch.part<float>(3);
      attend_tile(tile, prepared.rotary(), grid, q + first * channels, channels, nullptr, boundary + first, count,
                  prepared.keys(), prepared.norms(), out);
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t j = 0; j < channels; ++j) y[(first + i) * channels + j] = out[j * kPanel + i];
      }
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
