// LocalBox: bounding box of the tokens whose localisation exceeds a threshold, the whole grid when there is none.
#include "native/ort/kernel.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

const PortDefinition kInputs[] = {{"localisation", Element::kFloat}, {"threshold", Element::kFloat}};
const PortDefinition kOutputs[] = {{"box", Element::kInt64}};

class LocalBox final : public Kernel {
 public:
  static Kernel* create(const KernelInfo&) { return new LocalBox(); }

  void compute(const Context& context) const override {
    Dim h{"h"}, w{"w"};
    const float* values = context.f32(0, {&h, &w});
    const float threshold = *context.f32(1, {});
    int64_t* box = context.i64_output(0, {4});
    int64_t left = w.value, right = 0, top = h.value, bottom = 0;
    for (int64_t i = 0; i < h.value; ++i) {
      for (int64_t j = 0; j < w.value; ++j) {
        // False for NaN, in either place.
        if (!(values[i * w.value + j] > threshold)) continue;
        left = min_of(left, j);
        right = max_of(right, j + 1);
        top = min_of(top, i);
        bottom = i + 1;
      }
    }
    const bool none = bottom == 0;
    box[0] = none ? 0 : left;
    box[1] = none ? 0 : top;
    box[2] = none ? w.value : right;
    box[3] = none ? h.value : bottom;
  }
};

}  // namespace

extern const OpDefinition local_box_op;
const OpDefinition local_box_op = {"LocalBox", kInputs, 2, kOutputs, 1, LocalBox::create};

}  // namespace I2F_ISA
}  // namespace i2f
