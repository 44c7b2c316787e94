// NormMlp: LayerNorm, linear, GELU, linear and residual for a tile of tokens at a time. The hidden layer, four times as
// wide as the tokens, exists for one tile and one part of its channels only.
#include "linear/normalised.hpp"
#include "native/maths/activations.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/tile_gemm.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "linear/norm_mlp/ports.def"
#include "native/ort/op_ports.hpp"

// Tokens of one task, and hidden channels at a time: with 768 channels, the normalised tokens, the hidden part and the
// sums take 0.9 MB of the second-level cache, and each pass over the weights serves many tokens.
constexpr int64_t kTile = tile_height(112);
constexpr int64_t kHiddenPart = 512;
static_assert(kHiddenPart % kPanel == 0, "parts are made of whole panels");

class NormMlp final : public Kernel {
 public:
  explicit NormMlp(const KernelInfo& info)
      : attributes_(info), first_(info, input::weight1, input::bias1),
        second_(info, input::weight2, input::bias2) {}
  static Kernel* create(const KernelInfo& info) { return new NormMlp(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    float* y = Outputs(context, in).y;
    PackedLinear local1;
    PackedLinear local2;
    const PackedLinear& first = first_.get(in.weight1, in.bias1, 1, in.H, in.C, &local1);
    const PackedLinear& second = second_.get(in.weight2, in.bias2, 1, in.C, in.H, &local2);

    const int64_t channels = in.C;
    const LayerNorm norm = {in.norm_weight, in.norm_bias, in.epsilon, channels};
    context.parallel_for(ceil_div(in.N, kTile), [&](int64_t task) {
      const int64_t begin = task * kTile;
      const int64_t rows = min_of(kTile, in.N - begin);
      const Scratch scratch({bytes_of<float>(tile_floats(rows, channels)),
                             bytes_of<float>(tile_floats(rows, kHiddenPart)), bytes_of<float>(channels),
                             bytes_of<float>(round_up(channels, kPanel))});
      float* tile = scratch.part<float>(0);
      float* hidden = scratch.part<float>(1);
      float* normal = scratch.part<float>(2);
      float* zeros = scratch.part<float>(3);
      for (int64_t j = 0; j < round_up(channels, kPanel); ++j) zeros[j] = 0.0f;
      const float* from = in.x + begin * channels;
      float* to = y + begin * channels;
      const float* padded_bias2 = second.bias(0);
      normalise_into_tile(norm, from, rows, normal, tile);
      if (in.H == 0) add_bias(from, padded_bias2, rows, channels, to);
      for (int64_t part = 0; part < in.H; part += kHiddenPart) {
        const int64_t width = min_of(kHiddenPart, in.H - part);
        const float* padded_bias1 = first.bias(0) + part;
        tile_gemm(tile, rows, channels, first.panels(0) + part * channels, channels, channels, width,
                  [=](int64_t row, int64_t column, TileBlock& block) {
                    float* chunk = tile_chunk(hidden, width, row, column / kPanel);
                    store_chunk(block, chunk);
                    activate(chunk, padded_bias1 + column);
                  });
        // The first part brings the residual and the bias with it, the others are added to what is there.
        tile_gemm(hidden, rows, width, second.panels(0) + part * kPanel, in.H, width, channels,
                  AddTo{part == 0 ? from : to, to, part == 0 ? padded_bias2 : zeros, rows, channels});
      }
    });
  }

 private:
  // GELU of a chunk plus its biases, in place.
  static I2F_INLINE void activate(float* chunk, const float* bias) {
    for (int v = 0; v < kGemmVectors; ++v) {
      const Vec shift = load(bias + v * kLanes);
      for (int r = 0; r < kTileRows; ++r) {
        float* at = chunk + r * kPanel + v * kLanes;
        store(at, gelu(load(at) + shift));
      }
    }
  }

  static void add_bias(const float* x, const float* bias, int64_t rows, int64_t width, float* y) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < width; ++j) y[i * width + j] = x[i * width + j] + bias[j];
    }
  }

  Attributes attributes_;
  LinearWeights first_;
  LinearWeights second_;
};

}  // namespace

extern const OpDefinition norm_mlp_op;
const OpDefinition norm_mlp_op = {"NormMlp", ports::kPorts, NormMlp::create};

}  // namespace I2F_ISA
}  // namespace i2f
