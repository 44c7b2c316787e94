#include "quant_reference.hpp"

using namespace harness;

I2F_TEST(quant_norm_projection) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{
           {0, 8, 8}, {1, 1, 1}, {2, 3, 5}, {13, 33, 70}, {97, 64, 96}, {130, 40, 31}, {100, 7, 97}, {3, 8, 0}}) {
    const OrtValue x = random.tensor({size[0], size[1]}, 3.0f);
    const OrtValue norm_weight = random.tensor({size[1]});
    const OrtValue norm_bias = random.tensor({size[1]});
    const reference::QuantLayer layer(random, size[2], size[1]);
    const Result result = Call("QuantNormProjection")
                              .input(x)
                              .constant(norm_weight)
                              .constant(norm_bias)
                              .constant(layer.weight)
                              .constant(layer.scale)
                              .constant(layer.bias)
                              .attribute("epsilon", 1e-5f)
                              .run();
    const reference::Doubles normal =
        reference::layer_norm(reference::doubles(x), size[1], norm_weight, norm_bias, 1e-5);
    // A value between two steps may be rounded either way: a step is some 0.4 % of a row's range.
    expect_close(result, 0, {size[0], size[2]}, layer.apply(normal), 1e-2, "random");
  }
}

I2F_TEST(quant_norm_projection_errors) {
  Random random(2);
  const reference::QuantLayer layer(random, 3, 8);
  const auto call = [&](const OrtValue& norm_weight, const OrtValue& bias) {
    return Call("QuantNormProjection")
        .input(random.tensor({4, 8}))
        .constant(norm_weight)
        .constant(random.tensor({8}))
        .constant(layer.weight)
        .constant(layer.scale)
        .constant(bias)
        .attribute("epsilon", 1e-5f)
        .run();
  };
  expect_error(call(random.tensor({7}), random.tensor({3})), "input 'norm_weight' has shape [7], expected [C=8]",
               "norm");
  expect_error(call(random.tensor({8}), random.tensor({4})), "input 'bias' has shape [4], expected [P=3]", "bias");
}
