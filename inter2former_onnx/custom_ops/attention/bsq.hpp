// Attention over binary codes of the keys. All tokens fall into at most 2^B buckets, and a bucket's key is a sum of one
// row per bit, so e^(q . key) is a product of one factor per bit: 2 B dot products and exponentials a query instead of
// 2^B.
//
// As in attention.hpp, a tile holds kPanel queries side by side in the vector lanes.
#pragma once

#include "native/maths/gemm.hpp"
#include "native/maths/rows.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {

constexpr int64_t kMaxBits = 12;
// Each factor is at most 1 (the larger of a bit's two is exactly 1), so the heaviest bucket has weight 1, but it may be
// empty. Below this sum of the occupied buckets' weights some may have been lost to underflow, and the exact maximum is
// used instead.
constexpr float kLeastDenominator = 8.67361738e-19f;  // 2^-60

// What one pass over a chunk of tokens finds, [2^bits] each: sums of the values [2^bits][channels] and numbers of
// tokens.
struct BucketSums {
  float* values;
  float* counts;
};

I2F_INLINE int64_t checked_bits(const Context& context, int64_t bits) {
  if (bits < 1 || bits > kMaxBits) {
    context.fail("codes of %lld bits, expected 1 to %lld", static_cast<long long>(bits),
                 static_cast<long long>(kMaxBits));
  }
  return bits;
}

// The projection to bits as a packed matrix, the last bit first: bit j of a code is then lane j.
struct CodeProjection {
  float* panels;  // packed_floats(channels, bits)
  float* bias;    // [kPanel * ...] padded with zeros
  int64_t channels;
  int64_t bits;

  static I2F_INLINE int64_t bias_floats(int64_t bits) { return round_up(bits, kPanel); }

  I2F_INLINE void pack_from(const float* code_weight, const float* code_bias) const {
    pack(code_weight + (bits - 1) * channels, -channels, 1, channels, bits, panels);
    for (int64_t i = 0; i < bias_floats(bits); ++i) bias[i] = i < bits ? code_bias[bits - 1 - i] : 0.0f;
  }
};

// Adds the tokens first .. last-1 (rows of k and v, `stride` apart) up by their codes. `codes` has room for last -
// first.
inline void sum_buckets(const CodeProjection& projection, const float* k, const float* v, int64_t stride, int64_t first,
                        int64_t last, int32_t* codes, const BucketSums& sums) {
  const int64_t channels = projection.channels;
  const int64_t bits = projection.bits;
  const int64_t tokens = last - first;
  const int64_t buckets = int64_t{1} << bits;
  for (int64_t i = 0; i < buckets * channels; ++i) sums.values[i] = 0.0f;
  for (int64_t i = 0; i < buckets; ++i) sums.counts[i] = 0.0f;
  for (int64_t i = 0; i < tokens; ++i) codes[i] = 0;
  const float* bias = projection.bias;
  const unsigned valid = (1u << bits) - 1;
  gemm(k + first * stride, stride, 1, tokens, projection.panels, channels, bits,
       [=](int64_t row, int64_t column, Vec value) {
         const unsigned set_bits = lane_bits(greater_equal(value + load(bias + column), zero()));
         codes[row] |= static_cast<int32_t>((set_bits << column) & valid);
       });
  for (int64_t i = 0; i < tokens; ++i) {
    float* sum = sums.values + codes[i] * channels;
    add_rows(sum, v + (first + i) * stride, channels, sum);
    sums.counts[codes[i]] += 1.0f;
  }
}

// The occupied buckets: their codes, and per head a table [count][head_dim + 1] of the sum of values and the number of
// tokens.
struct Buckets {
  int32_t* codes;
  float* table;
  int64_t count;
  int64_t heads;
  int64_t head_dim;
  int64_t bits;

  static I2F_INLINE int64_t table_floats(int64_t buckets, int64_t heads, int64_t head_dim) {
    return buckets * heads * (head_dim + 1);
  }
};

