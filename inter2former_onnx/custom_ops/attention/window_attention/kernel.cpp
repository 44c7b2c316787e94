// WindowAttention: attention within windows, a task for each head of each window. Tokens are read from where they lie
// in the rows of q, k and v and results go to where they belong: no arrangement into windows and back, no transposition
// of heads. Positions that are padding take part as keys and values but ask nothing.
#include "native/maths/tile_gemm.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "attention/window_attention/ports.def"
#include "native/ort/op_ports.hpp"

// One head of one window: where its tokens and tables are.
struct Window {
  const float* qkv;  // of the head, column 0 of q
  const float* padding;
  const int64_t* tokens;     // [area]
  const int64_t* positions;  // [count], of all windows
  const float* cos;          // [area, head_dim]
  const float* sin;
  int64_t first;  // position of the window's first one among all
  int64_t area;
  int64_t head_dim;
  int64_t count;
  int64_t channels;

  // Row of q, k and v (0, 1, 2) at a position of the window.
  I2F_INLINE const float* row(int64_t position, int64_t which) const {
    const int64_t token = tokens[position];
    return (token < count ? qkv + token * 3 * channels : padding) + which * channels;
  }
  // Whether the result at a position is a token's. (A token that sits at several positions gets the one it names.)
  I2F_INLINE bool asks(int64_t position) const {
    return tokens[position] < count && positions[tokens[position]] == first + position;
  }
  // scale * rotated row to `out`.
  I2F_INLINE void rotate(const float* x, int64_t position, float scale, float* out) const {
    const float* c = cos + position * head_dim;
    const float* s = sin + position * head_dim;
    for (int64_t i = 0; i < head_dim; i += 2) {
      out[i] = (x[i] * c[i] + x[i + 1] * s[i]) * scale;
      out[i + 1] = (x[i + 1] * c[i + 1] - x[i] * s[i + 1]) * scale;
    }
  }
};

// Softmax without its division over one row of a block of scores: chunks [kTileRows][kPanel] of base-2 logits, `n`
// columns. Returns one over the sum. Columns beyond n of the last chunk become zero.
I2F_INLINE float softmax_row(float* row, int64_t n) {
  const int64_t whole = n / kLanes * kLanes;
  const auto at = [=](int64_t j) { return row + j / kPanel * kChunkFloats + j % kPanel; };
  Vec largest = set(-INFINITY);
  for (int64_t j = 0; j < whole; j += kLanes) largest = max(load(at(j)), largest);
  float most = max_lane(largest);
  for (int64_t j = whole; j < n; ++j) most = *at(j) > most ? *at(j) : most;
  const Vec shift = set(most);
  Vec total = zero();
  for (int64_t j = 0; j < whole; j += kLanes) {
    const Vec weight = exp2_of_score(load(at(j)) - shift);
    store(at(j), weight);
    total = total + weight;
  }
  float rest = 0.0f;
  if (whole < n) {
    float weights[kLanes];
    store(weights, exp2_of_score(load_n(at(whole), n - whole) - shift));
    for (int64_t j = whole; j < n; ++j) {
      *at(j) = weights[j - whole];
      rest += weights[j - whole];
    }
  }
  return 1.0f / (sum(total) + rest);
}

