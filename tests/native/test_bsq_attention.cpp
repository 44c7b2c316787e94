#include "reference.hpp"

using namespace harness;

namespace {

struct Case {
  int64_t others, tokens, channels, heads, bits;
  float scale;
};

std::vector<OrtValue> inputs(Random& random, const Case& c) {
  const OrtValue q = random.tensor({c.others, c.channels}, c.scale);
  const OrtValue k = random.tensor({c.tokens, c.channels});
  const OrtValue v = random.tensor({c.tokens, c.channels});
  const OrtValue weight = random.tensor({c.bits, c.channels});
  const OrtValue bias = random.tensor({c.bits}, 0.2f);
  return {q, k, v, weight, bias, random.tensor({2 * c.bits, c.channels}, c.scale)};
}

Result run(const std::vector<OrtValue>& in, int64_t heads) {
  Call call("BSQAttention");
  call.input(in[0]).input(in[1]).input(in[2]).constant(in[3]).constant(in[4]).constant(in[5]);
  return call.attribute("num_heads", heads).run();
}

void compare(const std::vector<OrtValue>& in, int64_t heads, double tolerance, const std::string& what) {
  expect_close(run(in, heads), 0, in[0].dims, reference::bsq_attention(in[0], in[1], in[2], in[3], in[4], in[5], heads),
               tolerance, what);
}

}  // namespace

I2F_TEST(bsq_attention) {
  Random random(1);
  for (const Case& c : std::vector<Case>{{1, 1, 1, 1, 1, 1.0f},
                                         {2, 3, 5, 1, 2, 1.0f},
                                         {0, 9, 8, 1, 8, 1.0f},
                                         {33, 50, 64, 2, 6, 1.0f},
                                         {40, 1100, 32, 1, 8, 1.0f},
                                         {17, 200, 30, 3, 3, 1.0f},
                                         {5, 64, 8, 1, 12, 1.0f},
                                         {100, 31, 33, 1, 7, 1.0f}}) {
    compare(inputs(random, c), c.heads, 2e-5, "random");
  }
}

I2F_TEST(bsq_attention_unoccupied) {
  // All keys alike, so one bucket is occupied; every query prefers its opposite by far more than e^x can express.
  Random random(2);
  std::vector<OrtValue> in = inputs(random, {37, 40, 16, 2, 8, 1.0f});
  for (int64_t i = 0; i < 40; ++i) {
    for (int64_t j = 0; j < 16; ++j) in[1].floats[i * 16 + j] = 1.0f;
  }
  for (int64_t b = 0; b < 8; ++b) {
    for (int64_t j = 0; j < 16; ++j) {
      in[3].floats[b * 16 + j] = 1.0f;
      in[5].floats[b * 16 + j] = -25.0f;
      in[5].floats[(8 + b) * 16 + j] = 25.0f;
    }
  }
  for (float& value : in[0].floats) value = 1.0f + 0.1f * value;
  compare(in, 2, 2e-5, "one occupied bucket");
  // And two, of which one wins.
  for (int64_t j = 0; j < 16; ++j) in[1].floats[7 * 16 + j] = -1.0f;
  in[4].floats.assign(8, 0.0f);
  compare(in, 2, 2e-5, "two occupied buckets");
  compare(inputs(random, {30, 20, 32, 1, 8, 8.0f}), 1, 1e-3, "large scores, few tokens");
}

I2F_TEST(bsq_attention_on_the_threshold) {
  // Projections that are exactly zero set their bit.
  Random random(3);
  std::vector<OrtValue> in = inputs(random, {4, 6, 8, 1, 3, 1.0f});
  for (int64_t j = 0; j < 8; ++j) in[1].floats[2 * 8 + j] = 0.0f;
  in[4].floats.assign(3, 0.0f);
  compare(in, 1, 2e-5, "zero key");
}

I2F_TEST(bsq_attention_not_finite) {
  Random random(4);
  std::vector<OrtValue> in = inputs(random, {20, 30, 16, 1, 5, 1.0f});
  in[0].floats[3 * 16 + 3] = NAN;
  expect_close(run(in, 1), 0, {20, 16}, reference::bsq_attention(in[0], in[1], in[2], in[3], in[4], in[5], 1), 2e-5,
               "a NaN in one query stays in its row");
  // No keys at all: nothing to take a mean of.
  const std::vector<OrtValue> none = inputs(random, {3, 0, 8, 1, 4, 1.0f});
  expect_close(run(none, 1), 0, {3, 8}, std::vector<double>(24, NAN), 0.0, "no keys");
}

I2F_TEST(bsq_attention_errors) {
  Random random(5);
  const std::vector<OrtValue> good = inputs(random, {3, 4, 8, 1, 2, 1.0f});
  const auto with = [&](size_t index, const OrtValue& value, int64_t heads) {
    std::vector<OrtValue> in = good;
    in[index] = value;
    return run(in, heads);
  };
  expect_error(with(1, random.tensor({4, 7}), 1), "input 'k' has shape [4, 7], expected [N, D=8]", "k");
  expect_error(with(5, random.tensor({3, 8}), 1), "input 'codebook' has shape [3, 8], expected [2B=4, D=8]",
               "codebook");
  expect_error(with(4, random.tensor({3}), 1), "input 'code_bias' has shape [3], expected [B=2]", "bias");
  expect_error(run(good, 3), "8 channels and num_heads=3", "heads");
  expect_error(run(inputs(random, {1, 1, 4, 1, 13, 1.0f}), 1), "codes of 13 bits, expected 1 to 12", "13 bits");
  expect_error(run(inputs(random, {1, 1, 4, 1, 0, 1.0f}), 1), "codes of 0 bits, expected 1 to 12", "no bits");
}
