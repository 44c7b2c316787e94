// BoundaryScatter: puts the rows of the two routes back to where BoundaryGather took them from.
#include "native/maths/rows.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "tokens/boundary_scatter/ports.def"
#include "native/ort/op_ports.hpp"

// Rows of one task: enough to be worth a thread's attention.
constexpr int64_t kRows = 256;

class BoundaryScatter final : public Kernel {
 public:
  explicit BoundaryScatter(const KernelInfo& info) : attributes_(info) {}
  static Kernel* create(const KernelInfo& info) { return new BoundaryScatter(info); }

  void compute(const Context& context) const override {
    Inputs in(context, attributes_);
    context.check_partition(input::boundary, in.boundary, in.Nb, input::other, in.other, in.No);
    in.N = in.Nb + in.No;
    float* x = Outputs(context, in).x;

    const int64_t width = in.C;
    const int64_t tasks = ceil_div(in.Nb, kRows);
    context.parallel_for(tasks + ceil_div(in.No, kRows), [&](int64_t task) {
      const bool first = task < tasks;
      const int64_t* rows = first ? in.boundary : in.other;
      const float* from = first ? in.x_boundary : in.x_other;
      const int64_t begin = (first ? task : task - tasks) * kRows;
      const int64_t end = min_of(begin + kRows, first ? in.Nb : in.No);
      for (int64_t i = begin; i < end; ++i) copy_row(from + i * width, width, x + rows[i] * width);
    });
  }

 private:
  Attributes attributes_;
};

}  // namespace

extern const OpDefinition boundary_scatter_op;
const OpDefinition boundary_scatter_op = {"BoundaryScatter", ports::kPorts, BoundaryScatter::create};

}  // namespace I2F_ISA
}  // namespace i2f
