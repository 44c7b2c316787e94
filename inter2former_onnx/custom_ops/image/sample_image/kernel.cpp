// SampleImage: each sample from its four pixels, normalised by a table of the 256 values that a pixel can have.
#include "native/ort/kernel.hpp"
#include "native/memory.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kImage, kRows, kRowsInside, kDown, kColumns, kColumnsInside, kAcross, kMean, kStd, kInputCount };

const PortDefinition kInputs[kInputCount] = {
    {"image", Element::kUint8},  {"rows", Element::kInt64},    {"rows_inside", Element::kFloat},
    {"down", Element::kFloat},   {"columns", Element::kInt64}, {"columns_inside", Element::kFloat},
    {"across", Element::kFloat}, {"mean", Element::kFloat},    {"std", Element::kFloat}};
const PortDefinition kOutputs[] = {{"samples", Element::kFloat}};

constexpr int64_t kChannels = 3;
constexpr int64_t kValues = 256;
constexpr int64_t kRowsOfTask = 16;

class SampleImage final : public Kernel {
 public:
  explicit SampleImage(const KernelInfo& info) : reverse_(info.int_attribute("reverse") != 0) {}
  static Kernel* create(const KernelInfo& info) { return new SampleImage(info); }

  void compute(const Context& context) const override {
    Dim source_h{"H"}, source_w{"W"}, three{"3", kChannels}, two{"2", 2}, h{"h"}, w{"w"};
    const uint8_t* image = context.u8(kImage, {&source_h, &source_w, &three});
    const int64_t* rows = context.i64(kRows, {&two, &h});
    const float* rows_inside = context.f32(kRowsInside, {&two, &h});
    const float* down = context.f32(kDown, {&h});
    const int64_t* columns = context.i64(kColumns, {&two, &w});
    const float* columns_inside = context.f32(kColumnsInside, {&two, &w});
    const float* across = context.f32(kAcross, {&w});
    const float* mean = context.f32(kMean, {&three});
    const float* std = context.f32(kStd, {&three});
    context.check_indices(kRows, rows, 2 * h.value, source_h.value);
    context.check_indices(kColumns, columns, 2 * w.value, source_w.value);
    float* samples = context.f32_output(0, {kChannels, h.value, w.value});

    const int64_t width = w.value;
    const Scratch scratch({bytes_of<float>(kChannels * kValues), bytes_of<float>(2 * width)});
    float* table = scratch.part<float>(0);
    float* weights = scratch.part<float>(1);
    for (int64_t c = 0; c < kChannels; ++c) {
      for (int64_t v = 0; v < kValues; ++v) table[c * kValues + v] = (static_cast<float>(v) - mean[c]) / std[c];
    }
    for (int64_t x = 0; x < width; ++x) {
      weights[x] = (1.0f - across[x]) * columns_inside[x];
      weights[width + x] = across[x] * columns_inside[width + x];
    }
    context.parallel_for(ceil_div(h.value, kRowsOfTask), [&](int64_t task) {
      const int64_t end = min_of((task + 1) * kRowsOfTask, h.value);
      for (int64_t y = task * kRowsOfTask; y < end; ++y) {
        const uint8_t* above = image + rows[y] * source_w.value * kChannels;
        const uint8_t* below = image + rows[h.value + y] * source_w.value * kChannels;
        const float top = (1.0f - down[y]) * rows_inside[y];
        const float bottom = down[y] * rows_inside[h.value + y];
        for (int64_t c = 0; c < kChannels; ++c) {
          const int64_t channel = reverse_ ? kChannels - 1 - c : c;
          const float* values = table + c * kValues;
          float* out = samples + (c * h.value + y) * width;
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
  bool reverse_;
};

}  // namespace

extern const OpDefinition sample_image_op;
const OpDefinition sample_image_op = {"SampleImage", kInputs, kInputCount, kOutputs, 1, SampleImage::create};

}  // namespace I2F_ISA
}  // namespace i2f
