// AddPrompt: the image's embedding plus the prompt's inside the region of interest, plus the background's outside.
#include "native/kernel.hpp"
#include "native/rows.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t { kEmbed, kPrompt, kOffset, kBackground, kInputCount };

const PortDefinition kInputs[kInputCount] = {{"embed", Element::kFloat},
                                             {"prompt", Element::kFloat},
                                             {"offset", Element::kInt64},
                                             {"background", Element::kFloat}};
const PortDefinition kOutputs[] = {{"x", Element::kFloat}};

// Token rows of one task.
constexpr int64_t kTokenRows = 4;

class AddPrompt final : public Kernel {
 public:
  static Kernel* create(const KernelInfo&) { return new AddPrompt(); }

  void compute(const Context& context) const override {
    Dim h{"h"}, w{"w"}, c{"C"}, rh{"rh"}, rw{"rw"}, two{"2", 2};
    const float* embed = context.f32(kEmbed, {&h, &w, &c});
    const float* prompt = context.f32(kPrompt, {&rh, &rw, &c});
    const int64_t* offset = context.i64(kOffset, {&two});
    const float* background = context.f32(kBackground, {&c});
    const int64_t top = offset[0];
    const int64_t left = offset[1];
    // Written so that no sum can overflow.
    if (top < 0 || left < 0 || rh.value > h.value || rw.value > w.value || top > h.value - rh.value ||
        left > w.value - rw.value) {
      context.fail(
          "input 'offset' holds (%lld, %lld), expected a place for a region of %lld x %lld tokens in a grid of "
          "%lld x %lld",
          static_cast<long long>(top), static_cast<long long>(left), static_cast<long long>(rh.value),
          static_cast<long long>(rw.value), static_cast<long long>(h.value), static_cast<long long>(w.value));
    }
    float* x = context.f32_output(0, {h.value * w.value, c.value});

    const int64_t width = c.value;
    const int64_t bottom = top + rh.value;
    const int64_t right = left + rw.value;
    context.parallel_for(ceil_div(h.value, kTokenRows), [&](int64_t task) {
      const int64_t last = min_of((task + 1) * kTokenRows, h.value);
      for (int64_t row = task * kTokenRows; row < last; ++row) {
        for (int64_t column = 0; column < w.value; ++column) {
          const bool inside = row >= top && row < bottom && column >= left && column < right;
          const float* added = inside ? prompt + ((row - top) * rw.value + column - left) * width : background;
          const int64_t token = row * w.value + column;
          add_rows(embed + token * width, added, width, x + token * width);
        }
      }
    });
  }
};

}  // namespace

extern const OpDefinition add_prompt_op;
const OpDefinition add_prompt_op = {"AddPrompt", kInputs, kInputCount, kOutputs, 1, AddPrompt::create};

}  // namespace I2F_ISA
}  // namespace i2f