// Joins the sums of all chunks. `target` has room for min(2^bits, tokens) buckets; its count is set.
inline void collect_buckets(const BucketSums* chunks, int64_t chunk_count, Buckets* target) {
  const int64_t buckets = int64_t{1} << target->bits;
  const int64_t head_dim = target->head_dim;
  const int64_t channels = head_dim * target->heads;
  int64_t count = 0;
  for (int64_t code = 0; code < buckets; ++code) {
    float tokens = 0.0f;
    for (int64_t i = 0; i < chunk_count; ++i) tokens += chunks[i].counts[code];
    if (tokens > 0.0f) target->codes[count++] = static_cast<int32_t>(code);
  }
  target->count = count;
  for (int64_t head = 0; head < target->heads; ++head) {
    for (int64_t m = 0; m < count; ++m) {
      float* row = target->table + (head * count + m) * (head_dim + 1);
      const int64_t code = target->codes[m];
      for (int64_t j = 0; j <= head_dim; ++j) row[j] = 0.0f;
      for (int64_t i = 0; i < chunk_count; ++i) {
        if (chunks[i].counts[code] == 0.0f) continue;
        const float* sum = chunks[i].values + code * channels + head * head_dim;
        for (int64_t j = 0; j < head_dim; ++j) row[j] += sum[j];
        row[head_dim] += chunks[i].counts[code];
      }
    }
  }
}

// The memory that the passes over the tokens share during one run.
class BsqMemory {
 public:
  // Tokens that one pass adds up.
  static constexpr int64_t kChunk = 1024;

  BsqMemory(int64_t tokens, int64_t bits, int64_t heads, int64_t head_dim)
      : tokens_(tokens),
        bits_(bits),
        heads_(heads),
        head_dim_(head_dim),
        scratch_(
            {bytes_of<float>(packed_floats(heads * head_dim, bits)), bytes_of<float>(CodeProjection::bias_floats(bits)),
             bytes_of<float>(chunks() * buckets() * heads * head_dim), bytes_of<float>(chunks() * buckets()),
             bytes_of<int32_t>(tokens), bytes_of<int32_t>(buckets()),
             bytes_of<float>(Buckets::table_floats(buckets(), heads, head_dim)), bytes_of<BucketSums>(chunks())}) {}

  I2F_INLINE int64_t chunks() const { return ceil_div(tokens_, kChunk); }

  I2F_INLINE void pack_projection(const float* code_weight, const float* code_bias) const {
    projection().pack_from(code_weight, code_bias);
  }

  // Adds up the tokens of one chunk.
  I2F_INLINE void sum_chunk(const float* k, const float* v, int64_t stride, int64_t chunk) const {
    const int64_t first = chunk * kChunk;
    sum_buckets(projection(), k, v, stride, first, min_of(first + kChunk, tokens_), scratch_.part<int32_t>(4) + first,
                sums(chunk));
  }

  // The occupied buckets, after all chunks were added up; they live in this object's memory.
  I2F_INLINE Buckets collect() const {
    BucketSums* all = scratch_.part<BucketSums>(7);
    for (int64_t i = 0; i < chunks(); ++i) all[i] = sums(i);
    Buckets found = {scratch_.part<int32_t>(5), scratch_.part<float>(6), 0, heads_, head_dim_, bits_};
    collect_buckets(all, chunks(), &found);
    return found;
  }

 private:
  I2F_INLINE int64_t buckets() const { return int64_t{1} << bits_; }
  I2F_INLINE CodeProjection projection() const {
    return {scratch_.part<float>(0), scratch_.part<float>(1), heads_ * head_dim_, bits_};
  }
  I2F_INLINE BucketSums sums(int64_t chunk) const {
    return {scratch_.part<float>(2) + chunk * buckets() * heads_ * head_dim_,
            scratch_.part<float>(3) + chunk * buckets()};
  }

