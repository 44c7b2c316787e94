// Localise: four linear layers with SiLU between, tile by tile of tokens, so that only x is read and only the result
// written.
#include "native/maths/activations.hpp"
#include "native/maths/gemm.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/token_grid.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "tokens/localise/ports.def"
#include "native/ort/op_ports.hpp"

constexpr int kLayers = 4;
// Tokens of one task: what the layers hand on to each other stays in the first-level cache.
constexpr int64_t kTile = 96;

class Localise final : public Kernel {
 public:
  explicit Localise(const KernelInfo& info)
      : attributes_(info),
        layers_{LinearWeights(info, input::w0, input::b0), LinearWeights(info, input::w1, input::b1),
                LinearWeights(info, input::w2, input::b2), LinearWeights(info, input::w3, input::b3)} {}
  static Kernel* create(const KernelInfo& info) { return new Localise(info); }

  void compute(const Context& context) const override {
    Inputs in(context, attributes_);
    const Grid grid = checked_grid(context, "grid", in.grid, in.N);
    in.h = grid.rows;
    in.w = grid.columns;
    const int64_t widths[kLayers + 1] = {in.C, in.C1, in.C2, in.C3, 1};
    const float* weights[kLayers] = {in.w0, in.w1, in.w2, in.w3};
    const float* biases[kLayers] = {in.b0, in.b1, in.b2, in.b3};
    float* y = Outputs(context, in).localisation;
    PackedLinear local[kLayers];
    const PackedLinear* packed[kLayers];
    for (int i = 0; i < kLayers; ++i) {
      packed[i] = &layers_[i].get(weights[i], biases[i], 1, widths[i + 1], widths[i], &local[i]);
    }

    context.parallel_for(ceil_div(in.N, kTile), [&](int64_t task) {
      const int64_t first = task * kTile;
      const int64_t rows = min_of(kTile, in.N - first);
      const Scratch scratch({bytes_of<float>(rows * widths[1]), bytes_of<float>(rows * widths[2]),
                             bytes_of<float>(rows * widths[3])});
      const float* from = in.x + first * widths[0];
      for (int i = 0; i < kLayers; ++i) {
        const int64_t width = widths[i + 1];
        float* to = i < kLayers - 1 ? scratch.part<float>(i) : y + first;
        const float* bias = packed[i]->bias(0);
        gemm(from, widths[i], 1, rows, packed[i]->panels(0), widths[i], width,
             [=](int64_t row, int64_t column, Vec value) {
               store_columns(to + row * width, column, width, value + load(bias + column));
             });
        // Over all rows at once: most layers are narrower than a vector.
        if (i < kLayers - 1) apply_silu(to, rows * width);
        from = to;
      }
    });
  }

 private:
  static void apply_silu(float* values, int64_t n) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(values + i, fast_silu(load(values + i)));
    if (i < n) store_n(values + i, fast_silu(load_n(values + i, n - i)), n - i);
  }

  Attributes attributes_;
  LinearWeights layers_[kLayers];
};

}  // namespace

extern const OpDefinition localise_op;
const OpDefinition localise_op = {"Localise", ports::kPorts, Localise::create};

}  // namespace I2F_ISA
}  // namespace i2f
