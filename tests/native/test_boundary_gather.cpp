#include "harness.hpp"

using namespace harness;

namespace {

std::vector<double> rows_of(const OrtValue& x, const OrtValue& rows) {
  std::vector<double> out;
  const int64_t c = x.dims[1];
  for (const int64_t row : rows.ints)
    out.insert(out.end(), x.floats.begin() + row * c, x.floats.begin() + (row + 1) * c);
  return out;
}

}  // namespace

I2F_TEST(boundary_gather) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{
           {0, 4, 0}, {1, 1, 0}, {1, 1, 1}, {2, 5, 1}, {700, 3, 600}, {700, 3, 1}, {513, 16, 257}, {9, 0, 4}}) {
    const OrtValue x = random.tensor({size[0], size[1]});
    const auto [boundary, other] = random.split(size[0], size[2]);
    const Result result = Call("BoundaryGather").input(x).input(boundary).input(other).run();
    expect_close(result, 0, {size[2], size[1]}, rows_of(x, boundary), 0.0, "boundary rows");
    expect_close(result, 1, {size[0] - size[2], size[1]}, rows_of(x, other), 0.0, "other rows");
  }
}

I2F_TEST(boundary_gather_errors) {
  Random random(2);
  const OrtValue x = random.tensor({4, 3});
  const OrtValue none = ints({0}, {});
  expect_error(Call("BoundaryGather").input(x).input(ints({2}, {0, 4})).input(none).run(),
               "input 'boundary' holds 4 at position 1, expected 0 <= index < 4", "too large");
  expect_error(Call("BoundaryGather").input(x).input(none).input(ints({1}, {-1})).run(), "input 'other' holds -1",
               "negative");
  expect_error(Call("BoundaryGather").input(x).input(ints({1, 1}, {0})).input(none).run(),
               "input 'boundary' has shape [1, 1], expected [Nb]", "rank");
}