// The attention of one head of one window into the rows of out [count, channels], column 0 of the head.
inline void attend(const Window& window, float* out) {
  const int64_t area = window.area;
  const int64_t head_dim = window.head_dim;
  const int64_t chunks = ceil_div(area, kPanel);
  const Scratch scratch({bytes_of<float>(packed_floats(head_dim, area)), bytes_of<float>(packed_floats(area, head_dim)),
                         bytes_of<float>(tile_floats(kTileRows, head_dim)), bytes_of<float>(chunks * kChunkFloats),
                         bytes_of<float>(head_dim), bytes_of<int64_t>(area)});
  float* keys = scratch.part<float>(0);    // panels of kPanel keys, [head_dim][kPanel]
  float* values = scratch.part<float>(1);  // panels of kPanel channels, [area][kPanel]
  float* queries = scratch.part<float>(2);
  float* scores = scratch.part<float>(3);
  float* rotated = scratch.part<float>(4);
  int64_t* asking = scratch.part<int64_t>(5);

  int64_t askers = 0;
  for (int64_t i = 0; i < area; ++i) {
    if (window.asks(i)) asking[askers++] = i;
  }
  if (askers == 0) return;
  for (int64_t i = 0; i < chunks * kPanel; ++i) {
    float* key = keys + i / kPanel * kPanel * head_dim + i % kPanel;
    if (i < area) {
      window.rotate(window.row(i, 1), i, 1.0f, rotated);
      for (int64_t j = 0; j < head_dim; ++j) key[j * kPanel] = rotated[j];
    } else {
      for (int64_t j = 0; j < head_dim; ++j) key[j * kPanel] = 0.0f;
    }
  }
  for (int64_t first = 0; first < head_dim; first += kPanel) {
    const int64_t columns = min_of(kPanel, head_dim - first);
    float* panel = values + first * area;
    for (int64_t i = 0; i < area; ++i) {
      const float* value = window.row(i, 2) + first;
      for (int64_t j = 0; j < kPanel; ++j) panel[i * kPanel + j] = j < columns ? value[j] : 0.0f;
    }
  }
  const float scale = kLog2E / sqrtf(static_cast<float>(head_dim));
  for (int64_t begin = 0; begin < askers; begin += kTileRows) {
    const int64_t rows = min_of(kTileRows, askers - begin);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t position = asking[begin + r];
      window.rotate(window.row(position, 0), position, scale, rotated);
      tile_set_row(queries, head_dim, r, rotated);
    }
    tile_clear_rest(queries, rows, head_dim);
    tile_gemm(queries, rows, head_dim, keys, head_dim, head_dim, area,
              [=](int64_t, int64_t column, TileBlock& c) { store_chunk(c, scores + column / kPanel * kChunkFloats); });
    float factors[kTileRows];
    for (int64_t r = 0; r < rows; ++r) factors[r] = softmax_row(scores + r * kPanel, area);
    const float* factor = factors;
    tile_gemm(scores, rows, area, values, area, area, head_dim, [=](int64_t row, int64_t column, TileBlock& c) {
      for_each_vector(c, row, rows, column, head_dim, [=](int64_t r, int64_t j, Vec value) {
        float* to = out + window.tokens[asking[begin + r]] * window.channels;
        store_columns(to, j, head_dim, value * set(factor[r]));
      });
    });
  }
}

class WindowAttention final : public Kernel {
 public:
  explicit WindowAttention(const KernelInfo& info) : attributes_(info) {}
  static Kernel* create(const KernelInfo& info) { return new WindowAttention(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    const int64_t head_dim = in.num_heads < 1 ? 0 : in.C / in.num_heads;
    if (head_dim % 2 != 0 || in.C != in.num_heads * head_dim) {
      context.fail("'qkv' has rows of 3 x %lld numbers and num_heads=%lld, expected heads of an even width",
                   static_cast<long long>(in.C), static_cast<long long>(in.num_heads));
    }
    if (in.P != in.W * in.A) {
      context.fail("'tokens' has %lld positions, expected %lld windows of %lld", static_cast<long long>(in.P),
                   static_cast<long long>(in.W), static_cast<long long>(in.A));
    }
    context.check_indices(input::tokens, in.tokens, in.P, in.N + 1);
    context.check_indices(input::positions, in.positions, in.N, in.P);
    for (int64_t token = 0; token < in.N; ++token) {
      if (in.tokens[in.positions[token]] != token) {
        context.fail("'positions' says that token %lld is at %lld, where 'tokens' has %lld",
                     static_cast<long long>(token), static_cast<long long>(in.positions[token]),
                     static_cast<long long>(in.tokens[in.positions[token]]));
      }
    }
    float* y = Outputs(context, in).y;
    context.parallel_for(in.W * in.num_heads, [&](int64_t task) {
      const int64_t window = task / in.num_heads;
      const int64_t column = task % in.num_heads * head_dim;
      const int64_t first = window * in.A;
      const int64_t table = first * head_dim;
      attend({in.qkv + column, in.padding + column, in.tokens + first, in.positions, in.cos + table, in.sin + table,
              first, in.A, head_dim, in.N, in.C},
             y + column);
    });
  }

 private:
  Attributes attributes_;
};

}  // namespace

extern const OpDefinition window_attention_op;
const OpDefinition window_attention_op = {"WindowAttention", ports::kPorts, WindowAttention::create};

}  // namespace I2F_ISA
}  // namespace i2f
