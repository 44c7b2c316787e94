// BoundaryAttention: rotary attention of the boundary tokens over all tokens, scores never stored beyond one block of
// keys.
#include "attention/attention.hpp"
#include "native/maths/rows.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "attention/boundary_attention/ports.def"
#include "native/ort/op_ports.hpp"

class BoundaryAttention final : public Kernel {
 public:
  explicit BoundaryAttention(const KernelInfo& info) : attributes_(info) {}
  static Kernel* create(const KernelInfo& info) { return new BoundaryAttention(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    const int64_t head_dim = checked_head_dim(context, in.D, in.num_heads);
    const Grid grid = checked_grid(context, "grid", in.grid, in.N);
    context.check_indices(input::boundary, in.boundary, in.Nb, in.N);
    float* y = Outputs(context, in).y;
    if (in.Nb == 0 || in.D == 0) return;

    const int64_t channels = in.D;
    const PreparedKeys prepared(context, in.freqs, grid, in.k, in.v, channels, in.num_heads, head_dim);

    context.parallel_for(ceil_div(in.Nb, kPanel), [&](int64_t task) {
      const int64_t first = task * kPanel;
      const int64_t count = min_of(kPanel, in.Nb - first);
      const AttentionScratch scratch(head_dim);
      const Scratch result({bytes_of<float>(channels * kPanel)});
      float* out = result.part<float>(0);
      attend_tile(scratch.tile(), prepared, in.q + first * channels, channels, nullptr, in.boundary + first, count,
                  out);
      columns_to_rows(out, kPanel, count, channels, y + first * channels);
    });
  }

 private:
  Attributes attributes_;
};

}  // namespace

extern const OpDefinition boundary_attention_op;
const OpDefinition boundary_attention_op = {"BoundaryAttention", ports::kPorts, BoundaryAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
