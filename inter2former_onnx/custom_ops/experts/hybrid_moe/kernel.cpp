// HybridMoE: LayerNorm, the shared expert, one routed expert for boundary tokens, and the residual, in two passes over
// tiles of tokens whose intermediate values never leave the cache. The first does everything but the routed experts,
// the second runs these on the boundary tokens grouped by expert.
#include <math.h>

#include "experts/hybrid_moe/swiglu.hpp"
#include "native/ort/kernel.hpp"
#include "native/memory.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

enum Input : size_t {
  kX,
  kBoundary,
  kNormWeight,
  kNormBias,
  kSharedW1,
  kSharedB1,
  kSharedW2,
  kSharedB2,
  kSharedLnWeight,
  kSharedLnBias,
  kSharedW3,
  kSharedB3,
  kSharedGateWeight,
  kSharedGateBias,
  kSelectW1,
  kSelectB1,
  kSelectW2,
  kSelectB2,
  kSelectLnWeight,
  kSelectLnBias,
  kSelectW3,
  kSelectB3,
  kExpertGateWeight,
  kExpertGateBias,
  kExpertBias,
  kInputCount
};

const PortDefinition kInputs[kInputCount] = {{"x", Element::kFloat},
                                             {"boundary", Element::kInt64},
                                             {"norm_weight", Element::kFloat},
                                             {"norm_bias", Element::kFloat},
                                             {"shared_w1", Element::kFloat},
                                             {"shared_b1", Element::kFloat},
                                             {"shared_w2", Element::kFloat},
                                             {"shared_b2", Element::kFloat},
                                             {"shared_ln_weight", Element::kFloat},
                                             {"shared_ln_bias", Element::kFloat},
                                             {"shared_w3", Element::kFloat},
                                             {"shared_b3", Element::kFloat},
                                             {"shared_gate_weight", Element::kFloat},
                                             {"shared_gate_bias", Element::kFloat},
                                             {"select_w1", Element::kFloat},
                                             {"select_b1", Element::kFloat},
                                             {"select_w2", Element::kFloat},
                                             {"select_b2", Element::kFloat},
                                             {"select_ln_weight", Element::kFloat},
                                             {"select_ln_bias", Element::kFloat},
                                             {"select_w3", Element::kFloat},
                                             {"select_b3", Element::kFloat},
                                             {"expert_gate_weight", Element::kFloat},
                                             {"expert_gate_bias", Element::kFloat},
                                             {"expert_bias", Element::kFloat}};
const PortDefinition kOutputs[] = {{"y", Element::kFloat}};

// Tokens of one task.
constexpr int64_t kTile = 48;

// All weight inputs, and the sizes they agree on.
struct Weights {
  const float* data[kInputCount] = {};
  int64_t channels = 0;
  int64_t hidden = 0;
  int64_t experts = 0;
};

struct PackedWeights {
  PackedPair shared_in;
  PackedLinear shared_out;
  PackedPair select_in;
  PackedLinear select_out;
  // The experts' gates, and the shared expert's as the last column.
  PackedLinear gates;
};

PackedWeights pack_weights(const Weights& w) {
  PackedWeights packed;
  const float* const* d = w.data;
  packed.shared_in = pack_pair(d[kSharedW1], d[kSharedB1], d[kSharedW2], d[kSharedB2], 1, w.hidden, w.channels);
  packed.shared_out = pack_linear(d[kSharedW3], d[kSharedB3], 1, w.channels, w.hidden);
  packed.select_in = pack_pair(d[kSelectW1], d[kSelectB1], d[kSelectW2], d[kSelectB2], w.experts, w.hidden, w.channels);
  packed.select_out = pack_linear(d[kSelectW3], d[kSelectB3], w.experts, w.channels, w.hidden);
  Buffer gates((w.experts + 1) * w.channels);
  Buffer bias(w.experts + 1);
  for (int64_t i = 0; i <= w.experts; ++i) {
    const bool shared = i == w.experts;
    const float* row = shared ? d[kSharedGateWeight] : d[kExpertGateWeight] + i * w.channels;
    for (int64_t j = 0; j < w.channels; ++j) gates.data()[i * w.channels + j] = row[j];
    bias.data()[i] = shared ? d[kSharedGateBias][0] : d[kExpertGateBias][i];
  }
  packed.gates = pack_linear(gates.data(), bias.data(), 1, w.experts + 1, w.channels);
  return packed;
}