  int64_t tokens_;
  int64_t bits_;
  int64_t heads_;
  int64_t head_dim_;
  Scratch scratch_;
};

// Scratch of one tile.
struct BsqTile {
  float* queries;  // [head_dim][kPanel], scaled
  float* scores;   // [2 * bits][kPanel]: of each codebook row
  float* high;     // [2^(bits / 2)][kPanel]: of the leading bits
  float* low;      // [2^(bits - bits / 2)][kPanel]: of the others
  float* weights;  // [buckets][kPanel]
  float* sums;     // [head_dim + 1][kPanel]
};

class BsqScratch {
 public:
  explicit BsqScratch(const Buckets& buckets)
      : scratch_({bytes_of<float>(buckets.head_dim * kPanel), bytes_of<float>(2 * buckets.bits * kPanel),
                  bytes_of<float>((int64_t{1} << (buckets.bits / 2)) * kPanel),
                  bytes_of<float>((int64_t{1} << (buckets.bits - buckets.bits / 2)) * kPanel),
                  bytes_of<float>(buckets.count * kPanel), bytes_of<float>((buckets.head_dim + 1) * kPanel)}) {}

  I2F_INLINE BsqTile tile() const {
    return {scratch_.part<float>(0), scratch_.part<float>(1), scratch_.part<float>(2),
            scratch_.part<float>(3), scratch_.part<float>(4), scratch_.part<float>(5)};
  }

 private:
  Scratch scratch_;
};

// Expands the bits first_bit .. last_bit-1 into a table of all their combinations, the first bit most significant.
// `kSum`: a combination is the sum of its scores; otherwise the product of e^(score - larger score of the bit).
template <bool kSum>
inline void expand_bits(const float* scores, int64_t bits, int64_t first_bit, int64_t last_bit, int64_t queries,
                        float* table) {
  for (int64_t column = 0; column < queries; column += kLanes) {
    store(table + column, kSum ? zero() : set(1.0f));
    int64_t size = 1;
    for (int64_t bit = first_bit; bit < last_bit; ++bit) {
      Vec one = load(scores + bit * kPanel + column);
      Vec none = load(scores + (bits + bit) * kPanel + column);
      if (!kSum) {
        const Vec larger = max(one, none);
        one = exp2_of_score(one - larger);
        none = exp2_of_score(none - larger);
      }
      // From the end, in place: entry i becomes entries 2 i and 2 i + 1.
      for (int64_t i = size - 1; i >= 0; --i) {
        const Vec entry = load(table + i * kPanel + column);
        store(table + (2 * i + 1) * kPanel + column, kSum ? entry + one : entry * one);
        store(table + 2 * i * kPanel + column, kSum ? entry + none : entry * none);
      }
      size *= 2;
    }
  }
}

// sums [head_dim + 1][kPanel] = the values and the number of tokens of the buckets, by tile.weights.
I2F_INLINE void sum_weighted(const BsqTile& tile, const Buckets& buckets, const float* table, int64_t queries) {
  const int64_t width = buckets.head_dim + 1;
  float* sums = tile.sums;
  gemm(table, 1, width, width, tile.weights, buckets.count, queries,
       [=](int64_t row, int64_t column, Vec value) { store(sums + row * kPanel + column, value); });
}

