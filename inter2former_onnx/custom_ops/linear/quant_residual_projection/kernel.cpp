// QuantResidualProjection: rounding to bytes, a linear layer of bytes and the residual in one pass over the tokens.
#include "native/maths/int8_weights.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "linear/quant_residual_projection/ports.def"
#include "native/ort/op_ports.hpp"

constexpr int64_t kTile = 96;

class QuantResidualProjection final : public Kernel {
 public:
  explicit QuantResidualProjection(const KernelInfo& info)
      : attributes_(info), weights_(info, input::weight, input::scale, input::bias) {}
  static Kernel* create(const KernelInfo& info) { return new QuantResidualProjection(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    float* y = Outputs(context, in).y;
    PackedInt8 local;
    const PackedInt8& linear = weights_.get(in.weight, in.scale, in.bias, in.P, in.C, &local);

    const int64_t width = in.P;
    context.parallel_for(ceil_div(in.N, kTile), [&](int64_t task) {
      const int64_t first = task * kTile;
      const int64_t count = min_of(kTile, in.N - first);
      const Scratch scratch({QuantisedRows::bytes(linear, count), bytes_of<float>(kTile), bytes_of<float>(kTile)});
      const QuantisedRows rows = {scratch.part<unsigned char>(0), scratch.part<float>(1), scratch.part<float>(2)};
      quantise_rows(in.x + first * in.C, count, linear, rows);
      int8_gemm(rows, count, linear, Int8AddTo{in.residual + first * width, y + first * width, width});
    });
  }

 private:
  Attributes attributes_;
  Int8Weights weights_;
};

}  // namespace

extern const OpDefinition quant_residual_projection_op;
const OpDefinition quant_residual_projection_op = {"QuantResidualProjection", ports::kPorts,
                                                   QuantResidualProjection::create};

}  // namespace I2F_ISA
}  // namespace i2f
