// PromptedAttention: HybridAttention of the first block. When every token takes the boundary route and few have changed
// since the image was encoded, the attention from then is corrected instead of computed anew: the terms of the changed
// keys leave numerator and denominator of each softmax, and their new ones join.
#include "attention/hybrid.hpp"
#include "native/maths/rows.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "attention/prompted_attention/ports.def"
#include "native/ort/op_ports.hpp"

// One changed token of this many: up to here a correction is worth while.
constexpr int64_t kLargestShare = 8;
// A query whose changed keys held more than half of its weight is computed anew: what is left would be a difference of
// nearly equal numbers. So is one to which they bring so much that powers of two might overflow.
constexpr float kMostRemoved = 0.5f;
constexpr float kMostAdded = 1048576.0f;

// What is known from the time of encoding, when nobody had clicked.
struct Unclicked {
  const float* qkv;        // [N, 3D]
  const float* attention;  // [N, D]
  const float* lse;        // [N, heads]
  const int64_t* changed;
  int64_t count;
};

// The rotated keys and the values of the changed tokens, as they were and as they are: [heads][2 count][2 head_dim].
void prepare_changed(const RotaryTable& rotary, const HybridArguments& in, const Unclicked& unclicked, float* data) {
  const int64_t d = in.channels;
  for (int64_t head = 0; head < in.heads; ++head) {
    for (int64_t i = 0; i < 2 * unclicked.count; ++i) {
      const int64_t token = unclicked.changed[i % unclicked.count];
      const float* row = (i < unclicked.count ? unclicked.qkv : in.qkv) + token * 3 * d + head * in.head_dim;
      prepare_key(rotary, row + d, row + 2 * d, in.head_dim, token / in.grid.columns, token % in.grid.columns, data);
      data += 2 * in.head_dim;
    }
  }
}

// Corrects the attention of `count` tokens to out [D][kPanel]; marks in `anew` [kPanel] those that have to be computed
// in full. weights: room for [2 unclicked.count][kPanel].
void correct_tile(const AttentionTile& tile, const RotaryTable& rotary, const HybridArguments& in,
                  const Unclicked& unclicked, const float* changed_keys, const int64_t* tokens, int64_t count,
                  float* weights, float* out, bool* anew) {
  const int64_t head_dim = in.head_dim;
  const int64_t keys = 2 * unclicked.count;
  for (int64_t head = 0; head < in.heads; ++head) {
    load_queries(tile, rotary, in.grid, in.qkv, 3 * in.channels, tokens, tokens, count, head, head_dim);
    const float* key = changed_keys + head * keys * 2 * head_dim;
    float shift[kPanel];
    float removed[kPanel];
    float added[kPanel];
    for (int64_t i = 0; i < kPanel; ++i) {
      shift[i] = i < count ? unclicked.lse[tokens[i] * in.heads + head] * kLog2E : 0.0f;
      removed[i] = 0.0f;
      added[i] = 0.0f;
    }
    // Weights relative to the old denominator, the old ones negative. A score beyond the range of powers of two
    // saturates far above kMostAdded; min keeps a NaN, its second argument.
    gemm(key, 2 * head_dim, 1, keys, tile.queries, head_dim, count, [&](int64_t row, int64_t column, Vec score) {
      const bool old = row < unclicked.count;
      const Vec weight = exp2_of_score(min(set(64.0f), score - load(shift + column)));
      float* total = (old ? removed : added) + column;
      store(total, load(total) + weight);
      store(weights + row * kPanel + column, old ? zero() - weight : weight);
    });
    float* to = out + head * head_dim * kPanel;
    for (int64_t i = 0; i < kPanel; ++i) {
      const float* from = unclicked.attention + tokens[i < count ? i : 0] * in.channels + head * head_dim;
      for (int64_t j = 0; j < head_dim; ++j) to[j * kPanel + i] = i < count ? from[j] : 0.0f;
      // Written so that a NaN is computed anew, too.
      if (!(removed[i] <= kMostRemoved && added[i] <= kMostAdded)) anew[i] = true;
    }
    gemm(key + head_dim, 1, 2 * head_dim, head_dim, weights, keys, count, [=](int64_t row, int64_t column, Vec value) {
      float* sum = to + row * kPanel + column;
      store(sum, load(sum) + value);
    });
    for (int64_t i = 0; i < count; ++i) {
      const float factor = 1.0f / (1.0f - removed[i] + added[i]);
      for (int64_t j = 0; j < head_dim; ++j) to[j * kPanel + i] *= factor;
    }
  }
}

