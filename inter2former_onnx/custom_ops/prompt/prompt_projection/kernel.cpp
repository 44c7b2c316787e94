// PromptProjection: the image's embedding plus the prompt's (the background's outside the region), LayerNorm and a
// linear layer in one pass over the tokens. Rows that the encoder has computed already are copied.
#include "native/ort/kernel.hpp"
#include "native/maths/gemm.hpp"
#include "native/maths/layer_norm.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/memory.hpp"
#include "native/maths/rows.hpp"
#include "native/maths/token_grid.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t {
  kEmbed,
  kPrompt,
  kOffset,
  kBackground,
  kNormWeight,
  kNormBias,
  kWeight,
  kBias,
  kBackgroundQkv,
  kUnclickedQkv,
  kChanged,
  kInputCount
};

const PortDefinition kInputs[kInputCount] = {
    {"embed", Element::kFloat},      {"prompt", Element::kFloat},      {"offset", Element::kInt64},
    {"background", Element::kFloat}, {"norm_weight", Element::kFloat}, {"norm_bias", Element::kFloat},
    {"weight", Element::kFloat},     {"bias", Element::kFloat},        {"background_qkv", Element::kFloat},
    {"first_qkv", Element::kFloat},  {"changed", Element::kInt64}};
const PortDefinition kOutputs[] = {{"x", Element::kFloat}, {"qkv", Element::kFloat}};

// Tokens of one task.
constexpr int64_t kTask = 96;
// Rows of one product: the normalised rows stay in the second-level cache while the weights pass by.
constexpr int64_t kTile = 48;

class PromptProjection final : public Kernel {
 public:
  explicit PromptProjection(const KernelInfo& info)
      : epsilon_(info.float_attribute("epsilon")), weights_(info, kWeight, kBias) {}
  static Kernel* create(const KernelInfo& info) { return new PromptProjection(info); }

  void compute(const Context& context) const override {
    Dim h{"h"}, w{"w"}, c{"C"}, rh{"rh"}, rw{"rw"}, two{"2", 2}, p{"P"}, s{"n"};
    const float* embed = context.f32(kEmbed, {&h, &w, &c});
    const float* prompt = context.f32(kPrompt, {&rh, &rw, &c});
    const int64_t* offset = context.i64(kOffset, {&two});
    const float* background = context.f32(kBackground, {&c});
    const float* norm_weight = context.f32(kNormWeight, {&c});
    const float* norm_bias = context.f32(kNormBias, {&c});
    const float* weight = context.f32(kWeight, {&p, &c});
    const float* bias = context.f32(kBias, {&p});
    const int64_t tokens = h.value * w.value;
    Dim n{"h w", tokens};
    const float* background_qkv = context.f32(kBackgroundQkv, {&n, &p});
    const float* unclicked_qkv = context.f32(kUnclickedQkv, {&n, &p});
    const int64_t* changed = context.i64(kChanged, {&s});
    const Region region = {offset[0], offset[1], rh.value, rw.value};
    check_region(context, region, {h.value, w.value});
    context.check_ascending(kChanged, changed, s.value, tokens);
    float* x = context.f32_output(0, {tokens, c.value});
    float* qkv = context.f32_output(1, {tokens, p.value});
    PackedLinear local;
    const PackedLinear& linear = weights_.get(weight, bias, 1, p.value, c.value, &local);

    const int64_t channels = c.value;
    const int64_t width = p.value;
    const int64_t columns = w.value;
    context.parallel_for(ceil_div(tokens, kTask), [&](int64_t task) {
      const int64_t last = min_of((task + 1) * kTask, tokens);
      const Scratch scratch({bytes_of<float>(kTile * channels), bytes_of<int64_t>(kTile)});
      Tile tile = {scratch.part<float>(0), scratch.part<int64_t>(1), 0};
      const auto finish = [&] {
        project(tile, linear, channels, width, qkv);
        tile.count = 0;
      };
      int64_t next = first_at_least(changed, s.value, task * kTask);
      for (int64_t token = task * kTask; token < last; ++token) {
        const int64_t row = token / columns - region.top;
        const int64_t column = token % columns - region.left;
        const bool inside = row >= 0 && row < region.rows && column >= 0 && column < region.columns;
        const bool is_changed = next < s.value && changed[next] == token;
        if (is_changed) ++next;
        const float* added = inside ? prompt + (row * region.columns + column) * channels : background;
        float* sum = x + token * channels;
        add_rows(embed + token * channels, added, channels, sum);
        if (inside && is_changed) {
          layer_norm(sum, norm_weight, norm_bias, epsilon_, channels, tile.normal + tile.count * channels);
          tile.tokens[tile.count++] = token;
          if (tile.count == kTile) finish();
        } else {
          copy_row((inside ? unclicked_qkv : background_qkv) + token * width, width, qkv + token * width);
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

  float epsilon_;
  LinearWeights weights_;
};

}  // namespace

extern const OpDefinition prompt_projection_op;
const OpDefinition prompt_projection_op = {"PromptProjection", kInputs, kInputCount,
                                           kOutputs,           2,       PromptProjection::create};

}  // namespace I2F_ISA
}  // namespace i2f
