// ResidualProjection: a linear layer whose result is added to the residual while it is still in registers.
#include "native/maths/linear_weights.hpp"
#include "native/maths/tile_gemm.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "linear/residual_projection/ports.def"
#include "native/ort/op_ports.hpp"

constexpr int64_t kTile = tile_height(56);

class ResidualProjection final : public Kernel {
 public:
  explicit ResidualProjection(const KernelInfo& info) : attributes_(info), weights_(info, input::weight, input::bias) {}
  static Kernel* create(const KernelInfo& info) { return new ResidualProjection(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    float* y = Outputs(context, in).y;
    PackedLinear local;
    const PackedLinear& linear = weights_.get(in.weight, in.bias, 1, in.P, in.C, &local);

    const int64_t channels = in.C;
    const int64_t width = in.P;
    context.parallel_for(ceil_div(in.N, kTile), [&](int64_t task) {
      const int64_t first = task * kTile;
      const int64_t rows = min_of(kTile, in.N - first);
      const Scratch scratch({bytes_of<float>(tile_floats(rows, channels))});
      float* tile = scratch.part<float>(0);
      for (int64_t i = 0; i < rows; ++i) tile_set_row(tile, channels, i, in.x + (first + i) * channels);
      tile_clear_rest(tile, rows, channels);
      tile_gemm(tile, rows, channels, linear.panels(0), channels, channels, width,
                AddTo{in.residual + first * width, y + first * width, linear.bias(0), rows, width});
    });
  }

 private:
  Attributes attributes_;
  LinearWeights weights_;
};

}  // namespace

extern const OpDefinition residual_projection_op;
const OpDefinition residual_projection_op = {"ResidualProjection", ports::kPorts, ResidualProjection::create};

}  // namespace I2F_ISA
}  // namespace i2f
