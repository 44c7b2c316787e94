#include "quant_reference.hpp"

using namespace harness;

namespace {

Result run(const OrtValue& x, const OrtValue& residual, const reference::QuantLayer& layer) {
  return Call("QuantResidualProjection")
      .input(x)
      .input(residual)
      .constant(layer.weight)
      .constant(layer.scale)
      .constant(layer.bias)
      .run();
}

}  // namespace

// The rows are the op's input as it is, so that the roundings are the reference's: not one step may differ.
I2F_TEST(quant_residual_projection) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{{0, 8, 8},
                                              {1, 1, 1},
                                              {2, 3, 5},
                                              {13, 33, 70},
                                              {97, 64, 96},
                                              {130, 65, 31},
                                              {31, 200, 33},
                                              {100, 7, 97},
                                              {3, 8, 0}}) {
    const OrtValue x = random.tensor({size[0], size[1]}, 3.0f);
    const OrtValue residual = random.tensor({size[0], size[2]}, 3.0f);
    const reference::QuantLayer layer(random, size[2], size[1]);
    reference::Doubles expected = layer.apply(reference::doubles(x));
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += residual.floats[i];
    expect_close(run(x, residual, layer), 0, {size[0], size[2]}, expected, 2e-5, "random");
  }
}

I2F_TEST(quant_residual_projection_extreme_rows) {
  Random random(2);
  OrtValue x = random.tensor({6, 70});
  for (int64_t j = 0; j < 70; ++j) {
    x.floats[j] = 0.0f;
    x.floats[70 + j] = 5.0f;
    x.floats[140 + j] = -5.0f;
    x.floats[210 + j] = 1e-35f;
    x.floats[280 + j] *= 1e30f;
  }
  const OrtValue residual = random.tensor({6, 40});
  const reference::QuantLayer layer(random, 40, 70);
  reference::Doubles expected = layer.apply(reference::doubles(x));
  for (size_t i = 0; i < expected.size(); ++i) expected[i] += residual.floats[i];
  expect_close(run(x, residual, layer), 0, {6, 40}, expected, 2e-5, "no range, one sign, tiny and huge");
}

I2F_TEST(quant_residual_projection_errors) {
  Random random(3);
  const OrtValue x = random.tensor({4, 8});
  reference::QuantLayer layer(random, 3, 8);
  expect_error(run(x, random.tensor({5, 3}), layer), "input 'residual' has shape [5, 3], expected [N=4, P]", "tokens");
  layer.scale = random.tensor({4});
  expect_error(run(x, random.tensor({4, 3}), layer), "input 'scale' has shape [4], expected [P=3]", "scale");
  layer = reference::QuantLayer(random, 3, 8);
  layer.weight = random.tensor({3, 8});
  expect_error(run(x, random.tensor({4, 3}), layer), "expected int8", "weights that are floats");
}
