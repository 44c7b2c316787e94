#include "encoder_reference.hpp"

using namespace harness;

namespace {

struct Block {
  OrtValue x;
  std::vector<OrtValue> weights;  // norm weight and bias, conv weight and bias, twice

  Block(Random& random, int64_t h, int64_t w, int64_t c) : x(random.tensor({h, w, c}, 2.0f)) {
    for (int i = 0; i < 2; ++i) {
      weights.push_back(random.tensor({c}));
      weights.push_back(random.tensor({c}));
      weights.push_back(random.tensor({c, c, 3, 3}, 0.3f));
      weights.push_back(random.tensor({c}));
    }
  }

  Result run() const {
    Call call("ResidualConvBlock");
    call.input(x);
    for (const OrtValue& weight : weights) call.constant(weight);
    return call.attribute("epsilon", 1e-5f).run();
  }

  reference::Doubles expected() const {
    const int64_t c = x.dims[2];
    reference::Doubles y = reference::doubles(x);
    for (int i = 0; i < 2; ++i) {
      double mean = 0.0;
      double variance = 0.0;
      for (const double value : y) mean += value / static_cast<double>(y.size());
      for (const double value : y) variance += (value - mean) * (value - mean) / static_cast<double>(y.size());
      for (size_t j = 0; j < y.size(); ++j) {
        const size_t channel = j % static_cast<size_t>(c);
        const double normal = (y[j] - mean) / std::sqrt(variance + 1e-5) * weights[4 * i].floats[channel] +
                              weights[4 * i + 1].floats[channel];
        y[j] = normal / (1.0 + std::exp(-normal));
      }
      y = reference::conv3x3(y, x.dims[0], x.dims[1], weights[4 * i + 2], weights[4 * i + 3], 1);
    }
    for (size_t j = 0; j < y.size(); ++j) y[j] += x.floats[j];
    return y;
  }
};

}  // namespace

I2F_TEST(residual_conv_block) {
  Random random(1);
  // Groups of pixels, vectors of channels, and from 32 channels on Winograd's tiles, whole and cut.
  for (const Shape& size : std::vector<Shape>{{1, 1, 1},
                                              {1, 1, 32},
                                              {3, 5, 2},
                                              {9, 21, 4},
                                              {17, 6, 3},
                                              {10, 9, 16},
                                              {5, 7, 20},
                                              {8, 8, 32},
                                              {5, 11, 32},
                                              {70, 3, 32},
                                              {2, 140, 32},
                                              {6, 7, 48},
                                              {6, 7, 64}}) {
    const Block block(random, size[0], size[1], size[2]);
    expect_close(block.run(), 0, size, block.expected(), 5e-5, "random");
  }
}

I2F_TEST(residual_conv_block_empty) {
  Random random(2);
  const Block block(random, 0, 4, 4);
  expect_close(block.run(), 0, {0, 4, 4}, {}, 0.0, "no rows");
}

I2F_TEST(residual_conv_block_of_an_offset) {
  Random random(3);
  Block block(random, 9, 10, 4);
  for (float& value : block.x.floats) value += 300.0f;
  expect_close(block.run(), 0, {9, 10, 4}, block.expected(), 1e-4, "a mean that is large beside the deviation");
}

I2F_TEST(residual_conv_block_errors) {
  Random random(4);
  Block block(random, 4, 5, 4);
  block.weights[2] = random.tensor({4, 4, 3, 2});
  expect_error(block.run(), "input 'conv1_weight' has shape [4, 4, 3, 2], expected [C=4, C=4, 3=3, 3=3]", "kernel");
  block = Block(random, 4, 5, 4);
  block.weights[6] = random.tensor({4, 3, 3, 3});
  expect_error(block.run(), "input 'conv2_weight' has shape [4, 3, 3, 3]", "channels");
  block = Block(random, 4, 5, 4);
  block.weights[5] = random.tensor({5});
  expect_error(block.run(), "input 'norm2_bias' has shape [5], expected [C=4]", "norm");
}
