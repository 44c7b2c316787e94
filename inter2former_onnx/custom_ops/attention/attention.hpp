// Full attention of a tile of queries over all keys as a streaming softmax: scores exist for one block of keys at a
// time.
//
// A tile holds kPanel queries side by side in the vector lanes, everything is transposed: scores [keys][queries],
// output [channels][queries]. Rotated keys and values are read as they lie, and no step works across lanes.
#pragma once

#include "attention/rotary.hpp"
#include "native/maths/gemm.hpp"
#include "native/maths/token_grid.hpp"
#include "native/memory.hpp"

namespace i2f {
namespace I2F_ISA {

// Keys of one block: its scores fit the first-level cache.
constexpr int64_t kKeyBlock = 96;
// Scores are powers of two. Where no score can leave +-kSafeScore the softmax needs no shift: sums stay finite and keep
// their precision (2^60 times a million keys is 2^80).
constexpr float kSafeScore = 60.0f;


// Channels of a head; the rotary embedding needs a multiple of four.
I2F_INLINE int64_t checked_head_dim(const Context& context, int64_t channels, int64_t heads) {
  if (heads < 1 || channels % heads != 0 || channels / heads % 4 != 0) {
    context.fail("%lld channels and num_heads=%lld, expected heads of a multiple of 4 channels",
                 static_cast<long long>(channels), static_cast<long long>(heads));
  }
  return channels / heads;
}

// All heads' rotated keys, each key followed by its value: [heads][tokens][2 * head_dim].
struct KeyValues {
  const float* data;
  int64_t tokens;
  int64_t heads;
  int64_t head_dim;

  I2F_INLINE const float* head(int64_t i) const { return data + i * tokens * 2 * head_dim; }
};

I2F_INLINE int64_t key_value_floats(int64_t tokens, int64_t channels) { return tokens * 2 * channels; }

// Writes one head of a token's rotated key and value. Returns the key's sum of squares.
I2F_INLINE float prepare_key(const RotaryTable& rotary, const float* key, const float* value, int64_t head_dim,
                             int64_t row, int64_t column, float* to) {
  for (int64_t i = 0; i < head_dim; ++i) to[head_dim + i] = value[i];
  return rotary.rotate(key, row, column, 1.0f, to);
}

// Fills `data` (the memory of `target`) for the tokens first .. last-1 from rows of k and v. Writes to norms [heads]
// the largest sum of squares of a key, NaN if there is a NaN.
inline void prepare_keys(const RotaryTable& rotary, Grid grid, const float* k, const float* v, int64_t stride,
                         int64_t first, int64_t last, const KeyValues& target, float* data, float* norms) {
  const int64_t head_dim = target.head_dim;
  for (int64_t head = 0; head < target.heads; ++head) {
    float largest = 0.0f;
    int64_t row = first / grid.columns;
    int64_t column = first % grid.columns;
    for (int64_t token = first; token < last; ++token) {
      float* to = data + (head * target.tokens + token) * 2 * head_dim;
      const int64_t from = token * stride + head * head_dim;
      const float squares = prepare_key(rotary, k + from, v + from, head_dim, row, column, to);
      // Once it is a NaN it stays one.
      if (!(squares <= largest)) largest = largest != largest ? largest : squares;
      if (++column == grid.columns) {
        column = 0;
        ++row;
      }
    }
    norms[head] = largest;
  }
}

// All rotated keys and values, and what their queries need beside them.
class PreparedKeys {
 public:
  // Room for the keys of all tokens of the grid. They come in blocks(), each by prepare_block, in any order; then
  // finish.
  PreparedKeys(const float* freqs, Grid grid, int64_t heads, int64_t head_dim)
      : grid_(grid),
        heads_(heads),
        head_dim_(head_dim),
        memory_({bytes_of<float>(RotaryTable::floats(positions(), head_dim)),
                 bytes_of<float>(key_value_floats(tokens(), heads * head_dim)), bytes_of<float>(blocks() * heads)}),
        rotary_(freqs, head_dim, positions(), memory_.part<float>(0)) {}

  // The keys and values of rows of k and v, `stride` floats apart, computed in parallel.
  PreparedKeys(const Context& context, const float* freqs, Grid grid, const float* k, const float* v, int64_t stride,
               int64_t heads, int64_t head_dim)
      : PreparedKeys(freqs, grid, heads, head_dim) {
    context.parallel_for(blocks(), [&](int64_t block) { prepare_block(k, v, stride, block); });
    finish();
  }

