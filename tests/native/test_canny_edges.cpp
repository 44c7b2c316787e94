#include "encoder_reference.hpp"

using namespace harness;

namespace {

using reference::Doubles;

struct Canny {
  OrtValue image, mean, std;
  std::vector<OrtValue> filters;
  int64_t h, w;

  Canny(Random& random, int64_t height, int64_t width)
      : image(random.tensor({3, height, width}, 2.0f)),
        mean(floats({3}, {123.675f, 116.28f, 103.53f})),
        std(floats({3}, {58.395f, 57.12f, 57.375f})),
        h(height),
        w(width) {
    const std::vector<float> gaussian = {0.054488685f, 0.24420135f, 0.40261996f, 0.24420135f, 0.054488685f};
    filters = {floats({1, 1, 1, 5}, gaussian), floats({1, 1, 5, 1}, gaussian),
               floats({1, 1, 3, 3}, {1, 0, -1, 2, 0, -2, 1, 0, -1}),
               floats({1, 1, 3, 3}, {1, 2, 1, 0, 0, 0, -1, -2, -1})};
    const int neighbours[8] = {5, 8, 7, 6, 3, 0, 1, 2};  // clockwise from the right
    std::vector<float> directions(72, 0.0f);
    for (int d = 0; d < 8; ++d) {
      directions[d * 9 + 4] = 1.0f;
      directions[d * 9 + neighbours[d]] = -1.0f;
    }
    filters.push_back(floats({8, 1, 3, 3}, directions));
  }

  Result run() const {
    Call call("CannyEdges");
    call.input(image).constant(mean).constant(std);
    for (const OrtValue& filter : filters) call.constant(filter);
    return call.run();
  }

  // A plane through a filter of high x wide taps, zeros around it.
  Doubles filtered(const Doubles& x, const float* taps, int64_t high, int64_t wide) const {
    Doubles y(x.size());
    for (int64_t row = 0; row < h; ++row) {
      for (int64_t column = 0; column < w; ++column) {
        for (int64_t dy = 0; dy < high; ++dy) {
          for (int64_t dx = 0; dx < wide; ++dx) {
            const int64_t from_y = row + dy - high / 2;
            const int64_t from_x = column + dx - wide / 2;
            if (from_y < 0 || from_y >= h || from_x < 0 || from_x >= w) continue;
            y[row * w + column] += x[from_y * w + from_x] * taps[dy * wide + dx];
          }
        }
      }
    }
    return y;
  }

  // The magnitude of unit norm, which no decision depends on.
  Doubles magnitude() const {
    Doubles total(static_cast<size_t>(h * w));
    for (int64_t c = 0; c < 3; ++c) {
      Doubles plane;
      for (int64_t i = 0; i < h * w; ++i) {
        const double value = (image.floats[c * h * w + i] * std.floats[c] + mean.floats[c]) / 255.0;
        plane.push_back(value < 0.0 ? 0.0 : value > 1.0 ? 1.0 : value);
      }
      plane = filtered(filtered(plane, filters[0].floats.data(), 1, 5), filters[1].floats.data(), 5, 1);
      const Doubles gx = filtered(plane, filters[2].floats.data(), 3, 3);
      const Doubles gy = filtered(plane, filters[3].floats.data(), 3, 3);
      for (size_t i = 0; i < total.size(); ++i) total[i] += std::hypot(gx[i], gy[i]);
    }
    double squares = 0.0;
    for (const double value : total) squares += value * value;
    for (double& value : total) value /= std::fmax(std::sqrt(squares), 1e-12);
    return total;
  }
};

}  // namespace

I2F_TEST(canny_edges) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{{1, 1}, {3, 40}, {33, 5}, {40, 17}, {70, 33}}) {
    const Canny canny(random, size[0], size[1]);
    const Result result = canny.run();
    expect(result.error.empty(), result.error);
    if (!result.error.empty()) continue;
    const std::vector<float>& edges = result.outputs[0].floats;
    expect(result.outputs[0].dims == Shape({size[0], size[1], 5}), "shape");
    Result first;
    std::vector<float> magnitudes;
    double norms[5] = {};
    for (int64_t i = 0; i < size[0] * size[1]; ++i) {
      magnitudes.push_back(edges[i * 5]);
      for (int64_t e = 0; e < 5; ++e) norms[e] += static_cast<double>(edges[i * 5 + e]) * edges[i * 5 + e];
      // What is thinned is the magnitude or nothing; what is strong and thin is both.
      if (edges[i * 5 + 2] == 0.0f) expect(edges[i * 5 + 3] == 0.0f, "thinned away, and strong all the same");
      if (edges[i * 5 + 3] != 0.0f) expect(edges[i * 5 + 4] != 0.0f, "strong and thin, but not strong");
    }
    for (const double norm : norms) expect(norm == 0.0 || std::fabs(norm - 1.0) < 1e-4, "unit norm");
    first.outputs.push_back(floats({size[0], size[1]}, magnitudes));
    expect_close(first, 0, size, canny.magnitude(), 1e-4, "magnitude");
  }
}

I2F_TEST(canny_edges_flat) {
  Random random(2);
  Canny canny(random, 40, 30);
  for (float& value : canny.image.floats) value = -10.0f;  // black: clamped to zero
  const Result result = canny.run();
  expect(result.error.empty(), result.error);
  for (size_t i = 0; i < result.outputs[0].floats.size(); ++i) {
    // No gradient: 180 degrees everywhere, of unit norm.
    const float expected = i % 5 == 1 ? 1.0f / std::sqrt(1200.0f) : 0.0f;
    expect(std::fabs(result.outputs[0].floats[i] - expected) < 1e-6f, "flat");
  }
  const Canny empty(random, 0, 7);
  expect_close(empty.run(), 0, {0, 7, 5}, {}, 0.0, "no rows");
}

I2F_TEST(canny_edges_errors) {
  Random random(3);
  Canny canny(random, 4, 5);
  canny.image = random.tensor({4, 4, 5});
  expect_error(canny.run(), "input 'image' has shape [4, 4, 5], expected [3=3, H, W]", "colours");
  canny = Canny(random, 4, 5);
  canny.filters[4] = random.tensor({7, 1, 3, 3});
  expect_error(canny.run(), "input 'directions' has shape [7, 1, 3, 3]", "directions");
  canny = Canny(random, 4, 5);
  canny.filters[0] = random.tensor({1, 1, 5, 1});
  expect_error(canny.run(), "input 'gaussian_h' has shape [1, 1, 5, 1]", "gaussian");
}
