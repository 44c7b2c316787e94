#include <cmath>

#include "harness.hpp"

using namespace harness;

namespace {

struct Layers {
  std::vector<OrtValue> weights;
  std::vector<OrtValue> biases;
};

Layers random_layers(Random& random, const std::vector<int64_t>& widths) {
  Layers layers;
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    const float scale = 2.0f / std::sqrt(static_cast<float>(widths[i] + 1));
    layers.weights.push_back(random.tensor({widths[i + 1], widths[i]}, scale));
    layers.biases.push_back(random.tensor({widths[i + 1]}));
  }
  return layers;
}

Result localise(const OrtValue& x, std::vector<int64_t> grid, const Layers& layers) {
  Call call("Localise");
  call.input(x).input(ints({2}, std::move(grid)));
  for (size_t i = 0; i < layers.weights.size(); ++i) call.constant(layers.weights[i]).constant(layers.biases[i]);
  return call.run();
}

std::vector<double> reference(const OrtValue& x, const Layers& layers) {
  const int64_t n = x.dims[0];
  std::vector<double> out;
  for (int64_t token = 0; token < n; ++token) {
    std::vector<double> values(x.floats.begin() + token * x.dims[1], x.floats.begin() + (token + 1) * x.dims[1]);
    for (size_t layer = 0; layer < layers.weights.size(); ++layer) {
      const OrtValue& weight = layers.weights[layer];
      std::vector<double> next;
      for (int64_t row = 0; row < weight.dims[0]; ++row) {
        double sum = layers.biases[layer].floats[row];
        for (size_t k = 0; k < values.size(); ++k) sum += weight.floats[row * weight.dims[1] + k] * values[k];
        next.push_back(layer + 1 < layers.weights.size() ? sum / (1.0 + std::exp(-sum)) : sum);
      }
      values = next;
    }
    out.push_back(values[0]);
  }
  return out;
}

}  // namespace

I2F_TEST(localise) {
  Random random(1);
  for (const std::vector<int64_t>& widths : std::vector<std::vector<int64_t>>{
           {256, 64, 16, 4, 1}, {128, 32, 8, 2, 1}, {7, 5, 3, 2, 1}, {1, 1, 1, 1, 1}, {16, 40, 33, 17, 1}}) {
    const Layers layers = random_layers(random, widths);
    for (const Shape& grid : std::vector<Shape>{{1, 1}, {3, 5}, {1, 97}, {14, 15}, {0, 0}}) {
      const OrtValue x = random.tensor({grid[0] * grid[1], widths[0]}, 3.0f);
      expect_close(localise(x, grid, layers), 0, grid, reference(x, layers), 2e-5, "random");
    }
  }
}

I2F_TEST(localise_not_finite) {
  Random random(2);
  const Layers layers = random_layers(random, {9, 8, 6, 5, 1});
  OrtValue x = random.tensor({120, 9});
  x.floats[100 * 9 + 3] = NAN;
  // The one token that holds it is lost, the others are untouched.
  expect_close(localise(x, {10, 12}, layers), 0, {10, 12}, reference(x, layers), 2e-5, "NaN");
}

I2F_TEST(localise_errors) {
  Random random(3);
  const Layers layers = random_layers(random, {8, 4, 3, 2, 1});
  const OrtValue x = random.tensor({6, 8});
  expect_error(localise(x, {2, 4}, layers), "Localise: input 'grid' holds 2 x 4, expected rows x columns of 6", "grid");
  expect_error(localise(x, {-2, -3}, layers), "input 'grid'", "negative grid");
  Layers wide = layers;
  wide.weights[2] = random.tensor({2, 4});
  expect_error(localise(x, {2, 3}, wide), "input 'w2' has shape [2, 4], expected [C3, C2=3]", "w2");
  Layers two = layers;
  two.weights[3] = random.tensor({2, 2});
  expect_error(localise(x, {2, 3}, two), "input 'w3' has shape [2, 2], expected [1=1, C3=2]", "two outputs");
  Layers bias = layers;
  bias.biases[0] = random.tensor({5});
  expect_error(localise(x, {2, 3}, bias), "input 'b0' has shape [5], expected [C1=4]", "b0");
}
