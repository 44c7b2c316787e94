// Both routes of attention with output projection and residual, for HybridAttention and PromptedAttention.
#pragma once

#include "attention/attention.hpp"
#include "attention/bsq.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/residual.hpp"
#include "native/memory.hpp"

namespace i2f {
namespace I2F_ISA {

// The inputs that both ops begin with, checked.
struct HybridArguments {
  const float* x;
  const float* qkv;
  const int64_t* boundary;
  const int64_t* other;
  Grid grid;
  const float* freqs;
  const float* code_weight;
  const float* code_bias;
  const float* codebook;
  const float* proj_weight;
  const float* proj_bias;
  int64_t tokens;
  int64_t width;     // C
  int64_t channels;  // D
  int64_t boundary_count;
  int64_t other_count;
  int64_t bits;
  int64_t heads;
  int64_t head_dim;
};

// Checks what no port can say. `In` are either op's Inputs.
template <class In>
I2F_INLINE HybridArguments checked_hybrid_inputs(const Context& context, const In& in, size_t boundary, size_t other) {
  HybridArguments checked = {};
  checked.head_dim = checked_head_dim(context, in.D, in.num_heads);
  checked.bits = checked_bits(context, in.B);
  checked.grid = checked_grid(context, "grid", in.grid, in.N);
  if (in.Nb + in.No != in.N) {
    context.fail("inputs 'boundary' and 'other' name %lld + %lld tokens, expected N=%lld together",
                 static_cast<long long>(in.Nb), static_cast<long long>(in.No), static_cast<long long>(in.N));
  }
  context.check_partition(boundary, in.boundary, in.Nb, other, in.other, in.No);
  checked.x = in.x;
  checked.qkv = in.qkv;
  checked.boundary = in.boundary;
  checked.other = in.other;
  checked.freqs = in.freqs;
  checked.code_weight = in.code_weight;
  checked.code_bias = in.code_bias;
  checked.codebook = in.codebook;
  checked.proj_weight = in.proj_weight;
  checked.proj_bias = in.proj_bias;
  checked.tokens = in.N;
  checked.width = in.C;
  checked.channels = in.D;
  checked.boundary_count = in.Nb;
  checked.other_count = in.No;
  checked.heads = in.num_heads;
  return checked;
}

// What the attention of the tokens rows[0 .. count-1] gives, [D][kPanel], through the projection to their rows of y.
inline void project_rows(const HybridArguments& in, const PackedLinear& projection, const float* attended,
                         const int64_t* rows, int64_t count, float* y) {
  float ones[kPanel];
  for (float& one : ones) one = 1.0f;
  const AddToRows add = {in.x, y, rows, in.width, projection.bias(0), ones};
  gemm_blocks(attended, 1, kPanel, count, projection.panels(0), in.channels, in.width, add);
}

// y = x + projection of both routes. Queries are gathered while they are rotated, and a tile's result goes through the
// projection and the residual addition straight to its rows of y.
inline void hybrid_attention(const Context& context, const HybridArguments& in, const PackedLinear& projection,
                             float* y) {
  const int64_t channels = in.channels;
  const int64_t stride = 3 * channels;
  const float* k = in.qkv + channels;
  const float* v = in.qkv + 2 * channels;

  // First pass over the tokens: rotated keys for the one route, buckets for the other.
  const PreparedKeys prepared(in.freqs, in.boundary_count > 0 ? in.grid : Grid{0, 0}, in.heads, in.head_dim);
  const BsqMemory memory(in.other_count > 0 ? in.tokens : 0, in.bits, in.heads, in.head_dim);
  memory.pack_projection(in.code_weight, in.code_bias);
  const int64_t blocks = prepared.blocks();
  context.parallel_for(blocks + memory.chunks(), [&](int64_t task) {
    if (task < blocks) {
      prepared.prepare_block(k, v, stride, task);
    } else {
      memory.sum_chunk(k, v, stride, task - blocks);
    }
  });
  prepared.finish();
  const Buckets buckets = memory.collect();

  // Second pass: tiles of queries, the expensive route first.
  const int64_t boundary_tiles = ceil_div(in.boundary_count, kPanel);
  const int64_t tiles = boundary_tiles + ceil_div(in.other_count, kPanel);
  context.parallel_for(tiles, [&](int64_t task) {
    const Scratch result({bytes_of<float>(channels * kPanel)});
    float* attended = result.part<float>(0);
    const int64_t* rows = nullptr;
    int64_t count = 0;
    if (task < boundary_tiles) {
      const int64_t first = task * kPanel;
      rows = in.boundary + first;
      count = min_of(kPanel, in.boundary_count - first);
      const AttentionScratch scratch(in.head_dim);
      attend_tile(scratch.tile(), prepared, in.qkv, stride, rows, rows, count, attended);
    } else {
      const int64_t first = (task - boundary_tiles) * kPanel;
      rows = in.other + first;
      count = min_of(kPanel, in.other_count - first);
      const BsqScratch scratch(buckets);
      bsq_tile(scratch.tile(), in.qkv, stride, rows, count, buckets, in.codebook, attended);
    }
    project_rows(in, projection, attended, rows, count, y);
  });
}

}  // namespace I2F_ISA
}  // namespace i2f
