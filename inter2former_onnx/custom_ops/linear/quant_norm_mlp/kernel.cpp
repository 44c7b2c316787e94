// QuantNormMlp: LayerNorm, linear, GELU, linear and residual for a tile of tokens at a time, both linear layers in
// bytes. The hidden layer exists for one tile only.
#include "linear/normalised.hpp"
#include "native/maths/activations.hpp"
#include "native/maths/int8_weights.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "linear/quant_norm_mlp/ports.def"
#include "native/ort/op_ports.hpp"

// Tokens of one task: their hidden layer, 1.2 MB with 3072 channels, stays in the second-level cache.
constexpr int64_t kTile = 96;

class QuantNormMlp final : public Kernel {
 public:
  explicit QuantNormMlp(const KernelInfo& info)
      : attributes_(info),
        first_(info, input::weight1, input::scale1, input::bias1),
        second_(info, input::weight2, input::scale2, input::bias2) {}
  static Kernel* create(const KernelInfo& info) { return new QuantNormMlp(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    float* y = Outputs(context, in).y;
    PackedInt8 local1;
    PackedInt8 local2;
    const PackedInt8& first = first_.get(in.weight1, in.scale1, in.bias1, in.H, in.C, &local1);
    const PackedInt8& second = second_.get(in.weight2, in.scale2, in.bias2, in.C, in.H, &local2);

    const int64_t channels = in.C;
    const LayerNorm norm = {in.norm_weight, in.norm_bias, in.epsilon, channels};
    const int64_t width = in.H;
    context.parallel_for(ceil_div(in.N, kTile), [&](int64_t task) {
      const int64_t begin = task * kTile;
      const int64_t count = min_of(kTile, in.N - begin);
      // Both layers' quantised rows take turns in one part.
      const int64_t row_bytes = max_of(QuantisedRows::bytes(first, count), QuantisedRows::bytes(second, count));
      const Scratch scratch({row_bytes, bytes_of<float>(kTile), bytes_of<float>(kTile), bytes_of<float>(channels),
                             bytes_of<float>(count * width)});
      const QuantisedRows rows = {scratch.part<unsigned char>(0), scratch.part<float>(1), scratch.part<float>(2)};
      float* normal = scratch.part<float>(3);
      float* hidden = scratch.part<float>(4);
      normalise_and_quantise(norm, in.x + begin * channels, count, normal, first, rows);
      int8_gemm(rows, count, first, [=](int64_t row, int64_t column, Vec value) {
        store_columns(hidden + row * width, column, width, gelu(value));
      });
      quantise_rows(hidden, count, second, rows);
      int8_gemm(rows, count, second, Int8AddTo{in.x + begin * channels, y + begin * channels, channels});
    });
  }

 private:
  Attributes attributes_;
  Int8Weights first_;
  Int8Weights second_;
};

}  // namespace

extern const OpDefinition quant_norm_mlp_op;
const OpDefinition quant_norm_mlp_op = {"QuantNormMlp", ports::kPorts, QuantNormMlp::create};

}  // namespace I2F_ISA
}  // namespace i2f
