// CropTokens: the tokens inside a box of the grid, copied row by row.
#include "native/ort/kernel.hpp"
#include "native/maths/rows.hpp"
#include "native/maths/token_grid.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

const PortDefinition kInputs[] = {{"x", Element::kFloat}, {"grid", Element::kInt64}, {"box", Element::kInt64}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

// Floats of one task: enough to be worth a thread's attention.
constexpr int64_t kTaskFloats = 1 << 16;

class CropTokens final : public Kernel {
 public:
  static Kernel* create(const KernelInfo&) { return new CropTokens(); }

  void compute(const Context& context) const override {
    Dim n{"N"}, c{"C"}, two{"2", 2}, four{"4", 4};
    const float* x = context.f32(0, {&n, &c});
    const Grid grid = checked_grid(context, "grid", context.i64(1, {&two}), n.value);
    const Box box = checked_box(context, "box", context.i64(2, {&four}), grid);
    const int64_t rows = box.rows();
    const int64_t run = box.columns() * c.value;
    float* y = context.f32_output(0, {rows, box.columns(), c.value});
    if (run == 0) return;

    const int64_t task_rows = max_of(1, kTaskFloats / run);
    context.parallel_for(ceil_div(rows, task_rows), [&](int64_t task) {
      const int64_t end = min_of((task + 1) * task_rows, rows);
      for (int64_t i = task * task_rows; i < end; ++i) {
        copy_row(x + ((box.top + i) * grid.columns + box.left) * c.value, run, y + i * run);
      }
    });
  }
};

}  // namespace

extern const OpDefinition crop_tokens_op;
const OpDefinition crop_tokens_op = {"CropTokens", kInputs, 3, kOutputs, 1, CropTokens::create};

}  // namespace I2F_ISA
}  // namespace i2f