  int64_t blocks() const { return ceil_div(tokens(), kPrepareTokens); }

  void prepare_block(const float* k, const float* v, int64_t stride, int64_t block) const {
    const int64_t first = block * kPrepareTokens;
    prepare_keys(rotary_, grid_, k, v, stride, first, min_of(first + kPrepareTokens, tokens()), keys(),
                 memory_.part<float>(1), block_norms() + block * heads_);
  }

  // Joins the blocks' norms.
  void finish() const {
    float* norms = block_norms();
    for (int64_t block = 1; block < blocks(); ++block) {
      for (int64_t head = 0; head < heads_; ++head) {
        const float other = norms[block * heads_ + head];
        if (!(other <= norms[head]) && norms[head] == norms[head]) norms[head] = other;
      }
    }
  }

  Grid grid() const { return grid_; }
  const RotaryTable& rotary() const { return rotary_; }
  KeyValues keys() const { return {memory_.part<float>(1), tokens(), heads_, head_dim_}; }
  // Of each head the largest sum of squares of a key, NaN if there is a NaN.
  const float* norms() const { return block_norms(); }

 private:
  // Tokens of one block.
  static constexpr int64_t kPrepareTokens = 512;

  int64_t tokens() const { return grid_.rows * grid_.columns; }
  int64_t positions() const { return max_of(grid_.rows, grid_.columns); }
  // [blocks][heads]; finish makes the first [heads] those of all keys.
  float* block_norms() const { return memory_.part<float>(2); }

  Grid grid_;
  int64_t heads_;
  int64_t head_dim_;
  Scratch memory_;
  RotaryTable rotary_;
};

// What one tile of queries works in.
struct AttentionTile {
  float* queries;  // [head_dim][kPanel], scaled; also room for one rotated row behind it
  float* scores;   // [kKeyBlock][kPanel]
  float* state;    // [2][kPanel]: running maximum, running sum
};

class AttentionScratch {
 public:
  explicit AttentionScratch(int64_t head_dim)
      : scratch_({bytes_of<float>(head_dim * kPanel + head_dim), bytes_of<float>(kKeyBlock * kPanel),
                  bytes_of<float>(2 * kPanel)}) {}

  I2F_INLINE AttentionTile tile() const {
    return {scratch_.part<float>(0), scratch_.part<float>(1), scratch_.part<float>(2)};
  }

 private:
  Scratch scratch_;
};

// The scores of `keys` keys, already as unshifted powers of two, into tile.scores; adds them to the running sums.
I2F_INLINE void bounded_scores(const AttentionTile& tile, const float* key, int64_t keys, int64_t head_dim,
                               int64_t queries) {
  float* scores = tile.scores;
  float* sums = tile.state + kPanel;
  gemm_blocks(key, 2 * head_dim, 1, keys, tile.queries, head_dim, queries, [=](int64_t row, int64_t column, auto& c) {
    constexpr int kRows = sizeof(c) / sizeof(c[0]);
    constexpr int kVectors = sizeof(c[0]) / sizeof(c[0][0]);
    I2F_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      Vec total = load(sums + column + v * kLanes);
      I2F_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const Vec weight = exp2_of_score(c[r][v]);
        store(scores + (row + r) * kPanel + column + v * kLanes, weight);
        total = total + weight;
      }
      store(sums + column + v * kLanes, total);
    }
  });
}

// The same for scores of any size, shifted by the running maximum. Writes the factor that what was summed up before has
// to be multiplied with to `rescale` [kPanel].
I2F_INLINE void shifted_scores(const AttentionTile& tile, const float* key, int64_t keys, int64_t head_dim,
                               int64_t queries, float* rescale) {
  float* scores = tile.scores;
  gemm(key, 2 * head_dim, 1, keys, tile.queries, head_dim, queries,
       [=](int64_t row, int64_t column, Vec value) { store(scores + row * kPanel + column, value); });
  for (int64_t column = 0; column < queries; column += kLanes) {
    const Vec before = load(tile.state + column);
    Vec largest = before;
    for (int64_t i = 0; i < keys; ++i) largest = max(load(scores + i * kPanel + column), largest);
    const Vec factor = exp2_of_score(before - largest);
    Vec total = load(tile.state + kPanel + column) * factor;
    for (int64_t i = 0; i < keys; ++i) {
      float* score = scores + i * kPanel + column;
      const Vec weight = exp2_of_score(load(score) - largest);
      store(score, weight);
      total = total + weight;
    }
    store(tile.state + column, largest);
    store(tile.state + kPanel + column, total);
    store(rescale + column, factor);
  }
}

