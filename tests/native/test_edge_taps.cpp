#include "encoder_reference.hpp"

using namespace harness;

namespace {

struct Taps {
  OrtValue x, weight, tap_bias, bias;
  int64_t stride;

  Taps(Random& random, int64_t h, int64_t w, int64_t s, int64_t c, int64_t o)
      : x(random.tensor({h * s, w * s, c}, 2.0f)),
        weight(random.tensor({9, o, c})),
        tap_bias(random.tensor({9, o})),
        bias(random.tensor({o})),
        stride(s) {}

  Result run() const {
    return Call("EdgeTaps")
        .input(x)
        .constant(weight)
        .constant(tap_bias)
        .constant(bias)
        .attribute("stride", stride)
        .run();
  }
};

}  // namespace

I2F_TEST(edge_taps) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{{1, 1, 1, 1, 1},
                                              {2, 3, 2, 5, 3},
                                              {3, 2, 4, 4, 1},
                                              {5, 4, 4, 7, 4},
                                              {2, 2, 8, 3, 16},
                                              {2, 5, 2, 20, 32},
                                              {3, 2, 16, 2, 1},
                                              {0, 2, 2, 3, 4}}) {
    const int64_t h = size[0];
    const int64_t w = size[1];
    const int64_t s = size[2];
    const int64_t o = size[4];
    const Taps taps(random, h, w, s, size[3], o);
    reference::Doubles outputs[4];
    outputs[0].resize(static_cast<size_t>(h * s * w * s * o));
    outputs[1].resize(static_cast<size_t>(2 * h * w * s * o));
    outputs[2].resize(static_cast<size_t>(2 * h * s * w * o));
    outputs[3].resize(static_cast<size_t>(4 * h * w * o));
    for (size_t i = 0; i < outputs[0].size(); ++i) outputs[0][i] = taps.bias.floats[i % static_cast<size_t>(o)];
    for (int64_t y = 0; y < h * s; ++y) {
      for (int64_t column = 0; column < w * s; ++column) {
        for (int64_t tap = 0; tap < 9; ++tap) {
          const int64_t dy = tap / 3;
          const int64_t dx = tap % 3;
          const int64_t from_y = y + dy - 1;
          const int64_t from_x = column + dx - 1;
          if (from_y < 0 || from_y >= h * s || from_x < 0 || from_x >= w * s) continue;
          const int64_t row_side = dy == 0 && y % s == 0 ? 0 : dy == 2 && y % s == s - 1 ? 1 : -1;
          const int64_t column_side = dx == 0 && column % s == 0 ? 0 : dx == 2 && column % s == s - 1 ? 1 : -1;
          for (int64_t i = 0; i < o; ++i) {
            double value = taps.tap_bias.floats[tap * o + i];
            for (int64_t c = 0; c < size[3]; ++c) {
              value += static_cast<double>(taps.weight.floats[(tap * o + i) * size[3] + c]) *
                       taps.x.floats[(from_y * w * s + from_x) * size[3] + c];
            }
            outputs[0][(y * w * s + column) * o + i] += value;
            if (row_side >= 0) outputs[1][((row_side * h + y / s) * w * s + column) * o + i] += value;
            if (column_side >= 0) outputs[2][((column_side * h * s + y) * w + column / s) * o + i] += value;
            if (row_side >= 0 && column_side >= 0) {
              outputs[3][(((row_side * 2 + column_side) * h + y / s) * w + column / s) * o + i] += value;
            }
          }
        }
      }
    }
    const Result result = taps.run();
    expect_close(result, 0, {h * s, w * s, o}, outputs[0], 2e-5, "terms");
    expect_close(result, 1, {2, h, w * s, o}, outputs[1], 2e-5, "rows");
    expect_close(result, 2, {2, h * s, w, o}, outputs[2], 2e-5, "columns");
    expect_close(result, 3, {2, 2, h, w, o}, outputs[3], 2e-5, "corners");
  }
}

I2F_TEST(edge_taps_errors) {
  Random random(2);
  Taps taps(random, 2, 3, 2, 4, 3);
  taps.stride = 4;
  expect_error(taps.run(), "a map of 4 x 6 pixels, expected whole tokens of stride=4", "stride");
  taps = Taps(random, 2, 3, 2, 4, 3);
  taps.weight = random.tensor({8, 3, 4});
  expect_error(taps.run(), "input 'weight' has shape [8, 3, 4], expected [9=9, O, C=4]", "taps");
  taps = Taps(random, 2, 3, 2, 4, 3);
  taps.bias = random.tensor({4});
  expect_error(taps.run(), "input 'bias' has shape [4], expected [O=3]", "bias");
}
