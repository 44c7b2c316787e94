#include "harness.hpp"

using namespace harness;

I2F_TEST(boundary_scatter) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{
           {0, 4, 0}, {1, 1, 0}, {1, 1, 1}, {2, 5, 1}, {700, 3, 600}, {700, 3, 1}, {513, 16, 257}, {9, 0, 4}}) {
    const int64_t c = size[1];
    const auto [boundary, other] = random.split(size[0], size[2]);
    const OrtValue x_boundary = random.tensor({size[2], c});
    const OrtValue x_other = random.tensor({size[0] - size[2], c});
    std::vector<double> expected(static_cast<size_t>(size[0] * c));
    for (size_t i = 0; i < boundary.ints.size(); ++i) {
      for (int64_t j = 0; j < c; ++j) expected[boundary.ints[i] * c + j] = x_boundary.floats[i * c + j];
    }
    for (size_t i = 0; i < other.ints.size(); ++i) {
      for (int64_t j = 0; j < c; ++j) expected[other.ints[i] * c + j] = x_other.floats[i * c + j];
    }
    const Result result = Call("BoundaryScatter").input(x_boundary).input(x_other).input(boundary).input(other).run();
    expect_close(result, 0, {size[0], c}, expected, 0.0, "rows");
  }
}

I2F_TEST(boundary_scatter_errors) {
  Random random(2);
  const OrtValue two = random.tensor({2, 3});
  const auto run = [&](std::vector<int64_t> boundary, std::vector<int64_t> other) {
    const int64_t count = static_cast<int64_t>(boundary.size());
    const int64_t rest = static_cast<int64_t>(other.size());
    return Call("BoundaryScatter")
        .input(two)
        .input(two)
        .input(ints({count}, std::move(boundary)))
        .input(ints({rest}, std::move(other)))
        .run();
  };
  expect_error(run({0, 4}, {1, 2}), "input 'boundary' holds 4 at position 1, expected 0 <= index < 4", "too large");
  expect_error(run({0, 1}, {-1, 2}), "input 'other' holds -1", "negative");
  expect_error(run({0, 1}, {1, 2}), "row 1 is named twice in 'boundary' and 'other'", "twice");
  expect_error(run({0, 1}, {2}), "input 'other' has shape [1], expected [No=2]", "count");
}
