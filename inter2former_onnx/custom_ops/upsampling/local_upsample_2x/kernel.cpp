// LocalUpsample2x: one level of the mask decoder. The convolution is applied at low resolution, tap by tap, and its
// products are doubled and added while they are in the cache: a quarter of the arithmetic, and nothing of the size of
// the products ever goes to memory.
#include "native/ort/kernel.hpp"

#include "upsampling/local_upsample_2x/strip.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t {
  kX,
  kBox,
  kEdge,
  kEdgeRows,
  kEdgeColumns,
  kEdgeCorners,
  kNormWeight,
  kNormBias,
  kWeight,
  kInputCount
};

const PortDefinition kInputs[kInputCount] = {{"x", Element::kFloat},
                                             {"box", Element::kInt64},
                                             {"edge", Element::kFloat},
                                             {"edge_rows", Element::kFloat},
                                             {"edge_columns", Element::kFloat},
                                             {"edge_corners", Element::kFloat},
                                             {"norm_weight", Element::kFloat},
                                             {"norm_bias", Element::kFloat},
                                             {"weight", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

class LocalUpsample2x final : public Kernel {
 public:
  explicit LocalUpsample2x(const KernelInfo& info) : epsilon_(info.float_attribute("epsilon")) {
    const int64_t activation = info.int_attribute("activation");
    if (activation != 0 && activation != 1) {
      fail("inter2former::%s: the attribute 'activation' is %lld, expected 0 (none) or 1 (SiLU)", info.op().name,
           static_cast<long long>(activation));
    }
    activation_ = activation == 1;
    TensorView weight;
    // A wrong shape is reported by compute, which knows what to compare it with.
    constant_ = info.constant_input(kWeight, &weight) && weight.rank == 4 && weight.dims[2] == 3 && weight.dims[3] == 3;
    if (constant_) weights_ = TapWeights(static_cast<const float*>(weight.data), weight.dims[0], weight.dims[1]);
  }
  static Kernel* create(const KernelInfo& info) { return new LocalUpsample2x(info); }

  void compute(const Context& context) const override {
    Dim height{"h'"}, width{"w'"}, in{"Ci"}, out{"Co"}, two{"2", 2}, three{"3", 3}, four{"4", 4};
    Dim edge_height{"H"}, edge_width{"W"}, h{"h"}, w{"w"};
    const float* x = context.f32(kX, {&height, &width, &in});
    const int64_t* box = context.i64(kBox, {&four});
    EdgeTerm edge = {};
    edge.edge = context.f32(kEdge, {&edge_height, &edge_width, &out});
    edge.rows = context.f32(kEdgeRows, {&two, &h, &edge_width, &out});
    edge.columns = context.f32(kEdgeColumns, {&two, &edge_height, &w, &out});
    edge.corners = context.f32(kEdgeCorners, {&two, &two, &h, &w, &out});
    const float* norm_weight = context.f32(kNormWeight, {&in});
    const float* norm_bias = context.f32(kNormBias, {&in});
    const float* weight = context.f32(kWeight, {&out, &in, &three, &three});
    place_crop(context, box, edge_height.value, edge_width.value, h.value, w.value, height.value, width.value, &edge);
    edge.co = out.value;
    if (in.value == 0) context.fail("input 'x' has shape [%lld, %lld, 0], expected at least one channel",
                                    static_cast<long long>(height.value), static_cast<long long>(width.value));
    float* y = context.f32_output(0, {2 * height.value, 2 * width.value, out.value});
    if (out.value == 0) return;

    const Layout layout = layout_of(height.value, width.value, in.value, out.value);
    TapWeights local;
    if (!constant_) local = TapWeights(weight, out.value, in.value);
    const TapWeights& weights = constant_ ? weights_ : local;
    const Scratch scratch({bytes_of<float>(in.value), bytes_of<float>(in.value)});
    const GroupNorm norm =
        group_norm(context, x, height.value * width.value * in.value, norm_weight, norm_bias, in.value, epsilon_,
                   scratch.part<float>(0), scratch.part<float>(1));
    const int64_t blocks = layout.row_blocks();
    context.parallel_for(blocks * layout.groups, [&](int64_t task) {
      const int64_t group = task % layout.groups;
      const int64_t block = task / layout.groups;
      Strip strip(layout, norm, edge, activation_, x, y);
      strip.run(group, weights.group(group), layout.height * block / blocks, layout.height * (block + 1) / blocks);
    });
  }

 private:
  // Checks that the edge tensors, the box and x fit together, and fills in the crop's place.
  static void place_crop(const Context& context, const int64_t* box, int64_t edge_height, int64_t edge_width, int64_t h,
                         int64_t w, int64_t height, int64_t width, EdgeTerm* edge) {
    const int64_t s = h > 0 ? edge_height / h : 0;
    if (s < 1 || s * h != edge_height || s * w != edge_width) {
      context.fail(
          "input 'edge' covers %lld x %lld pixels, expected the same whole number of them for each of %lld x %lld tokens",
          static_cast<long long>(edge_height), static_cast<long long>(edge_width), static_cast<long long>(h),
          static_cast<long long>(w));
    }
    edge->box = checked_box(context, "box", box, {h, w});
    if (2 * height != s * edge->box.rows() || 2 * width != s * edge->box.columns()) {
      context.fail("input 'x' has %lld rows and %lld columns, expected half of the box's %lld x %lld output pixels",
                   static_cast<long long>(height), static_cast<long long>(width),
                   static_cast<long long>(s * edge->box.rows()), static_cast<long long>(s * edge->box.columns()));
    }
    edge->h = h;
    edge->w = w;
    edge->s = s;
  }

  float epsilon_;
  bool activation_ = false;
  bool constant_ = false;
  TapWeights weights_;
};

}  // namespace

extern const OpDefinition local_upsample_2x_op;
const OpDefinition local_upsample_2x_op = {"LocalUpsample2x", kInputs,  kInputCount,
                                           kOutputs,          1,        LocalUpsample2x::create};

}  // namespace I2F_ISA
}  // namespace i2f