// Weights by the exact maximum over the occupied buckets; costs an exponential a bucket.
inline void exact_weights(const BsqTile& tile, const Buckets& buckets, int64_t queries) {
  const int64_t low_bits = buckets.bits - buckets.bits / 2;
  const int64_t low_mask = (int64_t{1} << low_bits) - 1;
  expand_bits<true>(tile.scores, buckets.bits, 0, buckets.bits / 2, queries, tile.high);
  expand_bits<true>(tile.scores, buckets.bits, buckets.bits / 2, buckets.bits, queries, tile.low);
  for (int64_t column = 0; column < queries; column += kLanes) {
    Vec largest = set(-INFINITY);
    for (int64_t m = 0; m < buckets.count; ++m) {
      const int64_t code = buckets.codes[m];
      const Vec score =
          load(tile.high + (code >> low_bits) * kPanel + column) + load(tile.low + (code & low_mask) * kPanel + column);
      store(tile.weights + m * kPanel + column, score);
      largest = max(score, largest);
    }
    for (int64_t m = 0; m < buckets.count; ++m) {
      float* weight = tile.weights + m * kPanel + column;
      store(weight, exp2_of_score(load(weight) - largest));
    }
  }
}

// One head for `queries` <= kPanel queries, whose transposed scaled rows are in tile.queries, to out
// [head_dim][kPanel]. `codebook` [2 * bits] rows of `channels` floats, offset to the head.
inline void bsq_head(const BsqTile& tile, const Buckets& buckets, const float* codebook, int64_t channels, int64_t head,
                     int64_t queries, float* out) {
  const int64_t bits = buckets.bits;
  const int64_t head_dim = buckets.head_dim;
  const float* table = buckets.table + head * buckets.count * (head_dim + 1);
  float* scores = tile.scores;
  gemm(codebook, channels, 1, 2 * bits, tile.queries, head_dim, queries,
       [=](int64_t row, int64_t column, Vec value) { store(scores + row * kPanel + column, value); });
  expand_bits<false>(scores, bits, 0, bits / 2, queries, tile.high);
  expand_bits<false>(scores, bits, bits / 2, bits, queries, tile.low);
  const int64_t low_bits = bits - bits / 2;
  const int64_t low_mask = (int64_t{1} << low_bits) - 1;
  for (int64_t m = 0; m < buckets.count; ++m) {
    const int64_t code = buckets.codes[m];
    const float* high = tile.high + (code >> low_bits) * kPanel;
    const float* low = tile.low + (code & low_mask) * kPanel;
    for (int64_t column = 0; column < queries; column += kLanes) {
      store(tile.weights + m * kPanel + column, load(high + column) * load(low + column));
    }
  }
  sum_weighted(tile, buckets, table, queries);
  const float* denominators = tile.sums + head_dim * kPanel;
  bool lost = false;
  for (int64_t i = 0; i < queries; ++i) {
    if (!(denominators[i] >= kLeastDenominator)) lost = true;
  }
  if (lost) {
    exact_weights(tile, buckets, queries);
    sum_weighted(tile, buckets, table, queries);
  }
  for (int64_t column = 0; column < queries; column += kLanes) {
    const Vec factor = set(1.0f) / load(denominators + column);
    for (int64_t i = 0; i < head_dim; ++i) {
      store(out + i * kPanel + column, load(tile.sums + i * kPanel + column) * factor);
    }
  }
}

// The attention of `count` <= kPanel queries to out [heads * head_dim][kPanel]. Query i is row rows[i] of q (null: row
// i).
inline void bsq_tile(const BsqTile& tile, const float* q, int64_t q_stride, const int64_t* rows, int64_t count,
                     const Buckets& buckets, const float* codebook, float* out) {
  const int64_t head_dim = buckets.head_dim;
  const float scale = kLog2E / sqrtf(static_cast<float>(head_dim));
  for (int64_t head = 0; head < buckets.heads; ++head) {
    for (int64_t i = 0; i < kPanel; ++i) {
      const float* query = q + (i < count ? (rows != nullptr ? rows[i] : i) : 0) * q_stride + head * head_dim;
      for (int64_t j = 0; j < head_dim; ++j) tile.queries[j * kPanel + i] = i < count ? query[j] * scale : 0.0f;
    }
    bsq_head(tile, buckets, codebook + head * head_dim, buckets.heads * head_dim, head, count,
             out + head * head_dim * kPanel);
  }
}

}  // namespace I2F_ISA
}  // namespace i2f
