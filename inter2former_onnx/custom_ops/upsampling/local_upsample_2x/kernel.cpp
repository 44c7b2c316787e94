// LocalUpsample2x: one level of the mask decoder. The convolution is applied at low resolution, tap by tap, and its
// products are doubled and added while they are in the cache: a quarter of the arithmetic, and nothing of the size of
// the products ever goes to memory.
#include "native/ort/kernel.hpp"

#include "upsampling/local_upsample_2x/strip.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "upsampling/local_upsample_2x/ports.def"
#include "native/ort/op_ports.hpp"

class LocalUpsample2x final : public Kernel {
 public:
  explicit LocalUpsample2x(const KernelInfo& info) : attributes_(info) {
    if (attributes_.activation != 0 && attributes_.activation != 1) {
      fail("inter2former::%s: the attribute 'activation' is %lld, expected 0 (none) or 1 (SiLU)", info.op().name,
           static_cast<long long>(attributes_.activation));
    }
    Inputs constants(attributes_);
    constant_ = constants.take_constants(info, input::weight, input::weight);
    if (constant_) weights_ = TapWeights(constants.weight, constants.Co, constants.Ci);
  }
  static Kernel* create(const KernelInfo& info) { return new LocalUpsample2x(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    const EdgeTerm edge = edge_term(context, in);
    if (in.Ci == 0) {
      context.fail("input 'x' has shape [%lld, %lld, 0], expected at least one channel",
                   static_cast<long long>(in.rows), static_cast<long long>(in.columns));
    }
    float* y = Outputs(context, in).y;
    if (in.Co == 0) return;

    const Layout layout = layout_of(in.rows, in.columns, in.Ci, in.Co);
    TapWeights local;
    if (!constant_) local = TapWeights(in.weight, in.Co, in.Ci);
    const TapWeights& weights = constant_ ? weights_ : local;
    const Scratch scratch({bytes_of<float>(in.Ci), bytes_of<float>(in.Ci)});
    const GroupNorm norm = group_norm(context, in.x, in.rows * in.columns * in.Ci, in.norm_weight, in.norm_bias, in.Ci,
                                      in.epsilon, scratch.part<float>(0), scratch.part<float>(1));
    const bool activation = in.activation == 1;
    const int64_t blocks = layout.row_blocks();
    context.parallel_for(blocks * layout.groups, [&](int64_t task) {
      const int64_t group = task % layout.groups;
      const int64_t block = task / layout.groups;
      Strip strip(layout, norm, edge, activation, in.x, y);
      strip.run(group, weights.group(group), layout.height * block / blocks, layout.height * (block + 1) / blocks);
    });
  }

 private:
  // Checks that the edge tensors, the box and x fit together, and finds the crop's place.
  static EdgeTerm edge_term(const Context& context, const Inputs& in) {
    const int64_t s = in.h > 0 ? in.H / in.h : 0;
    if (s < 1 || s * in.h != in.H || s * in.w != in.W) {
      context.fail(
          "input 'edge' covers %lld x %lld pixels, expected the same whole number of them for each of %lld x %lld tokens",
          static_cast<long long>(in.H), static_cast<long long>(in.W), static_cast<long long>(in.h),
          static_cast<long long>(in.w));
    }
    EdgeTerm edge = {};
    edge.edge = in.edge;
    edge.rows = in.edge_rows;
    edge.columns = in.edge_columns;
    edge.corners = in.edge_corners;
    edge.box = checked_box(context, "box", in.box, {in.h, in.w});
    if (2 * in.rows != s * edge.box.rows() || 2 * in.columns != s * edge.box.columns()) {
      context.fail("input 'x' has %lld rows and %lld columns, expected half of the box's %lld x %lld output pixels",
                   static_cast<long long>(in.rows), static_cast<long long>(in.columns),
                   static_cast<long long>(s * edge.box.rows()), static_cast<long long>(s * edge.box.columns()));
    }
    edge.h = in.h;
    edge.w = in.w;
    edge.s = s;
    edge.co = in.Co;
    return edge;
  }

  Attributes attributes_;
  bool constant_ = false;
  TapWeights weights_;
};

}  // namespace

extern const OpDefinition local_upsample_2x_op;
const OpDefinition local_upsample_2x_op = {"LocalUpsample2x", ports::kPorts, LocalUpsample2x::create};

}  // namespace I2F_ISA
}  // namespace i2f
