#include "encoder_reference.hpp"

using namespace harness;

namespace {

struct Samples {
  OrtValue image, rows, rows_inside, down, columns, columns_inside, across, mean, std;
  int64_t reverse = 0;

  Samples(Random& random, int64_t source_h, int64_t source_w, int64_t h, int64_t w)
      : down(random.tensor({h}, 0.5f)),
        across(random.tensor({w}, 0.5f)),
        mean(random.tensor({3}, 100.0f)),
        std(random.tensor({3})) {
    std::vector<uint8_t> pixels(static_cast<size_t>(source_h * source_w * 3));
    for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(random.integer(0, 255));
    image = bytes({source_h, source_w, 3}, pixels);
    rows = indices(random, source_h, h);
    columns = indices(random, source_w, w);
    rows_inside = inside(random, h);
    columns_inside = inside(random, w);
    for (float& value : std.floats) value += 60.0f;
  }

  static OrtValue indices(Random& random, int64_t limit, int64_t count) {
    std::vector<int64_t> values(static_cast<size_t>(2 * count));
    for (int64_t& value : values) value = random.integer(0, limit - 1);
    return ints({2, count}, values);
  }
  static OrtValue inside(Random& random, int64_t count) {
    std::vector<float> values(static_cast<size_t>(2 * count));
    for (float& value : values) value = static_cast<float>(random.integer(0, 1));
    return floats({2, count}, values);
  }

  Result run() const {
    return Call("SampleImage")
        .input(image)
        .input(rows)
        .input(rows_inside)
        .input(down)
        .input(columns)
        .input(columns_inside)
        .input(across)
        .constant(mean)
        .constant(std)
        .attribute("reverse", reverse)
        .run();
  }

  reference::Doubles expected() const {
    const int64_t h = down.dims[0];
    const int64_t w = across.dims[0];
    reference::Doubles y;
    for (int64_t c = 0; c < 3; ++c) {
      for (int64_t row = 0; row < h; ++row) {
        for (int64_t column = 0; column < w; ++column) {
          double sum = 0.0;
          for (int64_t i = 0; i < 2; ++i) {
            for (int64_t j = 0; j < 2; ++j) {
              const int64_t at = rows.ints[i * h + row] * image.dims[1] + columns.ints[j * w + column];
              const double value = (image.bytes[at * 3 + (reverse != 0 ? 2 - c : c)] - mean.floats[c]) / std.floats[c];
              const double high =
                  (i == 0 ? 1.0f - down.floats[row] : down.floats[row]) * rows_inside.floats[i * h + row];
              const double wide = (j == 0 ? 1.0f - across.floats[column] : across.floats[column]) *
                                  columns_inside.floats[j * w + column];
              sum += value * high * wide;
            }
          }
          y.push_back(sum);
        }
      }
    }
    return y;
  }
};

}  // namespace

I2F_TEST(sample_image) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{{1, 1, 1, 1}, {5, 7, 40, 3}, {20, 30, 8, 50}, {3, 3, 0, 4}}) {
    for (const int64_t reverse : {0, 1}) {
      Samples samples(random, size[0], size[1], size[2], size[3]);
      samples.reverse = reverse;
      expect_close(samples.run(), 0, {3, size[2], size[3]}, samples.expected(), 2e-6, "random");
    }
  }
}

I2F_TEST(sample_image_errors) {
  Random random(2);
  Samples samples(random, 5, 6, 4, 3);
  samples.rows.ints[2] = 5;
  expect_error(samples.run(), "input 'rows' holds 5 at position 2, expected 0 <= index < 5", "row");
  samples = Samples(random, 5, 6, 4, 3);
  samples.columns.ints[5] = -1;
  expect_error(samples.run(), "input 'columns' holds -1 at position 5, expected 0 <= index < 6", "column");
  samples = Samples(random, 5, 6, 4, 3);
  samples.across = random.tensor({4});
  expect_error(samples.run(), "input 'across' has shape [4], expected [w=3]", "across");
}