// Tiles of the second pass: tokens order[first] .. order[first + count - 1] of one expert.
struct ExpertTile {
  int64_t expert;
  int64_t first;
  int64_t count;
};

class HybridMoe final : public Kernel {
 public:
  explicit HybridMoe(const KernelInfo& info) : epsilon_(info.float_attribute("epsilon")) {
    // Packed now if every weight is a constant; their shapes are compared when the kernel runs, against the same sizes.
    Weights w;
    TensorView views[kInputCount];
    for (size_t i = kNormWeight; i < kInputCount; ++i) {
      if (!info.constant_input(i, &views[i])) return;
      w.data[i] = static_cast<const float*>(views[i].data);
    }
    if (views[kSelectW1].rank != 3) return;
    w.experts = views[kSelectW1].dims[0];
    w.hidden = views[kSelectW1].dims[1];
    w.channels = views[kSelectW1].dims[2];
    for (size_t i = kSharedW1; i < kInputCount; ++i) {
      int64_t shape[3];
      const int rank = expected_shape(static_cast<Input>(i), w, shape);
      if (views[i].rank != rank) return;
      for (int axis = 0; axis < rank; ++axis) {
        if (views[i].dims[axis] != shape[axis]) return;
      }
    }
    constant_ = pack_weights(w);
    is_constant_ = true;
  }
  static Kernel* create(const KernelInfo& info) { return new HybridMoe(info); }

  void compute(const Context& context) const override {
    Dim n{"N"}, c{"C"}, nb{"Nb"};
    const float* x = context.f32(kX, {&n, &c});
    const int64_t* boundary = context.i64(kBoundary, {&nb});
    const Weights w = checked_weights(context, &c);
    context.check_indices(kBoundary, boundary, nb.value, n.value);
    float* y = context.f32_output(0, {n.value, c.value});
    if (n.value == 0 || c.value == 0) return;
    PackedWeights local;
    if (!is_constant_) local = pack_weights(w);
    const PackedWeights& packed = is_constant_ ? constant_ : local;

    const int64_t chosen_count = nb.value;
    const Scratch shared({bytes_of<int64_t>(n.value), bytes_of<int32_t>(chosen_count), bytes_of<float>(chosen_count),
                          bytes_of<int64_t>(chosen_count), bytes_of<ExpertTile>(w.experts + chosen_count / kTile),
                          bytes_of<int64_t>(w.experts + 1)});
    int64_t* other = shared.part<int64_t>(0);
    int32_t* chosen = shared.part<int32_t>(1);
    float* share = shared.part<float>(2);
    int64_t* order = shared.part<int64_t>(3);
    ExpertTile* tiles = shared.part<ExpertTile>(4);
    const int64_t other_count = complement(context, boundary, chosen_count, n.value, other);

    const Run run = {x, y, w, packed, epsilon_};
    const int64_t boundary_tiles = ceil_div(chosen_count, kTile);
    context.parallel_for(boundary_tiles + ceil_div(other_count, kTile), [&](int64_t task) {
      if (task < boundary_tiles) {
        const int64_t first = task * kTile;
        run.shared_tile(boundary + first, min_of(kTile, chosen_count - first), chosen + first, share + first);
      } else {
        const int64_t first = (task - boundary_tiles) * kTile;
        run.shared_tile(other + first, min_of(kTile, other_count - first), nullptr, nullptr);
      }
    });

    const int64_t count = group(chosen, chosen_count, w.experts, shared.part<int64_t>(5), order, tiles);
    context.parallel_for(count, [&](int64_t task) {
      const ExpertTile& tile = tiles[task];
      run.routed_tile(tile.expert, order + tile.first, tile.count, boundary, share);
    });
  }

 private:
  struct Run {
    const float* x;
    float* y;
    const Weights& w;
    const PackedWeights& packed;
    float epsilon;

    // LayerNorm of the rows `rows` of x.
    I2F_INLINE void normalise(const float* row, float* out) const {
      layer_norm(row, w.data[kNormWeight], w.data[kNormBias], epsilon, w.channels, out);
    }

