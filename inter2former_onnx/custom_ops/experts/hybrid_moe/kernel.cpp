// HybridMoE: LayerNorm, the shared expert, one routed expert for boundary tokens, and the residual, in two passes over
// tiles of tokens whose intermediate values never leave the cache. The first does everything but the routed experts,
// the second runs these on the boundary tokens grouped by expert.
#include <math.h>

#include "experts/hybrid_moe/swiglu.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "experts/hybrid_moe/ports.def"
#include "native/ort/op_ports.hpp"

// Tokens of one task.
constexpr int64_t kTile = 48;

struct PackedWeights {
  PackedPair shared_in;
  PackedLinear shared_out;
  PackedPair select_in;
  PackedLinear select_out;
  // The experts' gates, and the shared expert's as the last column.
  PackedLinear gates;
};

PackedWeights pack_weights(const Inputs& in) {
  PackedWeights packed;
  packed.shared_in = pack_pair(in.shared_w1, in.shared_b1, in.shared_w2, in.shared_b2, 1, in.H, in.C);
  packed.shared_out = pack_linear(in.shared_w3, in.shared_b3, 1, in.C, in.H);
  packed.select_in = pack_pair(in.select_w1, in.select_b1, in.select_w2, in.select_b2, in.E, in.H, in.C);
  packed.select_out = pack_linear(in.select_w3, in.select_b3, in.E, in.C, in.H);
  Buffer gates((in.E + 1) * in.C);
  Buffer bias(in.E + 1);
  for (int64_t i = 0; i <= in.E; ++i) {
    const bool shared = i == in.E;
    const float* row = shared ? in.shared_gate_weight : in.expert_gate_weight + i * in.C;
    for (int64_t j = 0; j < in.C; ++j) gates.data()[i * in.C + j] = row[j];
    bias.data()[i] = shared ? in.shared_gate_bias[0] : in.expert_gate_bias[i];
  }
  packed.gates = pack_linear(gates.data(), bias.data(), 1, in.E + 1, in.C);
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
  explicit HybridMoe(const KernelInfo& info) : attributes_(info) {
    Inputs weights(attributes_);
    is_constant_ = weights.take_constants(info, input::norm_weight, input::expert_bias);
    if (is_constant_) constant_ = pack_weights(weights);
  }
  static Kernel* create(const KernelInfo& info) { return new HybridMoe(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    if (in.E < 1) context.fail("input 'expert_bias' is empty, expected at least one expert");
    context.check_indices(input::boundary, in.boundary, in.Nb, in.N);
    float* y = Outputs(context, in).y;
    if (in.N == 0 || in.C == 0) return;
    PackedWeights local;
    if (!is_constant_) local = pack_weights(in);
    const PackedWeights& packed = is_constant_ ? constant_ : local;

    const int64_t chosen_count = in.Nb;
    const Scratch shared({bytes_of<int64_t>(in.N), bytes_of<int32_t>(chosen_count), bytes_of<float>(chosen_count),
                          bytes_of<int64_t>(chosen_count), bytes_of<ExpertTile>(in.E + chosen_count / kTile),
                          bytes_of<int64_t>(in.E + 1)});
    int64_t* other = shared.part<int64_t>(0);
    int32_t* chosen = shared.part<int32_t>(1);
    float* share = shared.part<float>(2);
    int64_t* order = shared.part<int64_t>(3);
    ExpertTile* tiles = shared.part<ExpertTile>(4);
    const int64_t other_count = complement(context, in.boundary, chosen_count, in.N, other);

    const Run run = {in, packed, y};
    const int64_t boundary_tiles = ceil_div(chosen_count, kTile);
    context.parallel_for(boundary_tiles + ceil_div(other_count, kTile), [&](int64_t task) {
      if (task < boundary_tiles) {
        const int64_t first = task * kTile;
        run.shared_tile(in.boundary + first, min_of(kTile, chosen_count - first), chosen + first, share + first);
      } else {
        const int64_t first = (task - boundary_tiles) * kTile;
        run.shared_tile(other + first, min_of(kTile, other_count - first), nullptr, nullptr);
      }
    });

    const int64_t count = group(chosen, chosen_count, in.E, shared.part<int64_t>(5), order, tiles);
    context.parallel_for(count, [&](int64_t task) {
      const ExpertTile& tile = tiles[task];
      run.routed_tile(tile.expert, order + tile.first, tile.count, share);
    });
  }

 private:
  struct Run {
    const Inputs& in;
    const PackedWeights& packed;
    float* y;

    // LayerNorm of the rows `rows` of x.
    I2F_INLINE void normalise(const float* row, float* out) const {
      layer_norm(row, in.norm_weight, in.norm_bias, in.epsilon, in.C, out);
    }

    // y = x + a * shared expert for the given rows; a is 1, or what the gates say if `chosen` is not null. Then the
    // routed expert of each row goes to chosen and its share to `share`.
    void shared_tile(const int64_t* rows, int64_t count, int32_t* chosen, float* share) const {
      const int64_t channels = in.C;
      const int64_t gate_stride = round_up(in.E + 1, kPanel);
      const Scratch scratch({bytes_of<float>(count * channels),
                             bytes_of<float>(count * packed.shared_in.hidden_stride()),
                             bytes_of<float>(chosen != nullptr ? count * gate_stride : 0), bytes_of<float>(count)});
      float* normal = scratch.part<float>(0);
      float* gates = scratch.part<float>(2);
      float* factor = scratch.part<float>(3);
      for (int64_t i = 0; i < count; ++i) {
        normalise(in.x + rows[i] * channels, normal + i * channels);
        factor[i] = 1.0f;
      }
      if (chosen != nullptr) {
        const float* gate_bias = packed.gates.bias(0);
        gemm(normal, channels, 1, count, packed.gates.panels(0), channels, in.E + 1,
             [=](int64_t row, int64_t column, Vec value) {
               store(gates + row * gate_stride + column, sigmoid(value + load(gate_bias + column)));
             });
        for (int64_t i = 0; i < count; ++i) {
          const float* scores = gates + i * gate_stride;
          int64_t best = 0;
          for (int64_t e = 1; e < in.E; ++e) {
            if (scores[e] + in.expert_bias[e] > scores[best] + in.expert_bias[best]) best = e;
          }
          // softmax of two numbers: the sigmoid of their difference.
          const float difference = scores[in.E] - scores[best];
          factor[i] = 1.0f / (1.0f + expf(-difference));
          share[i] = 1.0f / (1.0f + expf(difference));
          chosen[i] = static_cast<int32_t>(best);
        }
      }
      const Expert expert = {packed.shared_in,  in.shared_ln_weight, in.shared_ln_bias,
                             packed.shared_out, 0,                   in.epsilon};
      run_expert(expert, normal, count, scratch.part<float>(1), {in.x, y, rows, channels, nullptr, factor});
    }

    // Adds share * routed expert to the rows boundary[members[i]] of y.
    void routed_tile(int64_t index, const int64_t* members, int64_t count, const float* share) const {
      const int64_t channels = in.C;
      const Scratch scratch({bytes_of<float>(count * channels),
                             bytes_of<float>(count * packed.select_in.hidden_stride()), bytes_of<int64_t>(count),
                             bytes_of<float>(count)});
      float* normal = scratch.part<float>(0);
      int64_t* rows = scratch.part<int64_t>(2);
      float* factor = scratch.part<float>(3);
      for (int64_t i = 0; i < count; ++i) {
        rows[i] = in.boundary[members[i]];
        factor[i] = share[members[i]];
        normalise(in.x + rows[i] * channels, normal + i * channels);
      }
      const Expert expert = {packed.select_in,  in.select_ln_weight, in.select_ln_bias,
                             packed.select_out, index,               in.epsilon};
      run_expert(expert, normal, count, scratch.part<float>(1), {y, y, rows, channels, nullptr, factor});
    }
  };

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

  Attributes attributes_;
  PackedWeights constant_;
  bool is_constant_ = false;
};

}  // namespace

extern const OpDefinition hybrid_moe_op;
const OpDefinition hybrid_moe_op = {"HybridMoE", ports::kPorts, HybridMoe::create};

}  // namespace I2F_ISA
}  // namespace i2f
