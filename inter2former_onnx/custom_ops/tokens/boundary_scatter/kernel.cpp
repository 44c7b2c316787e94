// BoundaryScatter: puts the rows of the two routes back to where BoundaryGather took them from.
#include "native/ort/kernel.hpp"
#include "native/maths/rows.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kXBoundary, kXOther, kBoundary, kOther, kInputCount };

const PortDefinition kInputs[kInputCount] = {{"x_boundary", Element::kFloat},
                                             {"x_other", Element::kFloat},
                                             {"boundary", Element::kInt64},
                                             {"other", Element::kInt64}};
const PortDefinition kOutputs[] = {{"x", Element::kFloat}};

// Rows of one task: enough to be worth a thread's attention.
constexpr int64_t kRows = 256;

class BoundaryScatter final : public Kernel {
 public:
  static Kernel* create(const KernelInfo&) { return new BoundaryScatter(); }

  void compute(const Context& context) const override {
    Dim nb{"Nb"}, no{"No"}, c{"C"};
    const float* x_boundary = context.f32(kXBoundary, {&nb, &c});
    const float* x_other = context.f32(kXOther, {&no, &c});
    const int64_t* boundary = context.i64(kBoundary, {&nb});
    const int64_t* other = context.i64(kOther, {&no});
    context.check_partition(kBoundary, boundary, nb.value, kOther, other, no.value);
    float* x = context.f32_output(0, {nb.value + no.value, c.value});

    const int64_t width = c.value;
    const int64_t tasks = ceil_div(nb.value, kRows);
    context.parallel_for(tasks + ceil_div(no.value, kRows), [&](int64_t task) {
      const bool first = task < tasks;
      const int64_t* rows = first ? boundary : other;
      const float* from = first ? x_boundary : x_other;
      const int64_t begin = (first ? task : task - tasks) * kRows;
      const int64_t end = min_of(begin + kRows, first ? nb.value : no.value);
      for (int64_t i = begin; i < end; ++i) copy_row(from + i * width, width, x + rows[i] * width);
    });
  }
};

}  // namespace

extern const OpDefinition boundary_scatter_op;
const OpDefinition boundary_scatter_op = {"BoundaryScatter", kInputs, kInputCount,
                                          kOutputs,          1,       BoundaryScatter::create};

}  // namespace I2F_ISA
}  // namespace i2f
