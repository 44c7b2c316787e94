#include "harness.hpp"

using namespace harness;

namespace {

Result crop(const OrtValue& x, std::vector<int64_t> grid, std::vector<int64_t> box) {
  return Call("CropTokens").input(x).input(ints({2}, std::move(grid))).input(ints({4}, std::move(box))).run();
}

}  // namespace

I2F_TEST(crop_tokens) {
  Random random(1);
  for (int round = 0; round < 40; ++round) {
    // Now and then a crop of several tasks.
    const int64_t h = random.integer(1, round % 10 == 0 ? 40 : 7);
    const int64_t w = random.integer(1, 9);
    const int64_t c = round % 10 == 0 ? 700 : random.integer(1, 40);
    const int64_t left = random.integer(0, w - 1);
    const int64_t right = random.integer(left + 1, w);
    const int64_t top = random.integer(0, h - 1);
    const int64_t bottom = random.integer(top + 1, h);
    const OrtValue x = random.tensor({h * w, c});
    std::vector<double> expected;
    for (int64_t i = top; i < bottom; ++i) {
      for (int64_t j = left; j < right; ++j) {
        for (int64_t k = 0; k < c; ++k) expected.push_back(x.floats[(i * w + j) * c + k]);
      }
    }
    const Result result = crop(x, {h, w}, {left, top, right, bottom});
    expect_close(result, 0, {bottom - top, right - left, c}, expected, 0.0, "random box");
  }
  expect_close(crop(random.tensor({6, 0}), {2, 3}, {0, 0, 3, 1}), 0, {1, 3, 0}, {}, 0.0, "no channels");
}

I2F_TEST(crop_tokens_errors) {
  Random random(2);
  const OrtValue x = random.tensor({12, 5});
  const int64_t huge = INT64_MAX;
  expect_error(crop(x, {3, 5}, {0, 0, 1, 1}), "CropTokens: input 'grid' holds 3 x 5, expected rows x columns of 12",
               "grid");
  expect_error(crop(x, {-3, -4}, {0, 0, 1, 1}), "input 'grid'", "negative grid");
  expect_error(crop(x, {huge, huge}, {0, 0, 1, 1}), "input 'grid'", "overflowing grid");
  for (const std::vector<int64_t>& box : std::vector<std::vector<int64_t>>{
           {-1, 0, 2, 2}, {0, -1, 2, 2}, {0, 0, 5, 2}, {0, 0, 2, 4}, {2, 0, 2, 2}, {0, 2, 2, 2}, {3, 0, 1, 2},
           {0, 3, 2, 1}, {0, 0, huge, huge}, {INT64_MIN, 0, 1, 1}, {huge, huge, INT64_MIN, INT64_MIN}}) {
    expect_error(crop(x, {3, 4}, box), "CropTokens: input 'box' is (", "box");
  }
  expect_error(crop(random.tensor({0, 5}), {0, 4}, {0, 0, 1, 1}), "within 4 columns and 0 rows", "empty grid");
}
