// Conv3x3: a convolution over a map as it lies, strip by strip.
#include "native/ort/kernel.hpp"
#include "native/maths/direct_conv.hpp"
#include "native/maths/rows.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kX, kWeight, kBias, kInputCount };

const PortDefinition kInputs[kInputCount] = {
    {"x", Element::kFloat}, {"weight", Element::kFloat}, {"bias", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

constexpr int64_t kRowsOfTask = 8;

class Conv3x3 final : public Kernel {
 public:
  explicit Conv3x3(const KernelInfo& info) : stride_(info.int_attribute("stride")) {
    if (stride_ != 1 && stride_ != 2) {
      fail("inter2former::Conv3x3: stride is %lld, expected 1 or 2", static_cast<long long>(stride_));
    }
    TensorView weight;
    // A wrong shape is reported by compute, which knows what to compare it with.
    if (!info.constant_input(kWeight, &weight) || weight.rank != 4 || weight.dims[2] != 3 || weight.dims[3] != 3) {
      return;
    }
    packed_ = pack_conv(static_cast<const float*>(weight.data), weight.dims[0], weight.dims[1], stride_);
    constant_ = true;
  }
  static Kernel* create(const KernelInfo& info) { return new Conv3x3(info); }

  void compute(const Context& context) const override {
    Dim h{"H"}, w{"W"}, in{"Ci"}, out{"Co"}, three{"3", 3};
    const float* x = context.f32(kX, {&h, &w, &in});
    const float* weight = context.f32(kWeight, {&out, &in, &three, &three});
    const float* bias = context.f32(kBias, {&out});
    const int64_t height = ceil_div(h.value, stride_);
    const int64_t width = ceil_div(w.value, stride_);
    float* y = context.f32_output(0, {height, width, out.value});
    if (height * width * out.value == 0) return;
    DirectConv local;
    if (!constant_) local = pack_conv(weight, out.value, in.value, stride_);
    const DirectConv& conv = constant_ ? packed_ : local;

    const int64_t padded_width = round_up(conv.width(), kPanel);
    const Scratch shared({bytes_of<float>(padded_width)});
    float* group_bias = shared.part<float>(0);
    repeat(bias, out.value, padded_width, group_bias);
    const int64_t line = conv.columns_read(width) * in.value;
    const int64_t row_floats = width * out.value;
    context.parallel_for(ceil_div(height, kRowsOfTask), [&](int64_t task) {
      const int64_t first = task * kRowsOfTask;
      const int64_t rows = min_of(kRowsOfTask, height - first);
      const int64_t seen = (rows - 1) * stride_ + 3;
      const Scratch scratch({bytes_of<float>(seen * line)});
      float* patch = scratch.part<float>(0);
      fill_patch(first * stride_ - 1, seen, h.value, w.value * in.value, in.value, line, patch,
                 [&](int64_t row, int64_t count, float* to) {
                   memcpy(to, x + row * w.value * in.value, static_cast<size_t>(bytes_of<float>(count)));
                 });
      float* to = y + first * row_floats;
      convolve(conv, patch, line, rows, width, [=](int64_t row, int64_t at, int64_t column, int64_t lanes, Vec value) {
        store_up_to(to + row * row_floats + at, value + load(group_bias + column), lanes);
      });
    });
  }

 private:
  int64_t stride_;
  DirectConv packed_;
  bool constant_ = false;
};

}  // namespace

extern const OpDefinition conv3x3_op;
const OpDefinition conv3x3_op = {"Conv3x3", kInputs, kInputCount, kOutputs, 1, Conv3x3::create};

}  // namespace I2F_ISA
}  // namespace i2f
