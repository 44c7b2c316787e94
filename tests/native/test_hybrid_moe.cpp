#include "reference.hpp"

using namespace harness;

namespace {

enum Input {
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
  kExpertBias
};

struct Case {
  int64_t tokens, boundary, channels, hidden, experts;
};

std::vector<OrtValue> inputs(Random& random, const Case& c) {
  const int64_t n = c.channels;
  const int64_t h = c.hidden;
  const int64_t e = c.experts;
  std::vector<OrtValue> in = {random.tensor({c.tokens, n}, 2.0f), random.split(c.tokens, c.boundary).first};
  for (const Shape& shape : std::vector<Shape>{{n},    {n}, {h, n},    {h},    {h, n},    {h},    {h},       {h},
                                               {n, h}, {n}, {1, n},    {1},    {e, h, n}, {e, h}, {e, h, n}, {e, h},
                                               {h},    {h}, {e, n, h}, {e, n}, {e, n},    {e},    {e}}) {
    in.push_back(random.tensor(shape));
  }
  return in;
}

Result run(const std::vector<OrtValue>& in) {
  Call call("HybridMoE");
  for (size_t i = 0; i < in.size(); ++i) {
    if (i <= kBoundary) {
      call.input(in[i]);
    } else {
      call.constant(in[i]);
    }
  }
  return call.attribute("epsilon", 1e-5f).run();
}

std::vector<double> expert(const std::vector<OrtValue>& in, const std::vector<double>& y, int w1, int64_t index) {
  const std::vector<double> left = reference::linear(y, in[w1], in[w1 + 1], index);
  const std::vector<double> right = reference::linear(y, in[w1 + 2], in[w1 + 3], index);
  std::vector<double> hidden;
  for (size_t i = 0; i < left.size(); ++i) hidden.push_back(left[i] * reference::sigmoid(left[i]) * right[i]);
  return reference::linear(reference::layer_norm(hidden, in[w1 + 4], in[w1 + 5], 1e-5), in[w1 + 6], in[w1 + 7], index);
}

std::vector<double> expected(const std::vector<OrtValue>& in) {
  const int64_t c = in[kX].dims[1];
  std::vector<double> out;
  for (int64_t token = 0; token < in[kX].dims[0]; ++token) {
    const std::vector<double> x(in[kX].floats.begin() + token * c, in[kX].floats.begin() + (token + 1) * c);
    const std::vector<double> y = reference::layer_norm(x, in[kNormWeight], in[kNormBias], 1e-5);
    const std::vector<double> shared = expert(in, y, kSharedW1, 0);
    bool is_boundary = false;
    for (const int64_t row : in[kBoundary].ints) is_boundary = is_boundary || row == token;
    if (!is_boundary) {
      for (int64_t j = 0; j < c; ++j) out.push_back(x[j] + shared[j]);
      continue;
    }
    std::vector<double> scores = reference::linear(y, in[kExpertGateWeight], in[kExpertGateBias]);
    size_t best = 0;
    for (double& score : scores) score = reference::sigmoid(score);
    for (size_t e = 1; e < scores.size(); ++e) {
      if (scores[e] + in[kExpertBias].floats[e] > scores[best] + in[kExpertBias].floats[best]) best = e;
    }
    const double gate = reference::sigmoid(reference::linear(y, in[kSharedGateWeight], in[kSharedGateBias])[0]);
    const double a = std::exp(gate) / (std::exp(gate) + std::exp(scores[best]));
    const std::vector<double> routed = expert(in, y, kSelectW1, static_cast<int64_t>(best));
    for (int64_t j = 0; j < c; ++j) out.push_back(x[j] + a * shared[j] + (1.0 - a) * routed[j]);
  }
  return out;
}

}  // namespace

I2F_TEST(hybrid_moe) {
  Random random(1);
  for (const Case& c : std::vector<Case>{{0, 0, 8, 4, 2},
                                         {1, 0, 3, 1, 1},
                                         {1, 1, 8, 4, 1},
                                         {60, 33, 20, 12, 3},
                                         {99, 99, 33, 17, 5},
                                         {150, 149, 16, 33, 2},
                                         {50, 0, 40, 16, 4},
                                         {49, 20, 64, 64, 8}}) {
    const std::vector<OrtValue> in = inputs(random, c);
    expect_close(run(in), 0, in[kX].dims, expected(in), 5e-5, "random");
  }
}

I2F_TEST(hybrid_moe_ties) {
  // Equal gates: the first of the best wins. One expert for all: its tokens take several tiles.
  Random random(2);
  std::vector<OrtValue> in = inputs(random, {130, 130, 16, 8, 4});
  in[kExpertGateWeight].floats.assign(4 * 16, 0.0f);
  in[kExpertGateBias].floats.assign(4, 0.25f);
  in[kExpertBias].floats = {0.0f, 0.5f, 0.5f, -1.0f};
  expect_close(run(in), 0, in[kX].dims, expected(in), 5e-5, "ties");
}

I2F_TEST(hybrid_moe_not_finite) {
  Random random(3);
  std::vector<OrtValue> in = inputs(random, {60, 30, 16, 8, 4});
  in[kX].floats[0] = NAN;
  in[kX].floats[59 * 16 + 15] = INFINITY;
  in[kBoundary].ints[0] = 0;
  for (size_t i = 1; i < 30; ++i) in[kBoundary].ints[i] = static_cast<int64_t>(i);
  // The two rows are lost, the others are untouched.
  expect_close(run(in), 0, in[kX].dims, expected(in), 5e-5, "NaN and infinity");
}

I2F_TEST(hybrid_moe_errors) {
  Random random(4);
  const std::vector<OrtValue> good = inputs(random, {6, 3, 8, 4, 2});
  const auto with = [&](size_t index, const OrtValue& value) {
    std::vector<OrtValue> in = good;
    in[index] = value;
    return run(in);
  };
  expect_error(with(kBoundary, ints({1}, {6})), "input 'boundary' holds 6 at position 0", "index");
  expect_error(with(kBoundary, ints({2}, {1, 1})), "input 'boundary' names token 1 twice", "twice");
  expect_error(with(kSharedW2, random.tensor({5, 8})), "input 'shared_w2' has shape [5, 8], expected [H=4, C=8]", "w2");
  expect_error(with(kSelectW1, random.tensor({2, 4, 9})), "input 'select_w1'", "select_w1");
  expect_error(with(kSelectW3, random.tensor({2, 4, 8})), "input 'select_w3' has shape [2, 4, 8]", "select_w3");
  expect_error(with(kSelectB1, random.tensor({3, 4})), "input 'select_b1'", "select_b1");
  expect_error(with(kExpertBias, random.tensor({3})), "input 'expert_bias'", "expert_bias");
  expect_error(run(inputs(random, {3, 1, 8, 4, 0})), "expected at least one expert", "no experts");
}
