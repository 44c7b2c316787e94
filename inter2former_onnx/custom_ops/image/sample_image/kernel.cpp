// SampleImage: each sample from its four pixels, normalised by a table of the 256 values that a pixel can have.
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "image/sample_image/ports.def"
#include "native/ort/op_ports.hpp"

constexpr int64_t kChannels = 3;
constexpr int64_t kValues = 256;
constexpr int64_t kRowsOfTask = 16;

class SampleImage final : public Kernel {
 public:
  explicit SampleImage(const KernelInfo& info) : attributes_(info) {}
  static Kernel* create(const KernelInfo& info) { return new SampleImage(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    context.check_indices(input::rows, in.rows, 2 * in.h, in.H);
    context.check_indices(input::columns, in.columns, 2 * in.w, in.W);
    float* samples = Outputs(context, in).samples;

    const int64_t width = in.w;
    const int64_t* columns = in.columns;
    const Scratch scratch({bytes_of<float>(kChannels * kValues), bytes_of<float>(2 * width)});
    float* table = scratch.part<float>(0);
    float* weights = scratch.part<float>(1);
    for (int64_t c = 0; c < kChannels; ++c) {
      for (int64_t v = 0; v < kValues; ++v) table[c * kValues + v] = (static_cast<float>(v) - in.mean[c]) / in.std[c];
    }
    for (int64_t x = 0; x < width; ++x) {
      weights[x] = (1.0f - in.across[x]) * in.columns_inside[x];
      weights[width + x] = in.across[x] * in.columns_inside[width + x];
    }
    context.parallel_for(ceil_div(in.h, kRowsOfTask), [&](int64_t task) {
      const int64_t end = min_of((task + 1) * kRowsOfTask, in.h);
      for (int64_t y = task * kRowsOfTask; y < end; ++y) {
        const uint8_t* above = in.image + in.rows[y] * in.W * kChannels;
        const uint8_t* below = in.image + in.rows[in.h + y] * in.W * kChannels;
        const float top = (1.0f - in.down[y]) * in.rows_inside[y];
        const float bottom = in.down[y] * in.rows_inside[in.h + y];
        for (int64_t c = 0; c < kChannels; ++c) {
          const int64_t channel = in.reverse != 0 ? kChannels - 1 - c : c;
          const float* values = table + c * kValues;
          float* out = samples + (c * in.h + y) * width;
          for (int64_t x = 0; x < width; ++x) {
            const int64_t left = columns[x] * kChannels + channel;
            const int64_t right = columns[width + x] * kChannels + channel;
            const float upper = values[above[left]] * weights[x] + values[above[right]] * weights[width + x];
            const float lower = values[below[left]] * weights[x] + values[below[right]] * weights[width + x];
            out[x] = upper * top + lower * bottom;
          }
        }
      }
    });
  }

 private:
  Attributes attributes_;
};

}  // namespace

extern const OpDefinition sample_image_op;
const OpDefinition sample_image_op = {"SampleImage", ports::kPorts, SampleImage::create};

}  // namespace I2F_ISA
}  // namespace i2f
