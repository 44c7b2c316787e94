// Localise: four linear layers with SiLU between, tile by tile of tokens, so that only x is read and only the result
// written.
#include "native/maths/activations.hpp"
#include "native/maths/gemm.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/ort/kernel.hpp"
#include "native/memory.hpp"
#include "native/maths/token_grid.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kX, kGrid, kW0, kB0, kW1, kB1, kW2, kB2, kW3, kB3, kInputCount };

const PortDefinition kInputs[kInputCount] = {
    {"x", Element::kFloat},  {"grid", Element::kInt64}, {"w0", Element::kFloat}, {"b0", Element::kFloat},
    {"w1", Element::kFloat}, {"b1", Element::kFloat},   {"w2", Element::kFloat}, {"b2", Element::kFloat},
    {"w3", Element::kFloat}, {"b3", Element::kFloat}};
const PortDefinition kOutputs[] = {{"localisation", Element::kFloat}};

constexpr int kLayers = 4;
// Tokens of one task: what the layers hand on to each other stays in the first-level cache.
constexpr int64_t kTile = 96;

class Localise final : public Kernel {
 public:
  explicit Localise(const KernelInfo& info)
      : layers_{LinearWeights(info, kW0, kB0), LinearWeights(info, kW1, kB1), LinearWeights(info, kW2, kB2),
                LinearWeights(info, kW3, kB3)} {}
  static Kernel* create(const KernelInfo& info) { return new Localise(info); }

  void compute(const Context& context) const override {
    Dim n{"N"}, two{"2", 2}, widths[kLayers + 1] = {{"C"}, {"C1"}, {"C2"}, {"C3"}, {"1", 1}};
    const float* x = context.f32(kX, {&n, &widths[0]});
    const Grid grid = checked_grid(context, "grid", context.i64(kGrid, {&two}), n.value);
    const float* weights[kLayers];
    const float* biases[kLayers];
    for (int i = 0; i < kLayers; ++i) {
      weights[i] = context.f32(kW0 + 2 * static_cast<size_t>(i), {&widths[i + 1], &widths[i]});
      biases[i] = context.f32(kB0 + 2 * static_cast<size_t>(i), {&widths[i + 1]});
    }
    float* y = context.f32_output(0, {grid.rows, grid.columns});
    PackedLinear local[kLayers];
    const PackedLinear* packed[kLayers];
    for (int i = 0; i < kLayers; ++i) {
      packed[i] = &layers_[i].get(weights[i], biases[i], 1, widths[i + 1].value, widths[i].value, &local[i]);
    }

    context.parallel_for(ceil_div(n.value, kTile), [&](int64_t task) {
      const int64_t first = task * kTile;
      const int64_t rows = min_of(kTile, n.value - first);
      const Scratch scratch({bytes_of<float>(rows * widths[1].value), bytes_of<float>(rows * widths[2].value),
                             bytes_of<float>(rows * widths[3].value)});
      const float* from = x + first * widths[0].value;
      for (int i = 0; i < kLayers; ++i) {
        const int64_t width = widths[i + 1].value;
        float* to = i < kLayers - 1 ? scratch.part<float>(i) : y + first;
        const float* bias = packed[i]->bias(0);
        gemm(from, widths[i].value, 1, rows, packed[i]->panels(0), widths[i].value, width,
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

  LinearWeights layers_[kLayers];
};

}  // namespace

extern const OpDefinition localise_op;
const OpDefinition localise_op = {"Localise", kInputs, kInputCount, kOutputs, 1, Localise::create};

}  // namespace I2F_ISA
}  // namespace i2f
