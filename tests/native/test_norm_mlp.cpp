#include "encoder_reference.hpp"

using namespace harness;

namespace {

struct Mlp {
  OrtValue x, norm_weight, norm_bias, weight1, bias1, weight2, bias2;

  Mlp(Random& random, int64_t n, int64_t c, int64_t h)
      : x(random.tensor({n, c}, 3.0f)),
        norm_weight(random.tensor({c})),
        norm_bias(random.tensor({c})),
        weight1(random.tensor({h, c})),
        bias1(random.tensor({h})),
        weight2(random.tensor({c, h})),
        bias2(random.tensor({c})) {}

  Result run() const {
    return Call("NormMlp")
        .input(x)
        .constant(norm_weight)
        .constant(norm_bias)
        .constant(weight1)
        .constant(bias1)
        .constant(weight2)
        .constant(bias2)
        .attribute("epsilon", 1e-5f)
        .run();
  }
  reference::Doubles expected() const {
    reference::Doubles hidden = reference::linear(
        reference::layer_norm(reference::doubles(x), x.dims[1], norm_weight, norm_bias, 1e-5), weight1, bias1);
    for (double& value : hidden) value = reference::gelu(value);
    reference::Doubles y =
        weight1.dims[0] == 0 ? reference::Doubles(x.floats.size()) : reference::linear(hidden, weight2, bias2);
    for (size_t i = 0; i < y.size(); ++i) {
      y[i] += x.floats[i] + (weight1.dims[0] == 0 ? bias2.floats[i % bias2.floats.size()] : 0.0f);
    }
    return y;
  }
};

}  // namespace

I2F_TEST(norm_mlp) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{{0, 8, 8},
                                              {1, 1, 1},
                                              {2, 3, 5},
                                              {13, 33, 70},
                                              {113, 40, 64},
                                              {130, 16, 31},
                                              {5, 24, 512},
                                              {15, 24, 513},
                                              {30, 7, 1100},
                                              {3, 8, 0}}) {
    const Mlp mlp(random, size[0], size[1], size[2]);
    expect_close(mlp.run(), 0, {size[0], size[1]}, mlp.expected(), 2e-5, "random");
  }
}

I2F_TEST(norm_mlp_not_finite) {
  Random random(2);
  Mlp mlp(random, 60, 24, 40);
  mlp.x.floats[3 * 24 + 5] = NAN;
  mlp.x.floats[50 * 24 + 23] = INFINITY;
  expect_close(mlp.run(), 0, {60, 24}, mlp.expected(), 2e-5, "the rows that hold them are lost, the others untouched");
}

I2F_TEST(norm_mlp_errors) {
  Random random(3);
  Mlp mlp(random, 4, 8, 6);
  mlp.weight2 = random.tensor({6, 8});
  expect_error(mlp.run(), "input 'weight2' has shape [6, 8], expected [C=8, H=6]", "weight2");
  mlp = Mlp(random, 4, 8, 6);
  mlp.bias1 = random.tensor({8});
  expect_error(mlp.run(), "input 'bias1' has shape [8], expected [H=6]", "bias1");
  mlp = Mlp(random, 4, 8, 6);
  mlp.norm_bias = random.tensor({7});
  expect_error(mlp.run(), "input 'norm_bias' has shape [7], expected [C=8]", "norm_bias");
}