// One head of the attention of `queries` <= kPanel queries, whose transposed scaled rows are in tile.queries, to
// out [head_dim][kPanel]. `bounded`: no score leaves +-kSafeScore.
inline void attend_head(const AttentionTile& tile, const KeyValues& keys, int64_t head, int64_t queries, bool bounded,
                        float* out) {
  const int64_t head_dim = keys.head_dim;
  const float* key = keys.head(head);
  float rescale[kPanel];
  for (int64_t i = 0; i < kPanel; ++i) {
    tile.state[i] = -INFINITY;
    tile.state[kPanel + i] = 0.0f;
    rescale[i] = 1.0f;
  }
  for (int64_t i = 0; i < head_dim * kPanel; ++i) out[i] = 0.0f;
  for (int64_t first = 0; first < keys.tokens; first += kKeyBlock) {
    const int64_t count = min_of(kKeyBlock, keys.tokens - first);
    const float* block = key + first * 2 * head_dim;
    if (bounded) {
      bounded_scores(tile, block, count, head_dim, queries);
    } else {
      shifted_scores(tile, block, count, head_dim, queries, rescale);
    }
    const float* factors = rescale;
    gemm(block + head_dim, 1, 2 * head_dim, head_dim, tile.scores, count, queries,
         [=](int64_t channel, int64_t column, Vec value) {
           float* sum = out + channel * kPanel + column;
           store(sum, fma(load(sum), load(factors + column), value));
         });
  }
  for (int64_t column = 0; column < queries; column += kLanes) {
    const Vec factor = set(1.0f) / load(tile.state + kPanel + column);
    for (int64_t i = 0; i < head_dim; ++i) {
      float* value = out + i * kPanel + column;
      store(value, load(value) * factor);
    }
  }
}

// The scaled, rotated queries of one head, transposed, to tile.queries, zero beyond `count`. Query i is row rows[i] of
// q (null: row i) at grid position positions[i]. Returns the largest sum of squares of a query, NaN if there is a NaN.
inline float load_queries(const AttentionTile& tile, const RotaryTable& rotary, Grid grid, const float* q,
                          int64_t q_stride, const int64_t* rows, const int64_t* positions, int64_t count, int64_t head,
                          int64_t head_dim) {
  const float scale = kLog2E / sqrtf(static_cast<float>(head_dim));
  float* rotated = tile.queries + head_dim * kPanel;
  float largest = 0.0f;
  for (int64_t i = 0; i < kPanel; ++i) {
    if (i < count) {
      const float* query = q + (rows != nullptr ? rows[i] : i) * q_stride + head * head_dim;
      const float squares =
          rotary.rotate(query, positions[i] / grid.columns, positions[i] % grid.columns, scale, rotated);
      if (!(squares <= largest)) largest = largest != largest ? largest : squares;
    }
    for (int64_t j = 0; j < head_dim; ++j) tile.queries[j * kPanel + i] = i < count ? rotated[j] : 0.0f;
  }
  return largest;
}

// The attention of `count` <= kPanel queries (see load_queries) over the prepared keys to out
// [heads * head_dim][kPanel]. Where `lse` is given, the logarithm of each sum of exponentials goes to
// lse [heads][kPanel].
inline void attend_tile(const AttentionTile& tile, const PreparedKeys& prepared, const float* q, int64_t q_stride,
                        const int64_t* rows, const int64_t* positions, int64_t count, float* out,
                        float* lse = nullptr) {
  const KeyValues keys = prepared.keys();
  const float* norms = prepared.norms();
  const int64_t head_dim = keys.head_dim;
  for (int64_t head = 0; head < keys.heads; ++head) {
    const float squares =
        load_queries(tile, prepared.rotary(), prepared.grid(), q, q_stride, rows, positions, count, head, head_dim);
    // |q . k| <= |q| |k|; a NaN makes it false.
    const bool bounded = squares * norms[head] <= kSafeScore * kSafeScore;
    attend_head(tile, keys, head, count, bounded, out + head * head_dim * kPanel);
    if (lse == nullptr) continue;
    for (int64_t i = 0; i < count; ++i) {
      const float shift = bounded ? 0.0f : tile.state[i];
      lse[head * kPanel + i] = shift / kLog2E + logf(tile.state[kPanel + i]);
    }
  }
}

}  // namespace I2F_ISA
}  // namespace i2f
