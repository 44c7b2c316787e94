#include "harness.hpp"

using namespace harness;

namespace {

struct Case {
  int64_t h, w, c, rh, rw, top, left;
};

Result run(Random& random, const Case& t, std::vector<double>* expected) {
  const OrtValue embed = random.tensor({t.h, t.w, t.c});
  const OrtValue prompt = random.tensor({t.rh, t.rw, t.c});
  const OrtValue background = random.tensor({t.c});
  for (int64_t row = 0; row < t.h; ++row) {
    for (int64_t column = 0; column < t.w; ++column) {
      for (int64_t j = 0; j < t.c; ++j) {
        const int64_t r = row - t.top;
        const int64_t q = column - t.left;
        const bool inside = r >= 0 && r < t.rh && q >= 0 && q < t.rw;
        const float added = inside ? prompt.floats[(r * t.rw + q) * t.c + j] : background.floats[j];
        expected->push_back(static_cast<double>(embed.floats[(row * t.w + column) * t.c + j]) + added);
      }
    }
  }
  return Call("AddPrompt").input(embed).input(prompt).input(ints({2}, {t.top, t.left})).constant(background).run();
}

}  // namespace

I2F_TEST(add_prompt) {
  Random random(1);
  for (const Case& t : std::vector<Case>{{1, 1, 1, 1, 1, 0, 0},
                                         {3, 5, 7, 2, 2, 1, 3},
                                         {9, 4, 16, 9, 4, 0, 0},
                                         {5, 5, 33, 1, 5, 4, 0},
                                         {6, 3, 8, 0, 0, 6, 3},
                                         {6, 3, 8, 6, 1, 0, 2},
                                         {0, 4, 8, 0, 4, 0, 0},
                                         {2, 2, 0, 1, 1, 1, 1}}) {
    std::vector<double> expected;
    const Result result = run(random, t, &expected);
    expect_close(result, 0, {t.h * t.w, t.c}, expected, 1e-7, "sum");
  }
}

I2F_TEST(add_prompt_errors) {
  Random random(2);
  std::vector<double> ignored;
  const std::string part =
      "input 'offset' holds (2, 0), expected a place for a region of 2 x 2 tokens in a grid of 3 x 3";
  expect_error(run(random, {3, 3, 4, 2, 2, 2, 0}, &ignored), part, "bottom");
  expect_error(run(random, {3, 3, 4, 2, 2, 0, 2}, &ignored), "input 'offset' holds (0, 2)", "right");
  expect_error(run(random, {3, 3, 4, 2, 2, -1, 0}, &ignored), "input 'offset' holds (-1, 0)", "top");
  expect_error(run(random, {3, 3, 4, 4, 2, 0, 0}, &ignored), "region of 4 x 2", "too high");
  expect_error(run(random, {3, 3, 4, 2, 2, INT64_MAX, INT64_MIN}, &ignored), "input 'offset'", "absurd");
  const Result result = Call("AddPrompt")
                            .input(random.tensor({2, 2, 4}))
                            .input(random.tensor({1, 1, 3}))
                            .input(ints({2}, {0, 0}))
                            .constant(random.tensor({4}))
                            .run();
  expect_error(result, "input 'prompt' has shape [1, 1, 3], expected [rh, rw, C=4]", "channels");
}
