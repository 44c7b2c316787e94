#include <cmath>

#include "harness.hpp"

using namespace harness;

namespace {

std::vector<double> reference(const OrtValue& x, const OrtValue& norm_weight, const OrtValue& norm_bias,
                              const OrtValue& weight, const OrtValue& bias, double epsilon) {
  const int64_t n = x.dims[0];
  const int64_t c = x.dims[1];
  const int64_t p = weight.dims[0];
  std::vector<double> y(static_cast<size_t>(n * p));
  std::vector<double> normal(static_cast<size_t>(c));
  for (int64_t i = 0; i < n; ++i) {
    double mean = 0.0;
    double variance = 0.0;
    for (int64_t j = 0; j < c; ++j) mean += x.floats[i * c + j] / static_cast<double>(c);
    for (int64_t j = 0; j < c; ++j) variance += std::pow(x.floats[i * c + j] - mean, 2) / static_cast<double>(c);
    for (int64_t j = 0; j < c; ++j) {
      normal[j] =
          (x.floats[i * c + j] - mean) / std::sqrt(variance + epsilon) * norm_weight.floats[j] + norm_bias.floats[j];
    }
    for (int64_t o = 0; o < p; ++o) {
      double sum = bias.floats[o];
      for (int64_t j = 0; j < c; ++j) sum += normal[j] * weight.floats[o * c + j];
      y[i * p + o] = sum;
    }
  }
  return y;
}

}  // namespace

I2F_TEST(norm_projection) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{{0, 8, 8},
                                              {1, 1, 1},
                                              {2, 3, 5},
                                              {5, 16, 16},
                                              {13, 33, 70},
                                              {49, 64, 192},
                                              {97, 40, 31},
                                              {100, 7, 97},
                                              {48, 96, 32},
                                              {3, 8, 0}}) {
    const int64_t n = size[0];
    const int64_t c = size[1];
    const int64_t p = size[2];
    const OrtValue x = random.tensor({n, c}, 3.0f);
    const OrtValue norm_weight = random.tensor({c});
    const OrtValue norm_bias = random.tensor({c});
    const OrtValue weight = random.tensor({p, c});
    const OrtValue bias = random.tensor({p});
    const Result result = Call("NormProjection")
                              .input(x)
                              .constant(norm_weight)
                              .constant(norm_bias)
                              .constant(weight)
                              .constant(bias)
                              .attribute("epsilon", 1e-5f)
                              .run();
    expect_close(result, 0, {n, p}, reference(x, norm_weight, norm_bias, weight, bias, 1e-5), 2e-5, "random");
  }
}

I2F_TEST(norm_projection_not_finite) {
  Random random(2);
  OrtValue x = random.tensor({60, 24});
  x.floats[3 * 24 + 5] = NAN;
  x.floats[50 * 24 + 23] = INFINITY;
  const OrtValue ones = floats({24}, std::vector<float>(24, 1.0f));
  const OrtValue weight = random.tensor({10, 24});
  const OrtValue bias = random.tensor({10});
  const Result result = Call("NormProjection")
                            .input(x)
                            .constant(ones)
                            .constant(ones)
                            .constant(weight)
                            .constant(bias)
                            .attribute("epsilon", 1e-5f)
                            .run();
  // The rows that hold them are lost, the others are untouched.
  expect_close(result, 0, {60, 10}, reference(x, ones, ones, weight, bias, 1e-5), 2e-5, "NaN and infinity");
}

I2F_TEST(norm_projection_errors) {
  Random random(3);
  const auto call = [&](Shape x, Shape norm_weight, Shape norm_bias, Shape weight, Shape bias) {
    return Call("NormProjection")
        .input(random.tensor(x))
        .constant(random.tensor(norm_weight))
        .constant(random.tensor(norm_bias))
        .constant(random.tensor(weight))
        .constant(random.tensor(bias));
  };
  const auto with_epsilon = [](Call made) { return made.attribute("epsilon", 1e-5f).run(); };
  expect_error(call({4, 8}, {8}, {8}, {3, 8}, {3}).run(), "NormProjection: the float attribute 'epsilon'", "attribute");
  expect_error(with_epsilon(call({4, 8, 1}, {8}, {8}, {3, 8}, {3})),
               "inter2former::NormProjection: input 'x' has shape [4, 8, 1], expected [N, C]", "rank");
  expect_error(with_epsilon(call({4, 8}, {7}, {8}, {3, 8}, {3})), "input 'norm_weight' has shape [7], expected [C=8]",
               "");
  expect_error(with_epsilon(call({4, 8}, {8}, {9}, {3, 8}, {3})), "input 'norm_bias'", "norm_bias");
  expect_error(with_epsilon(call({4, 8}, {8}, {8}, {3, 9}, {3})), "input 'weight' has shape [3, 9], expected [P, C=8]",
               "");
  expect_error(with_epsilon(call({4, 8}, {8}, {8}, {3, 8}, {4})), "input 'bias' has shape [4], expected [P=3]", "bias");
  expect_error(with_epsilon(call({4, 8}, {8}, {8}, {3, 8, 1, 1, 1, 1, 1}, {3})), "'weight' has 7 dimensions", "rank 7");
  const Result wrong_type = Call("NormProjection")
                                .input(ints({1, 1}, {1}))
                                .constant(random.tensor({1}))
                                .constant(random.tensor({1}))
                                .constant(random.tensor({1, 1}))
                                .constant(random.tensor({1}))
                                .attribute("epsilon", 1e-5f)
                                .run();
  expect_error(wrong_type, "'x' has element type 7 (ONNX numbering), expected float32", "type");
  const Result missing = Call("NormProjection")
                             .input(random.tensor({1, 1}))
                             .constant(random.tensor({1}))
                             .constant(random.tensor({1}))
                             .constant(random.tensor({1, 1}))
                             .constant(random.tensor({1}))
                             .constant(random.tensor({1}))
                             .attribute("epsilon", 1e-5f)
                             .run();
  expect_error(missing, "has 6 inputs, expected 5", "count");
}
