// Conv3x3: a convolution over a map as it lies, strip by strip.
#include "native/maths/direct_conv.hpp"
#include "native/maths/rows.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "edges/conv3x3/ports.def"
#include "native/ort/op_ports.hpp"

constexpr int64_t kRowsOfTask = 8;

class Conv3x3 final : public Kernel {
 public:
  explicit Conv3x3(const KernelInfo& info) : attributes_(info) {
    const int64_t stride = attributes_.stride;
    if (stride != 1 && stride != 2) {
      fail("inter2former::Conv3x3: stride is %lld, expected 1 or 2", static_cast<long long>(stride));
    }
    Inputs weights(attributes_);
    constant_ = weights.take_constants(info, input::weight, input::weight);
    if (constant_) packed_ = pack_conv(weights.weight, weights.Co, weights.Ci, stride);
  }
  static Kernel* create(const KernelInfo& info) { return new Conv3x3(info); }

  void compute(const Context& context) const override {
    Inputs in(context, attributes_);
    const int64_t stride = in.stride;
    const int64_t height = in.rows = ceil_div(in.H, stride);
    const int64_t width = in.columns = ceil_div(in.W, stride);
    float* y = Outputs(context, in).y;
    if (height * width * in.Co == 0) return;
    DirectConv local;
    if (!constant_) local = pack_conv(in.weight, in.Co, in.Ci, stride);
    const DirectConv& conv = constant_ ? packed_ : local;

    const int64_t padded_width = round_up(conv.width(), kPanel);
    const Scratch shared({bytes_of<float>(padded_width)});
    float* group_bias = shared.part<float>(0);
    repeat(in.bias, in.Co, padded_width, group_bias);
    const int64_t line = conv.columns_read(width) * in.Ci;
    const int64_t row_floats = width * in.Co;
    context.parallel_for(ceil_div(height, kRowsOfTask), [&](int64_t task) {
      const int64_t first = task * kRowsOfTask;
      const int64_t rows = min_of(kRowsOfTask, height - first);
      const int64_t seen = (rows - 1) * stride + 3;
      const Scratch scratch({bytes_of<float>(seen * line)});
      float* patch = scratch.part<float>(0);
      fill_patch(first * stride - 1, seen, in.H, in.W * in.Ci, in.Ci, line, patch,
                 [&](int64_t row, int64_t count, float* to) {
                   memcpy(to, in.x + row * in.W * in.Ci, static_cast<size_t>(bytes_of<float>(count)));
                 });
      float* to = y + first * row_floats;
      convolve(conv, patch, line, rows, width, [=](int64_t row, int64_t at, int64_t column, int64_t lanes, Vec value) {
        store_up_to(to + row * row_floats + at, value + load(group_bias + column), lanes);
      });
    });
  }

 private:
  Attributes attributes_;
  DirectConv packed_;
  bool constant_ = false;
};

}  // namespace

extern const OpDefinition conv3x3_op;
const OpDefinition conv3x3_op = {"Conv3x3", ports::kPorts, Conv3x3::create};

}  // namespace I2F_ISA
}  // namespace i2f
