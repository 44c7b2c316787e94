// LocalBox: bounding box of the tokens whose localisation exceeds a threshold, the whole grid when there is none.
#include "native/ort/kernel.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "tokens/local_box/ports.def"
#include "native/ort/op_ports.hpp"

class LocalBox final : public Kernel {
 public:
  explicit LocalBox(const KernelInfo& info) : attributes_(info) {}
  static Kernel* create(const KernelInfo& info) { return new LocalBox(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    const float threshold = *in.threshold;
    int64_t* box = Outputs(context, in).box;
    int64_t left = in.w, right = 0, top = in.h, bottom = 0;
    for (int64_t i = 0; i < in.h; ++i) {
      for (int64_t j = 0; j < in.w; ++j) {
        // False for NaN, in either place.
        if (!(in.localisation[i * in.w + j] > threshold)) continue;
        left = min_of(left, j);
        right = max_of(right, j + 1);
        top = min_of(top, i);
        bottom = i + 1;
      }
    }
    const bool none = bottom == 0;
    box[0] = none ? 0 : left;
    box[1] = none ? 0 : top;
    box[2] = none ? in.w : right;
    box[3] = none ? in.h : bottom;
  }

 private:
  Attributes attributes_;
};

}  // namespace

extern const OpDefinition local_box_op;
const OpDefinition local_box_op = {"LocalBox", ports::kPorts, LocalBox::create};

}  // namespace I2F_ISA
}  // namespace i2f