    // y = x + a * shared expert for the given rows; a is 1, or what the gates say if `chosen` is not null. Then the
    // routed expert of each row goes to chosen and its share to `share`.
    void shared_tile(const int64_t* rows, int64_t count, int32_t* chosen, float* share) const {
      const int64_t channels = w.channels;
      const int64_t gate_stride = round_up(w.experts + 1, kPanel);
      const Scratch scratch({bytes_of<float>(count * channels),
                             bytes_of<float>(count * packed.shared_in.hidden_stride()),
                             bytes_of<float>(chosen != nullptr ? count * gate_stride : 0), bytes_of<float>(count)});
      float* normal = scratch.part<float>(0);
      float* gates = scratch.part<float>(2);
      float* factor = scratch.part<float>(3);
      for (int64_t i = 0; i < count; ++i) {
        normalise(x + rows[i] * channels, normal + i * channels);
        factor[i] = 1.0f;
      }
      if (chosen != nullptr) {
        const float* gate_bias = packed.gates.bias(0);
        gemm(normal, channels, 1, count, packed.gates.panels(0), channels, w.experts + 1,
             [=](int64_t row, int64_t column, Vec value) {
               store(gates + row * gate_stride + column, sigmoid(value + load(gate_bias + column)));
             });
        for (int64_t i = 0; i < count; ++i) {
          const float* scores = gates + i * gate_stride;
          int64_t best = 0;
          for (int64_t e = 1; e < w.experts; ++e) {
            if (scores[e] + w.data[kExpertBias][e] > scores[best] + w.data[kExpertBias][best]) best = e;
          }
          // softmax of two numbers: the sigmoid of their difference.
          const float difference = scores[w.experts] - scores[best];
          factor[i] = 1.0f / (1.0f + expf(-difference));
          share[i] = 1.0f / (1.0f + expf(difference));
          chosen[i] = static_cast<int32_t>(best);
        }
      }
      const Expert expert = {packed.shared_in, w.data[kSharedLnWeight], w.data[kSharedLnBias], packed.shared_out, 0,
                             epsilon};
      run_expert(expert, normal, count, scratch.part<float>(1), {x, y, rows, channels, nullptr, factor});
    }

    // Adds share * routed expert to the rows boundary[members[i]] of y.
    void routed_tile(int64_t index, const int64_t* members, int64_t count, const int64_t* boundary,
                     const float* share) const {
      const int64_t channels = w.channels;
      const Scratch scratch({bytes_of<float>(count * channels),
                             bytes_of<float>(count * packed.select_in.hidden_stride()), bytes_of<int64_t>(count),
                             bytes_of<float>(count)});
      float* normal = scratch.part<float>(0);
      int64_t* rows = scratch.part<int64_t>(2);
      float* factor = scratch.part<float>(3);
      for (int64_t i = 0; i < count; ++i) {
        rows[i] = boundary[members[i]];
        factor[i] = share[members[i]];
        normalise(x + rows[i] * channels, normal + i * channels);
      }
      const Expert expert = {packed.select_in, w.data[kSelectLnWeight], w.data[kSelectLnBias], packed.select_out, index,
                             epsilon};
      run_expert(expert, normal, count, scratch.part<float>(1), {y, y, rows, channels, nullptr, factor});
    }
  };

  // The shape of a weight input behind kNormBias; returns its rank.
  static int expected_shape(Input input, const Weights& w, int64_t shape[3]) {
    const auto is = [&](int rank, int64_t a, int64_t b, int64_t c) {
      shape[0] = a;
      shape[1] = b;
      shape[2] = c;
      return rank;
    };
    switch (input) {
      case kSharedW1:
      case kSharedW2:
        return is(2, w.hidden, w.channels, 0);
      case kSharedW3:
        return is(2, w.channels, w.hidden, 0);
      case kSharedB1:
      case kSharedB2:
      case kSharedLnWeight:
      case kSharedLnBias:
      case kSelectLnWeight:
      case kSelectLnBias:
        return is(1, w.hidden, 0, 0);
      case kSharedB3:
        return is(1, w.channels, 0, 0);
      case kSharedGateWeight:
        return is(2, 1, w.channels, 0);
      case kSharedGateBias:
        return is(1, 1, 0, 0);
      case kSelectW1:
      case kSelectW2:
        return is(3, w.experts, w.hidden, w.channels);
      case kSelectW3:
        return is(3, w.experts, w.channels, w.hidden);
      case kSelectB1:
      case kSelectB2:
        return is(2, w.experts, w.hidden, 0);
      case kSelectB3:
        return is(2, w.experts, w.channels, 0);
      case kExpertGateWeight:
        return is(2, w.experts, w.channels, 0);
      default:
        return is(1, w.experts, 0, 0);
    }
  }

