// QuantNormProjection: LayerNorm, rounding to bytes and a linear layer of bytes in one pass over the tokens.
#include "linear/normalised.hpp"
#include "native/maths/int8_weights.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "linear/quant_norm_projection/ports.def"
#include "native/ort/op_ports.hpp"

constexpr int64_t kTile = 96;

class QuantNormProjection final : public Kernel {
 public:
  explicit QuantNormProjection(const KernelInfo& info)
      : attributes_(info), weights_(info, input::weight, input::scale, input::bias) {}
  static Kernel* create(const KernelInfo& info) { return new QuantNormProjection(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    float* y = Outputs(context, in).y;
    PackedInt8 local;
    const PackedInt8& linear = weights_.get(in.weight, in.scale, in.bias, in.P, in.C, &local);

    const int64_t channels = in.C;
    const LayerNorm norm = {in.norm_weight, in.norm_bias, in.epsilon, channels};
    const int64_t width = in.P;
    context.parallel_for(ceil_div(in.N, kTile), [&](int64_t task) {
      const int64_t first = task * kTile;
      const int64_t count = min_of(kTile, in.N - first);
      const Scratch scratch({QuantisedRows::bytes(linear, count), bytes_of<float>(kTile), bytes_of<float>(kTile),
                             bytes_of<float>(channels)});
      const QuantisedRows rows = {scratch.part<unsigned char>(0), scratch.part<float>(1), scratch.part<float>(2)};
      float* normal = scratch.part<float>(3);
      normalise_and_quantise(norm, in.x + first * channels, count, normal, linear, rows);
      float* out = y + first * width;
      int8_gemm(rows, count, linear, [=](int64_t row, int64_t column, Vec value) {
        store_columns(out + row * width, column, width, value);
      });
    });
  }

 private:
  Attributes attributes_;
  Int8Weights weights_;
};

}  // namespace

extern const OpDefinition quant_norm_projection_op;
const OpDefinition quant_norm_projection_op = {"QuantNormProjection", ports::kPorts, QuantNormProjection::create};

}  // namespace I2F_ISA
}  // namespace i2f
