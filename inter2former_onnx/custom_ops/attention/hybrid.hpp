// Both routes of attention with output projection and residual, for HybridAttention and PromptedAttention.
#pragma once

#include "attention/attention.hpp"
#include "attention/bsq.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/residual.hpp"
#include "native/memory.hpp"

namespace i2f {
namespace I2F_ISA {

// HybridAttention's inputs, which both ops begin with, in the order of the definition.
enum HybridInput : size_t {
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
  kHybridInputs
};

// Those inputs, checked.
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

inline HybridArguments checked_hybrid_inputs(const Context& context, int64_t heads) {
  Dim n{"N"}, c{"C"}, d3{"3D"}, nb{"Nb"}, no{"No"}, two{"2", 2}, b{"B"};
  HybridArguments in = {};
  in.x = context.f32(kX, {&n, &c});
  in.qkv = context.f32(kQkv, {&n, &d3});
  in.channels = checked_third(context, d3.value);
  Dim d{"D", in.channels};
  in.boundary = context.i64(kBoundary, {&nb});
  in.other = context.i64(kOther, {&no});
  const int64_t* grid = context.i64(kGrid, {&two});
  in.head_dim = checked_head_dim(context, d.value, heads);
  Dim quarter{"D/num_heads/4", in.head_dim / 4};
  in.freqs = context.f32(kFreqs, {&quarter});
  in.code_weight = context.f32(kCodeWeight, {&b, &d});
  in.code_bias = context.f32(kCodeBias, {&b});
  in.bits = checked_bits(context, b.value);
  Dim twice{"2B", 2 * in.bits};
  in.codebook = context.f32(kCodebook, {&twice, &d});
  in.proj_weight = context.f32(kProjWeight, {&c, &d});
  in.proj_bias = context.f32(kProjBias, {&c});
  in.grid = checked_grid(context, "grid", grid, n.value);
  if (nb.value + no.value != n.value) {
    context.fail("inputs 'boundary' and 'other' name %lld + %lld tokens, expected N=%lld together",
                 static_cast<long long>(nb.value), static_cast<long long>(no.value), static_cast<long long>(n.value));
  }
  context.check_partition(kBoundary, in.boundary, nb.value, kOther, in.other, no.value);
  in.tokens = n.value;
  in.width = c.value;
  in.boundary_count = nb.value;
  in.other_count = no.value;
  in.heads = heads;
  return in;
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