  static Weights checked_weights(const Context& context, Dim* c) {
    Dim h{"H"}, e{"E"}, one{"1", 1};
    Weights w;
    w.data[kNormWeight] = context.f32(kNormWeight, {c});
    w.data[kNormBias] = context.f32(kNormBias, {c});
    w.data[kSharedW1] = context.f32(kSharedW1, {&h, c});
    w.data[kSharedB1] = context.f32(kSharedB1, {&h});
    w.data[kSharedW2] = context.f32(kSharedW2, {&h, c});
    w.data[kSharedB2] = context.f32(kSharedB2, {&h});
    w.data[kSharedLnWeight] = context.f32(kSharedLnWeight, {&h});
    w.data[kSharedLnBias] = context.f32(kSharedLnBias, {&h});
    w.data[kSharedW3] = context.f32(kSharedW3, {c, &h});
    w.data[kSharedB3] = context.f32(kSharedB3, {c});
    w.data[kSharedGateWeight] = context.f32(kSharedGateWeight, {&one, c});
    w.data[kSharedGateBias] = context.f32(kSharedGateBias, {&one});
    w.data[kSelectW1] = context.f32(kSelectW1, {&e, &h, c});
    w.data[kSelectB1] = context.f32(kSelectB1, {&e, &h});
    w.data[kSelectW2] = context.f32(kSelectW2, {&e, &h, c});
    w.data[kSelectB2] = context.f32(kSelectB2, {&e, &h});
    w.data[kSelectLnWeight] = context.f32(kSelectLnWeight, {&h});
    w.data[kSelectLnBias] = context.f32(kSelectLnBias, {&h});
    w.data[kSelectW3] = context.f32(kSelectW3, {&e, c, &h});
    w.data[kSelectB3] = context.f32(kSelectB3, {&e, c});
    w.data[kExpertGateWeight] = context.f32(kExpertGateWeight, {&e, c});
    w.data[kExpertGateBias] = context.f32(kExpertGateBias, {&e});
    w.data[kExpertBias] = context.f32(kExpertBias, {&e});
    w.channels = c->value;
    w.hidden = h.value;
    w.experts = e.value;
    if (w.experts < 1) context.fail("input 'expert_bias' is empty, expected at least one expert");
    return w;
  }

  // Writes the tokens that `boundary` does not name to `other`, which has room for n; returns their number.
  static int64_t complement(const Context& context, const int64_t* boundary, int64_t count, int64_t n, int64_t* other) {
    const Scratch scratch({bytes_of<uint8_t>(n)});
    uint8_t* named = scratch.part<uint8_t>(0);
    for (int64_t i = 0; i < n; ++i) named[i] = 0;
    for (int64_t i = 0; i < count; ++i) {
      if (named[boundary[i]] != 0) {
        context.fail("input 'boundary' names token %lld twice", static_cast<long long>(boundary[i]));
      }
      named[boundary[i]] = 1;
    }
    int64_t found = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (named[i] == 0) other[found++] = i;
    }
    return found;
  }

  // Sorts the positions 0 .. count-1 by expert, keeping their order, and cuts each expert's into tiles of nearly equal
  // size. `starts` has room for experts + 1. Returns the number of tiles.
  static int64_t group(const int32_t* chosen, int64_t count, int64_t experts, int64_t* starts, int64_t* order,
                       ExpertTile* tiles) {
    for (int64_t e = 0; e <= experts; ++e) starts[e] = 0;
    for (int64_t i = 0; i < count; ++i) ++starts[chosen[i] + 1];
    int64_t made = 0;
    for (int64_t e = 0; e < experts; ++e) {
      const int64_t members = starts[e + 1];
      const int64_t parts = ceil_div(members, kTile);
      int64_t first = starts[e];
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t size = ceil_div(starts[e] + members - first, parts - part);
        tiles[made++] = {e, first, size};
        first += size;
      }
      starts[e + 1] += starts[e];
    }
    for (int64_t i = 0; i < count; ++i) order[starts[chosen[i]]++] = i;
    return made;
  }

  float epsilon_;
  PackedWeights constant_;
  bool is_constant_ = false;
};

}  // namespace

extern const OpDefinition hybrid_moe_op;
const OpDefinition hybrid_moe_op = {"HybridMoE", kInputs, kInputCount, kOutputs, 1, HybridMoe::create};

}  // namespace I2F_ISA
}  // namespace i2f
