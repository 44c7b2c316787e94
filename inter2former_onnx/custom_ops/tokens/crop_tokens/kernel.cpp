// CropTokens: the tokens inside a box of the grid, copied row by row.
#include "native/maths/rows.hpp"
#include "native/maths/token_grid.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "tokens/crop_tokens/ports.def"
#include "native/ort/op_ports.hpp"

// Floats of one task: enough to be worth a thread's attention.
constexpr int64_t kTaskFloats = 1 << 16;

class CropTokens final : public Kernel {
 public:
  explicit CropTokens(const KernelInfo& info) : attributes_(info) {}
  static Kernel* create(const KernelInfo& info) { return new CropTokens(info); }

  void compute(const Context& context) const override {
    Inputs in(context, attributes_);
    const Grid grid = checked_grid(context, "grid", in.grid, in.N);
    const Box box = checked_box(context, "box", in.box, grid);
    in.rows = box.rows();
    in.columns = box.columns();
    const int64_t run = in.columns * in.C;
    float* y = Outputs(context, in).y;
    if (run == 0) return;

    const int64_t task_rows = max_of(1, kTaskFloats / run);
    context.parallel_for(ceil_div(in.rows, task_rows), [&](int64_t task) {
      const int64_t end = min_of((task + 1) * task_rows, in.rows);
      for (int64_t i = task * task_rows; i < end; ++i) {
        copy_row(in.x + ((box.top + i) * grid.columns + box.left) * in.C, run, y + i * run);
      }
    });
  }

 private:
  Attributes attributes_;
};

}  // namespace

extern const OpDefinition crop_tokens_op;
const OpDefinition crop_tokens_op = {"CropTokens", ports::kPorts, CropTokens::create};

}  // namespace I2F_ISA
}  // namespace i2f
