// BoundaryGather: the rows of x that `boundary` names, and those that `other` names.
#include "native/ort/kernel.hpp"
#include "native/maths/rows.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

const PortDefinition kInputs[] = {{"x", Element::kFloat}, {"boundary", Element::kInt64}, {"other", Element::kInt64}};
const PortDefinition kOutputs[] = {{"x_boundary", Element::kFloat}, {"x_other", Element::kFloat}};

// Rows of one task: enough to be worth a thread's attention.
constexpr int64_t kRows = 256;

class BoundaryGather final : public Kernel {
 public:
  static Kernel* create(const KernelInfo&) { return new BoundaryGather(); }

  void compute(const Context& context) const override {
    Dim n{"N"}, c{"C"}, nb{"Nb"}, no{"No"};
    const float* x = context.f32(0, {&n, &c});
    const int64_t* boundary = context.i64(1, {&nb});
    const int64_t* other = context.i64(2, {&no});
    context.check_indices(1, boundary, nb.value, n.value);
    context.check_indices(2, other, no.value, n.value);
    float* x_boundary = context.f32_output(0, {nb.value, c.value});
    float* x_other = context.f32_output(1, {no.value, c.value});

    const int64_t width = c.value;
    const int64_t tasks = ceil_div(nb.value, kRows);
    context.parallel_for(tasks + ceil_div(no.value, kRows), [&](int64_t task) {
      const bool first = task < tasks;
      const int64_t* rows = first ? boundary : other;
      const int64_t begin = (first ? task : task - tasks) * kRows;
      const int64_t end = min_of(begin + kRows, first ? nb.value : no.value);
      float* out = first ? x_boundary : x_other;
      for (int64_t i = begin; i < end; ++i) {
        copy_row(x + rows[i] * width, width, out + i * width);
      }
    });
  }
};

}  // namespace

extern const OpDefinition boundary_gather_op;
const OpDefinition boundary_gather_op = {"BoundaryGather", kInputs, 3, kOutputs, 2, BoundaryGather::create};

}  // namespace I2F_ISA
}  // namespace i2f
