#include "encoder_reference.hpp"

using namespace harness;

I2F_TEST(conv3x3) {
  Random random(1);
  for (const int64_t stride : {1, 2}) {
    // Rows, columns, channels in and out: groups of pixels, one vector, several panels.
    for (const Shape& size : std::vector<Shape>{{1, 1, 1, 1},
                                                {2, 7, 5, 4},
                                                {9, 10, 3, 2},
                                                {17, 5, 4, 16},
                                                {8, 9, 7, 40},
                                                {3, 20, 16, 33},
                                                {0, 4, 3, 5},
                                                {4, 4, 3, 0}}) {
      const OrtValue x = random.tensor({size[0], size[1], size[2]}, 2.0f);
      const OrtValue weight = random.tensor({size[3], size[2], 3, 3});
      const OrtValue bias = random.tensor({size[3]});
      const Result result = Call("Conv3x3").input(x).constant(weight).constant(bias).attribute("stride", stride).run();
      const reference::Doubles expected =
          reference::conv3x3(reference::doubles(x), size[0], size[1], weight, bias, stride);
      const Shape shape = {(size[0] + stride - 1) / stride, (size[1] + stride - 1) / stride, size[3]};
      expect_close(result, 0, shape, expected, 2e-5, "random");
    }
  }
}

I2F_TEST(conv3x3_errors) {
  Random random(2);
  const auto call = [&](Shape x, Shape weight, Shape bias, int64_t stride) {
    return Call("Conv3x3")
        .input(random.tensor(x))
        .constant(random.tensor(weight))
        .constant(random.tensor(bias))
        .attribute("stride", stride)
        .run();
  };
  expect_error(call({4, 5, 3}, {2, 3, 3, 3}, {2}, 3), "Conv3x3: stride is 3, expected 1 or 2", "stride");
  expect_error(call({4, 5, 3}, {2, 4, 3, 3}, {2}, 1), "input 'weight' has shape [2, 4, 3, 3]", "channels");
  expect_error(call({4, 5, 3}, {2, 3, 5, 3}, {2}, 1), "input 'weight' has shape [2, 3, 5, 3]", "kernel");
  expect_error(call({4, 5, 3}, {2, 3, 3, 3}, {3}, 2), "input 'bias' has shape [3], expected [Co=2]", "bias");
}
