// PromptProjection: the image's embedding plus the prompt's (the background's outside the region), LayerNorm and a
// linear layer in one pass over the tokens. Rows that the encoder has computed already are copied.
#include "native/maths/gemm.hpp"
#include "native/maths/layer_norm.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/rows.hpp"
#include "native/maths/token_grid.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "prompt/prompt_projection/ports.def"
#include "native/ort/op_ports.hpp"

// Tokens of one task.
constexpr int64_t kTask = 96;
// Rows of one product: the normalised rows stay in the second-level cache while the weights pass by.
constexpr int64_t kTile = 48;

class PromptProjection final : public Kernel {
 public:
  explicit PromptProjection(const KernelInfo& info)
      : attributes_(info), weights_(info, input::weight, input::bias) {}
  static Kernel* create(const KernelInfo& info) { return new PromptProjection(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    const int64_t tokens = in.h * in.w;
    const Region region = {in.offset[0], in.offset[1], in.rh, in.rw};
    check_region(context, region, {in.h, in.w});
    context.check_ascending(input::changed, in.changed, in.n, tokens);
    const Outputs out(context, in);
    PackedLinear local;
    const PackedLinear& linear = weights_.get(in.weight, in.bias, 1, in.P, in.C, &local);

    const int64_t channels = in.C;
    const int64_t width = in.P;
    const int64_t columns = in.w;
    context.parallel_for(ceil_div(tokens, kTask), [&](int64_t task) {
      const int64_t last = min_of((task + 1) * kTask, tokens);
      const Scratch scratch({bytes_of<float>(kTile * channels), bytes_of<int64_t>(kTile)});
      Tile tile = {scratch.part<float>(0), scratch.part<int64_t>(1), 0};
      const auto finish = [&] {
        project(tile, linear, channels, width, out.qkv);
        tile.count = 0;
      };
      int64_t next = first_at_least(in.changed, in.n, task * kTask);
      for (int64_t token = task * kTask; token < last; ++token) {
        const int64_t row = token / columns - region.top;
        const int64_t column = token % columns - region.left;
        const bool inside = row >= 0 && row < region.rows && column >= 0 && column < region.columns;
        const bool is_changed = next < in.n && in.changed[next] == token;
        if (is_changed) ++next;
        const float* added = inside ? in.prompt + (row * region.columns + column) * channels : in.background;
        float* sum = out.x + token * channels;
        add_rows(in.embed + token * channels, added, channels, sum);
        if (inside && is_changed) {
          layer_norm(sum, in.norm_weight, in.norm_bias, in.epsilon, channels, tile.normal + tile.count * channels);
          tile.tokens[tile.count++] = token;
          if (tile.count == kTile) finish();
        } else {
          copy_row((inside ? in.first_qkv : in.background_qkv) + token * width, width, out.qkv + token * width);
        }
      }
      if (tile.count > 0) finish();
    });
  }

 private:
  // The tokens that the prompt covers.
  struct Region {
    int64_t top;
    int64_t left;
    int64_t rows;
    int64_t columns;
  };

  static void check_region(const Context& context, const Region& region, const Grid& grid) {
    // Written so that no sum can overflow.
    const bool fits = region.top >= 0 && region.left >= 0 && region.rows <= grid.rows &&
                      region.columns <= grid.columns && region.top <= grid.rows - region.rows &&
                      region.left <= grid.columns - region.columns;
    if (fits) return;
    context.fail(
        "input 'offset' holds (%lld, %lld), expected a place for a region of %lld x %lld tokens in a grid of "
        "%lld x %lld",
        static_cast<long long>(region.top), static_cast<long long>(region.left), static_cast<long long>(region.rows),
        static_cast<long long>(region.columns), static_cast<long long>(grid.rows),
        static_cast<long long>(grid.columns));
  }

  // Normalised rows that wait for their product, and whose they are.
  struct Tile {
    float* normal;
    int64_t* tokens;
    int64_t count;
  };

  static I2F_INLINE void project(const Tile& tile, const PackedLinear& linear, int64_t channels, int64_t width,
                                 float* qkv) {
    const float* bias = linear.bias(0);
    gemm(tile.normal, channels, 1, tile.count, linear.panels(0), channels, width,
         [=](int64_t row, int64_t column, Vec value) {
           store_columns(qkv + tile.tokens[row] * width, column, width, value + load(bias + column));
         });
  }

  Attributes attributes_;
  LinearWeights weights_;
};

}  // namespace

extern const OpDefinition prompt_projection_op;
const OpDefinition prompt_projection_op = {"PromptProjection", ports::kPorts, PromptProjection::create};

}  // namespace I2F_ISA
}  // namespace i2f
