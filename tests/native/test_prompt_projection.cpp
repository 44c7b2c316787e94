#include <algorithm>

#include "reference.hpp"

using namespace harness;

namespace {

struct Case {
  int64_t h, w, c, rh, rw, top, left;
  std::vector<int64_t> changed;
  int64_t p = 5;
};

// Layer normalisation, then the linear layer, of one row.
std::vector<double> projected(const std::vector<double>& row, const OrtValue& norm_weight, const OrtValue& norm_bias,
                              const OrtValue& weight, const OrtValue& bias) {
  double mean = 0.0;
  double variance = 0.0;
  for (const double value : row) mean += value / static_cast<double>(row.size());
  for (const double value : row) variance += (value - mean) * (value - mean) / static_cast<double>(row.size());
  std::vector<double> normal(row.size());
  for (size_t j = 0; j < row.size(); ++j) {
    normal[j] = (row[j] - mean) / std::sqrt(variance + 1e-5) * norm_weight.floats[j] + norm_bias.floats[j];
  }
  return reference::linear(normal, weight, bias);
}

struct Expected {
  std::vector<double> x, qkv;
};

Result run(Random& random, const Case& t, Expected* expected) {
  const OrtValue embed = random.tensor({t.h, t.w, t.c});
  const OrtValue prompt = random.tensor({t.rh, t.rw, t.c});
  const OrtValue background = random.tensor({t.c});
  const OrtValue norm_weight = random.tensor({t.c});
  const OrtValue norm_bias = random.tensor({t.c});
  const OrtValue weight = random.tensor({t.p, t.c});
  const OrtValue bias = random.tensor({t.p});
  const OrtValue background_qkv = random.tensor({t.h * t.w, t.p});
  const OrtValue first_qkv = random.tensor({t.h * t.w, t.p});
  for (int64_t token = 0; token < t.h * t.w; ++token) {
    // Unsigned, as offsets may be absurd: what lies before the region wraps to a large number.
    const uint64_t r = static_cast<uint64_t>(token / t.w) - static_cast<uint64_t>(t.top);
    const uint64_t q = static_cast<uint64_t>(token % t.w) - static_cast<uint64_t>(t.left);
    const bool inside = r < static_cast<uint64_t>(t.rh) && q < static_cast<uint64_t>(t.rw);
    const int64_t place = inside ? static_cast<int64_t>(r) * t.rw + static_cast<int64_t>(q) : 0;
    const bool is_changed = std::find(t.changed.begin(), t.changed.end(), token) != t.changed.end();
    std::vector<double> row;
    for (int64_t j = 0; j < t.c; ++j) {
      const float added = inside ? prompt.floats[place * t.c + j] : background.floats[j];
      row.push_back(static_cast<double>(embed.floats[token * t.c + j]) + added);
    }
    expected->x.insert(expected->x.end(), row.begin(), row.end());
    // What is known is taken as it is: here it is something else than the truth, to see that it is taken.
    std::vector<double> result = projected(row, norm_weight, norm_bias, weight, bias);
    const OrtValue& known = inside ? first_qkv : background_qkv;
    for (int64_t j = 0; j < t.p; ++j) {
      expected->qkv.push_back(inside && is_changed ? result[j] : known.floats[token * t.p + j]);
    }
  }
  return Call("PromptProjection")
      .input(embed)
      .input(prompt)
      .input(ints({2}, {t.top, t.left}))
      .constant(background)
      .constant(norm_weight)
      .constant(norm_bias)
      .constant(weight)
      .constant(bias)
      .input(background_qkv)
      .input(first_qkv)
      .input(ints({static_cast<int64_t>(t.changed.size())}, t.changed))
      .attribute("epsilon", 1e-5f)
      .run();
}

std::vector<int64_t> all(int64_t count) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(i);
  return tokens;
}

}  // namespace

I2F_TEST(prompt_projection) {
  Random random(1);
  for (const Case& t : std::vector<Case>{{1, 1, 3, 1, 1, 0, 0, {0}},
                                         {3, 5, 7, 2, 2, 1, 3, {1, 8, 14}},
                                         {9, 4, 16, 9, 4, 0, 0, {}},
                                         {9, 4, 16, 9, 4, 0, 0, all(36)},
                                         {5, 5, 33, 1, 5, 4, 0, all(25)},
                                         {6, 3, 8, 0, 0, 6, 3, {4}},
                                         {31, 17, 20, 30, 16, 1, 1, all(31 * 17), 40},
                                         {0, 4, 8, 0, 4, 0, 0, {}}}) {
    Expected expected;
    const Result result = run(random, t, &expected);
    expect_close(result, 0, {t.h * t.w, t.c}, expected.x, 1e-7, "sum");
    expect_close(result, 1, {t.h * t.w, t.p}, expected.qkv, 1e-5, "projection");
  }
}

I2F_TEST(prompt_projection_errors) {
  Random random(2);
  Expected ignored;
  const std::string part =
      "input 'offset' holds (2, 0), expected a place for a region of 2 x 2 tokens in a grid of 3 x 3";
  expect_error(run(random, {3, 3, 4, 2, 2, 2, 0, {}}, &ignored), part, "bottom");
  expect_error(run(random, {3, 3, 4, 2, 2, 0, 2, {}}, &ignored), "input 'offset' holds (0, 2)", "right");
  expect_error(run(random, {3, 3, 4, 2, 2, -1, 0, {}}, &ignored), "input 'offset' holds (-1, 0)", "top");
  expect_error(run(random, {3, 3, 4, 4, 2, 0, 0, {}}, &ignored), "region of 4 x 2", "too high");
  expect_error(run(random, {3, 3, 4, 2, 2, INT64_MAX, INT64_MIN, {}}, &ignored), "input 'offset'", "absurd");
  expect_error(run(random, {3, 3, 4, 2, 2, 0, 0, {9}}, &ignored), "input 'changed' holds 9", "beyond the grid");
  expect_error(run(random, {3, 3, 4, 2, 2, 0, 0, {3, 3}}, &ignored),
               "input 'changed' holds 3 after 3 at position 1, expected ascending indices", "twice");
}