class PromptedAttention final : public Kernel {
 public:
  explicit PromptedAttention(const KernelInfo& info)
      : attributes_(info), projection_(info, input::proj_weight, input::proj_bias) {}
  static Kernel* create(const KernelInfo& info) { return new PromptedAttention(info); }

  void compute(const Context& context) const override {
    const Inputs inputs(context, attributes_);
    const HybridArguments in = checked_hybrid_inputs(context, inputs, input::boundary, input::other);
    context.check_ascending(input::changed, inputs.changed, inputs.n, inputs.N);
    const Unclicked unclicked = {inputs.first_qkv, inputs.first_attention, inputs.first_lse, inputs.changed, inputs.n};
    float* y = Outputs(context, inputs).y;
    if (in.tokens == 0 || in.width == 0) return;
    PackedLinear local;
    const PackedLinear& projection = projection_.get(in.proj_weight, in.proj_bias, 1, in.width, in.channels, &local);
    if (in.other_count == 0 && unclicked.count <= in.tokens / kLargestShare) {
      correct(context, in, unclicked, projection, y);
    } else {
      hybrid_attention(context, in, projection, y);
    }
  }

 private:
  static void correct(const Context& context, const HybridArguments& in, const Unclicked& unclicked,
                      const PackedLinear& projection, float* y) {
    const int64_t channels = in.channels;
    const int64_t stride = 3 * channels;
    const int64_t changed_keys = 2 * unclicked.count;
    const PreparedKeys prepared(context, in.freqs, in.grid, in.qkv + channels, in.qkv + 2 * channels, stride, in.heads,
                                in.head_dim);
    const RotaryTable& rotary = prepared.rotary();
    const Scratch shared({bytes_of<float>(key_value_floats(changed_keys, channels))});
    float* keys = shared.part<float>(0);
    prepare_changed(rotary, in, unclicked, keys);

    context.parallel_for(ceil_div(in.tokens, kPanel), [&](int64_t task) {
      const int64_t begin = task * kPanel;
      const int64_t count = min_of(kPanel, in.tokens - begin);
      const AttentionScratch attention(in.head_dim);
      const AttentionTile tile = attention.tile();
      const Scratch scratch({bytes_of<float>(channels * kPanel), bytes_of<float>(channels * kPanel),
                             bytes_of<float>(changed_keys * kPanel)});
      float* attended = scratch.part<float>(0);
      int64_t tokens[kPanel];
      for (int64_t i = 0; i < kPanel; ++i) tokens[i] = begin + i;
      bool anew[kPanel] = {};
      const int64_t next = first_at_least(unclicked.changed, unclicked.count, begin);
      for (int64_t i = next; i < unclicked.count && unclicked.changed[i] < begin + count; ++i) {
        anew[unclicked.changed[i] - begin] = true;
      }
      correct_tile(tile, rotary, in, unclicked, keys, tokens, count, scratch.part<float>(2), attended, anew);

      int64_t columns[kPanel];
      int64_t queries[kPanel];
      int64_t number = 0;
      for (int64_t i = 0; i < count; ++i) {
        if (!anew[i]) continue;
        columns[number] = i;
        queries[number++] = tokens[i];
      }
      if (number > 0) {
        float* full = scratch.part<float>(1);
        attend_tile(tile, prepared, in.qkv, stride, queries, queries, number, full);
        for (int64_t j = 0; j < channels; ++j) {
          for (int64_t i = 0; i < number; ++i) attended[j * kPanel + columns[i]] = full[j * kPanel + i];
        }
      }
      project_rows(in, projection, attended, tokens, count, y);
    });
  }

  Attributes attributes_;
  LinearWeights projection_;
};

}  // namespace

extern const OpDefinition prompted_attention_op;
const OpDefinition prompted_attention_op = {"PromptedAttention", ports::kPorts, PromptedAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
