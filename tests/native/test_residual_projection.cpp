#include "encoder_reference.hpp"

using namespace harness;

I2F_TEST(residual_projection) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{
           {0, 8, 8}, {1, 1, 1}, {2, 3, 5}, {13, 33, 70}, {57, 64, 96}, {130, 40, 31}, {100, 7, 97}, {3, 8, 0}}) {
    const OrtValue x = random.tensor({size[0], size[1]}, 3.0f);
    const OrtValue residual = random.tensor({size[0], size[2]}, 3.0f);
    const OrtValue weight = random.tensor({size[2], size[1]});
    const OrtValue bias = random.tensor({size[2]});
    const Result result = Call("ResidualProjection").input(x).input(residual).constant(weight).constant(bias).run();
    reference::Doubles expected = reference::linear(reference::doubles(x), weight, bias);
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += residual.floats[i];
    expect_close(result, 0, {size[0], size[2]}, expected, 2e-5, "random");
  }
}

I2F_TEST(residual_projection_not_finite) {
  Random random(2);
  OrtValue x = random.tensor({60, 24});
  x.floats[3 * 24 + 5] = NAN;
  OrtValue residual = random.tensor({60, 10});
  residual.floats[50 * 10 + 9] = INFINITY;
  const OrtValue weight = random.tensor({10, 24});
  const OrtValue bias = random.tensor({10});
  const Result result = Call("ResidualProjection").input(x).input(residual).constant(weight).constant(bias).run();
  reference::Doubles expected = reference::linear(reference::doubles(x), weight, bias);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] += residual.floats[i];
  expect_close(result, 0, {60, 10}, expected, 2e-5, "the rows that hold them are lost, the others untouched");
}

I2F_TEST(residual_projection_errors) {
  Random random(3);
  const auto call = [&](Shape x, Shape residual, Shape weight, Shape bias) {
    return Call("ResidualProjection")
        .input(random.tensor(x))
        .input(random.tensor(residual))
        .constant(random.tensor(weight))
        .constant(random.tensor(bias))
        .run();
  };
  expect_error(call({4, 8}, {5, 3}, {3, 8}, {3}), "input 'residual' has shape [5, 3], expected [N=4, P]", "tokens");
  expect_error(call({4, 8}, {4, 3}, {2, 8}, {3}), "input 'weight' has shape [2, 8], expected [P=3, C=8]", "width");
  expect_error(call({4, 8}, {4, 3}, {3, 8}, {4}), "input 'bias' has shape [4], expected [P=3]", "bias");
}
