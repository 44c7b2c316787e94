// HybridAttention: x + proj(attention of both routes), fused. Queries are gathered while they are rotated, and a tile's
// result goes through the output projection and the residual addition straight to its rows of the output.
#include "native/kernel.hpp"
#include "boundary_attention/attention.hpp"
#include "bsq_attention/bsq.hpp"
#include "native/memory.hpp"
#include "native/residual.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t {
  kX,
  kQkv,
  kBoundary,
  kOther,
  kGrid,
  kFreqs,
  kCodeWeight,
  kCodeBias,
  kCodebook,
  kProjWeight,
  kProjBias,
  kInputCount
};

const PortDefinition kInputs[kInputCount] = {
    {"x", Element::kFloat},           {"qkv", Element::kFloat},       {"boundary", Element::kInt64},
    {"other", Element::kInt64},       {"grid", Element::kInt64},      {"freqs", Element::kFloat},
    {"code_weight", Element::kFloat}, {"code_bias", Element::kFloat}, {"codebook", Element::kFloat},
    {"proj_weight", Element::kFloat}, {"proj_bias", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

// Tokens whose keys one task rotates.
constexpr int64_t kPrepareTokens = 512;

class HybridAttention final : public Kernel {
 public:
  explicit HybridAttention(const KernelInfo& info)
      : heads_(info.int_attribute("num_heads")), projection_(info, kProjWeight, kProjBias) {}
  static Kernel* create(const KernelInfo& info) { return new HybridAttention(info); }

  void compute(const Context& context) const override {
    Dim n{"N"}, c{"C"}, d3{"3D"}, nb{"Nb"}, no{"No"}, two{"2", 2}, b{"B"};
    const float* x = context.f32(kX, {&n, &c});
    const float* qkv = context.f32(kQkv, {&n, &d3});
    if (d3.value % 3 != 0) {
      context.fail("input 'qkv' has %lld columns, expected queries, keys and values of equal width",
                   static_cast<long long>(d3.value));
    }
    Dim d{"D", d3.value / 3};
    const int64_t* boundary = context.i64(kBoundary, {&nb});
    const int64_t* other = context.i64(kOther, {&no});
    const int64_t* grid_input = context.i64(kGrid, {&two});
    const int64_t head_dim = checked_head_dim(context, d.value, heads_);
    Dim quarter{"D/num_heads/4", head_dim / 4};
    const float* freqs = context.f32(kFreqs, {&quarter});
    const float* code_weight = context.f32(kCodeWeight, {&b, &d});
    const float* code_bias = context.f32(kCodeBias, {&b});
    const int64_t bits = checked_bits(context, b.value);
    Dim twice{"2B", 2 * bits};
    const float* codebook = context.f32(kCodebook, {&twice, &d});
    const float* proj_weight = context.f32(kProjWeight, {&c, &d});
    const float* proj_bias = context.f32(kProjBias, {&c});
    const Grid grid = checked_grid(context, "grid", grid_input, n.value);
    if (nb.value + no.value != n.value) {
      context.fail("inputs 'boundary' and 'other' name %lld + %lld tokens, expected N=%lld together",
                   static_cast<long long>(nb.value), static_cast<long long>(no.value), static_cast<long long>(n.value));
    }
    context.check_partition(kBoundary, boundary, nb.value, kOther, other, no.value);
    float* y = context.f32_output(0, {n.value, c.value});
    if (n.value == 0 || c.value == 0) return;
    PackedLinear local;
    const PackedLinear& projection = projection_.get(proj_weight, proj_bias, 1, c.value, d.value, &local);

    const int64_t channels = d.value;
    const int64_t stride = d3.value;
    const int64_t width = c.value;
    const float* k = qkv + channels;
    const float* v = qkv + 2 * channels;

    // First pass over the tokens: rotated keys for the one route, buckets for the other.
    const int64_t rotary_tokens = nb.value > 0 ? n.value : 0;
    const int64_t bsq_tokens = no.value > 0 ? n.value : 0;
    const int64_t blocks = ceil_div(rotary_tokens, kPrepareTokens);
    const int64_t positions = nb.value > 0 ? max_of(grid.rows, grid.columns) : 0;
    const Scratch shared({bytes_of<float>(RotaryTable::floats(positions, head_dim)),
                          bytes_of<float>(key_value_floats(rotary_tokens, channels)),
                          bytes_of<float>(blocks * heads_)});
    const RotaryTable rotary(freqs, head_dim, positions, shared.part<float>(0));
    float* key_data = shared.part<float>(1);
    float* norms = shared.part<float>(2);
    const KeyValues keys = {key_data, rotary_tokens, heads_, head_dim};
    const BsqMemory memory(bsq_tokens, bits, heads_, head_dim);
    memory.pack_projection(code_weight, code_bias);
    context.parallel_for(blocks + memory.chunks(), [&](int64_t task) {
      if (task < blocks) {
        const int64_t first = task * kPrepareTokens;
        prepare_keys(rotary, grid, k, v, stride, first, min_of(first + kPrepareTokens, rotary_tokens), keys, key_data,
                     norms + task * heads_);
      } else {
        memory.sum_chunk(k, v, stride, task - blocks);
      }
    });
    if (blocks > 0) merge_norms(norms, blocks, heads_);
    const Buckets buckets = memory.collect();

    // Second pass: tiles of queries, the expensive route first.
    const int64_t boundary_tiles = ceil_div(nb.value, kPanel);
    const int64_t tiles = boundary_tiles + ceil_div(no.value, kPanel);
    float ones[kPanel];
    for (float& one : ones) one = 1.0f;
    context.parallel_for(tiles, [&](int64_t task) {
      const Scratch result({bytes_of<float>(channels * kPanel)});
      float* attended = result.part<float>(0);
      const int64_t* rows = nullptr;
      int64_t count = 0;
      if (task < boundary_tiles) {
        const int64_t first = task * kPanel;
        rows = boundary + first;
        count = min_of(kPanel, nb.value - first);
        const Scratch scratch({bytes_of<float>(AttentionTile::query_floats(head_dim)),
                               bytes_of<float>(AttentionTile::score_floats()),
                               bytes_of<float>(AttentionTile::state_floats())});
        const AttentionTile tile = {scratch.part<float>(0), scratch.part<float>(1), scratch.part<float>(2)};
        attend_tile(tile, rotary, grid, qkv, stride, rows, rows, count, keys, norms, attended);
      } else {
        const int64_t first = (task - boundary_tiles) * kPanel;
        rows = other + first;
        count = min_of(kPanel, no.value - first);
        const BsqScratch scratch(buckets);
        bsq_tile(scratch.tile(), qkv, stride, rows, count, buckets, codebook, attended);
      }
      const AddToRows add = {x, y, rows, width, projection.bias(0), ones};
      gemm_blocks(attended, 1, kPanel, count, projection.panels(0), channels, width, add);
    });
  }

 private:
  int64_t heads_;
  LinearWeights projection_;
};

}  // namespace

extern const OpDefinition hybrid_attention_op;
const OpDefinition hybrid_attention_op = {"HybridAttention", kInputs, kInputCount,
                                          kOutputs,          1,       HybridAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
