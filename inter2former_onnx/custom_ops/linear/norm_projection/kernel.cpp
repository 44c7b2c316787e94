// NormProjection: LayerNorm and a linear layer in one pass over the tokens; the normalised rows never leave the cache.
#include "linear/normalised.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/tile_gemm.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "linear/norm_projection/ports.def"
#include "native/ort/op_ports.hpp"

// Tokens of one task: their normalised rows stay in the second-level cache while the weights pass by.
constexpr int64_t kTile = tile_height(56);

class NormProjection final : public Kernel {
 public:
  explicit NormProjection(const KernelInfo& info)
      : attributes_(info), weights_(info, input::weight, input::bias) {}
  static Kernel* create(const KernelInfo& info) { return new NormProjection(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    float* y = Outputs(context, in).y;
    PackedLinear local;
    const PackedLinear& linear = weights_.get(in.weight, in.bias, 1, in.P, in.C, &local);

    const int64_t channels = in.C;
    const LayerNorm norm = {in.norm_weight, in.norm_bias, in.epsilon, channels};
    const int64_t width = in.P;
    context.parallel_for(ceil_div(in.N, kTile), [&](int64_t task) {
      const int64_t first = task * kTile;
      const int64_t rows = min_of(kTile, in.N - first);
      const Scratch scratch({bytes_of<float>(tile_floats(rows, channels)), bytes_of<float>(channels)});
      float* tile = scratch.part<float>(0);
      float* normal = scratch.part<float>(1);
      normalise_into_tile(norm, in.x + first * channels, rows, normal, tile);
      float* out = y + first * width;
      const float* padded_bias = linear.bias(0);
      tile_gemm(tile, rows, channels, linear.panels(0), channels, channels, width,
                [=](int64_t row, int64_t column, TileBlock& block) {
                  for_each_vector(block, row, rows, column, width, [=](int64_t i, int64_t j, Vec value) {
                    store_columns(out + i * width, j, width, value + load(padded_bias + j));
                  });
                });
    });
  }

 private:
  Attributes attributes_;
  LinearWeights weights_;
};

}  // namespace

extern const OpDefinition norm_projection_op;
const OpDefinition norm_projection_op = {"NormProjection", ports::kPorts, NormProjection::create};

}  // namespace I2F_ISA
}  // namespace i2f
