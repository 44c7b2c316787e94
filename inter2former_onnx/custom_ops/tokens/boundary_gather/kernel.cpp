// BoundaryGather: the rows of x that `boundary` names, and those that `other` names.
#include "native/maths/rows.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "tokens/boundary_gather/ports.def"
#include "native/ort/op_ports.hpp"

// Rows of one task: enough to be worth a thread's attention.
constexpr int64_t kRows = 256;

class BoundaryGather final : public Kernel {
 public:
  explicit BoundaryGather(const KernelInfo& info) : attributes_(info) {}
  static Kernel* create(const KernelInfo& info) { return new BoundaryGather(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    context.check_indices(input::boundary, in.boundary, in.Nb, in.N);
    context.check_indices(input::other, in.other, in.No, in.N);
    const Outputs out(context, in);

    const int64_t width = in.C;
    const int64_t tasks = ceil_div(in.Nb, kRows);
    context.parallel_for(tasks + ceil_div(in.No, kRows), [&](int64_t task) {
      const bool first = task < tasks;
      const int64_t* rows = first ? in.boundary : in.other;
      const int64_t begin = (first ? task : task - tasks) * kRows;
      const int64_t end = min_of(begin + kRows, first ? in.Nb : in.No);
      float* to = first ? out.x_boundary : out.x_other;
      for (int64_t i = begin; i < end; ++i) {
        copy_row(in.x + rows[i] * width, width, to + i * width);
      }
    });
  }

 private:
  Attributes attributes_;
};

}  // namespace

extern const OpDefinition boundary_gather_op;
const OpDefinition boundary_gather_op = {"BoundaryGather", ports::kPorts, BoundaryGather::create};

}  // namespace I2F_ISA
}  // namespace i2f
