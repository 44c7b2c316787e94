#include "quant_reference.hpp"

using namespace harness;

I2F_TEST(quant_norm_mlp) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{
           {0, 8, 8}, {1, 1, 1}, {2, 3, 5}, {13, 33, 70}, {97, 40, 64}, {130, 16, 31}, {30, 7, 600}, {3, 8, 0}}) {
    const OrtValue x = random.tensor({size[0], size[1]}, 3.0f);
    const OrtValue norm_weight = random.tensor({size[1]});
    const OrtValue norm_bias = random.tensor({size[1]});
    const reference::QuantLayer first(random, size[2], size[1]);
    const reference::QuantLayer second(random, size[1], size[2]);
    const Result result = Call("QuantNormMlp")
                              .input(x)
                              .constant(norm_weight)
                              .constant(norm_bias)
                              .constant(first.weight)
                              .constant(first.scale)
                              .constant(first.bias)
                              .constant(second.weight)
                              .constant(second.scale)
                              .constant(second.bias)
                              .attribute("epsilon", 1e-5f)
                              .run();
    const reference::Doubles normal =
        reference::layer_norm(reference::doubles(x), size[1], norm_weight, norm_bias, 1e-5);
    reference::Doubles hidden = first.apply(normal);
    for (double& value : hidden) value = reference::gelu(value);
    reference::Doubles expected;
    if (size[2] == 0) {
      for (size_t i = 0; i < x.floats.size(); ++i)
        expected.push_back(second.bias.floats[i % second.bias.floats.size()]);
    } else {
      expected = second.apply(hidden);
    }
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += x.floats[i];
    // See quant_norm_projection.
    expect_close(result, 0, {size[0], size[1]}, expected, 2e-2, "random");
  }
}

I2F_TEST(quant_norm_mlp_errors) {
  Random random(2);
  const reference::QuantLayer first(random, 6, 8);
  const auto call = [&](const reference::QuantLayer& second) {
    return Call("QuantNormMlp")
        .input(random.tensor({4, 8}))
        .constant(random.tensor({8}))
        .constant(random.tensor({8}))
        .constant(first.weight)
        .constant(first.scale)
        .constant(first.bias)
        .constant(second.weight)
        .constant(second.scale)
        .constant(second.bias)
        .attribute("epsilon", 1e-5f)
        .run();
  };
  expect_error(call(reference::QuantLayer(random, 6, 8)), "input 'weight2' has shape [6, 8], expected [C=8, H=6]", "");
  expect_error(call(reference::QuantLayer(random, 8, 5)), "input 'weight2' has shape [8, 5], expected [C=8, H=6]", "");
}
