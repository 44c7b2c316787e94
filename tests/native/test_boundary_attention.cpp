#include "reference.hpp"

using namespace harness;

namespace {

struct Case {
  int64_t h, w, boundary, channels, heads;
  float scale;
};

// Inputs of a case in the op's order.
std::vector<OrtValue> inputs(Random& random, const Case& c) {
  const int64_t n = c.h * c.w;
  const OrtValue q = random.tensor({c.boundary, c.channels}, c.scale);
  const OrtValue k = random.tensor({n, c.channels}, c.scale);
  const OrtValue v = random.tensor({n, c.channels});
  const OrtValue boundary = random.split(n, c.boundary).first;
  return {q, k, v, boundary, ints({2}, {c.h, c.w}), random.tensor({c.channels / c.heads / 4})};
}

Result run(const std::vector<OrtValue>& in, int64_t heads) {
  Call call("BoundaryAttention");
  for (const OrtValue& value : in) call.input(value);
  return call.attribute("num_heads", heads).run();
}

void compare(const std::vector<OrtValue>& in, int64_t heads, double tolerance, const std::string& what) {
  const int64_t columns = in[4].ints[1];
  expect_close(run(in, heads), 0, in[0].dims,
               reference::boundary_attention(in[0], in[1], in[2], in[3], columns, in[5], heads), tolerance, what);
}

}  // namespace

I2F_TEST(boundary_attention) {
  Random random(1);
  for (const Case& c : std::vector<Case>{{1, 1, 1, 4, 1, 1.0f},
                                         {1, 2, 2, 8, 2, 1.0f},
                                         {2, 1, 0, 8, 1, 1.0f},
                                         {5, 7, 35, 32, 1, 1.0f},
                                         {3, 33, 70, 64, 2, 1.0f},
                                         {97, 1, 33, 20, 1, 1.0f},
                                         {1, 193, 17, 12, 1, 1.0f},
                                         {23, 25, 47, 24, 3, 2.0f},
                                         {24, 24, 3, 36, 1, 1.0f}}) {
    compare(inputs(random, c), c.heads, 2e-5, "random");
  }
}

I2F_TEST(boundary_attention_large_scores) {
  // Scores far beyond what e^x can hold without the shift by the maximum.
  Random random(2);
  compare(inputs(random, {7, 9, 20, 32, 1, 12.0f}), 1, 2e-4, "scores to +-300");
  compare(inputs(random, {16, 16, 40, 8, 2, 30.0f}), 2, 2e-3, "scores to +-2000");
}

I2F_TEST(boundary_attention_not_finite) {
  Random random(3);
  std::vector<OrtValue> in = inputs(random, {6, 6, 20, 16, 1, 1.0f});
  in[0].floats[5 * 16 + 3] = NAN;
  const Result result = run(in, 1);
  const auto expected = reference::boundary_attention(in[0], in[1], in[2], in[3], 6, in[5], 1);
  expect_close(result, 0, {20, 16}, expected, 2e-5, "a NaN in one query stays in its row");
  in = inputs(random, {10, 15, 7, 16, 1, 1.0f});
  in[2].floats[149 * 16 + 2] = NAN;
  expect_close(run(in, 1), 0, {7, 16}, reference::boundary_attention(in[0], in[1], in[2], in[3], 15, in[5], 1), 2e-5,
               "a NaN in one value stays in its channel");
  in[2].floats[149 * 16 + 2] = 0.0f;
  in[1].floats[3 * 16 + 1] = NAN;
  const Result lost = run(in, 1);
  bool all = lost.error.empty();
  for (const float value : lost.outputs.at(0).floats) all = all && std::isnan(value);
  expect(all, "a NaN in a key reaches every query");
}

I2F_TEST(boundary_attention_errors) {
  Random random(4);
  const std::vector<OrtValue> good = inputs(random, {3, 4, 5, 16, 2, 1.0f});
  const auto with = [&](size_t index, const OrtValue& value, int64_t heads) {
    std::vector<OrtValue> in = good;
    in[index] = value;
    return run(in, heads);
  };
  expect_error(with(3, ints({5}, {0, 1, 2, 3, 12}), 2), "input 'boundary' holds 12 at position 4", "index");
  expect_error(with(3, ints({4}, {0, 1, 2, 3}), 2), "input 'boundary' has shape [4], expected [Nb=5]", "count");
  expect_error(with(4, ints({2}, {4, 4}), 2), "input 'grid' holds 4 x 4, expected rows x columns of 12 tokens", "grid");
  expect_error(with(4, ints({2}, {-3, -4}), 2), "input 'grid' holds -3 x -4", "negative grid");
  expect_error(with(4, ints({2}, {INT64_MAX, INT64_MAX}), 2), "input 'grid' holds", "grid that overflows");
  expect_error(with(4, ints({2}, {0, INT64_MAX}), 2), "input 'grid' holds", "empty grid");
  expect_error(with(1, random.tensor({12, 12}), 2), "input 'k' has shape [12, 12], expected [N, D=16]", "k");
  expect_error(with(2, random.tensor({11, 16}), 2), "input 'v' has shape [11, 16], expected [N=12, D=16]", "v");
  expect_error(with(5, random.tensor({3}), 2), "input 'freqs' has shape [3]", "freqs");
  expect_error(run(good, 3), "16 channels and num_heads=3", "heads");
  expect_error(run(good, 8), "expected heads of a multiple of 4 channels", "heads of two channels");
  expect_error(run(good, 0), "num_heads=0", "no heads");
}
