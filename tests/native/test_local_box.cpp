#include <cmath>

#include "harness.hpp"

using namespace harness;

namespace {

Result box_of(const OrtValue& localisation, float threshold) {
  return Call("LocalBox").input(localisation).constant(floats({}, {threshold})).run();
}

}  // namespace

I2F_TEST(local_box) {
  Random random(1);
  for (int round = 0; round < 60; ++round) {
    const int64_t h = random.integer(1, 9);
    const int64_t w = random.integer(1, 20);
    OrtValue values = random.tensor({h, w});
    // From almost all of the grid inside to almost nothing.
    const float threshold = random.uniform(-1.0f, 1.0f);
    for (float& value : values.floats) {
      if (random.integer(0, 9) == 0) value = round % 2 == 0 ? NAN : threshold;
    }
    int64_t left = w, top = h, right = 0, bottom = 0;
    for (int64_t i = 0; i < h * w; ++i) {
      if (!(values.floats[i] > threshold)) continue;
      left = i % w < left ? i % w : left;
      right = i % w >= right ? i % w + 1 : right;
      top = i / w < top ? i / w : top;
      bottom = i / w + 1;
    }
    if (bottom == 0) {
      left = top = 0;
      right = w;
      bottom = h;
    }
    expect_ints(box_of(values, threshold), 0, {4}, {left, top, right, bottom}, "random");
  }
}

I2F_TEST(local_box_special) {
  const auto grid = [](float fill) { return floats({3, 4}, std::vector<float>(12, fill)); };
  const std::vector<int64_t> whole = {0, 0, 4, 3};
  expect_ints(box_of(grid(-2.0f), -2.0f), 0, {4}, whole, "equal is not greater");
  expect_ints(box_of(grid(NAN), -2.0f), 0, {4}, whole, "all NaN");
  expect_ints(box_of(grid(5.0f), NAN), 0, {4}, whole, "NaN threshold");
  expect_ints(box_of(grid(-1e30f), -INFINITY), 0, {4}, whole, "everything above -inf");
  OrtValue one = grid(NAN);
  one.floats[1 * 4 + 2] = INFINITY;
  expect_ints(box_of(one, 1e30f), 0, {4}, {2, 1, 3, 2}, "one among NaN");
  expect_ints(box_of(floats({0, 5}, {}), 0.0f), 0, {4}, {0, 0, 5, 0}, "no rows");
}

I2F_TEST(local_box_errors) {
  const Result result = Call("LocalBox").input(floats({2, 2}, {0, 0, 0, 0})).constant(floats({1}, {0.0f})).run();
  expect_error(result, "LocalBox: input 'threshold' has shape [1], expected []", "threshold of rank 1");
  expect_error(box_of(floats({2}, {0, 0}), 0.0f), "input 'localisation' has shape [2], expected [h, w]", "rank");
}
