#include <cmath>

#include "harness.hpp"

using namespace harness;

namespace {

struct Weights {
  OrtValue embeds;
  std::vector<OrtValue> weights;
  std::vector<OrtValue> biases;
};

Weights random_weights(Random& random, const std::vector<int64_t>& channels) {
  Weights w;
  w.embeds = random.tensor({5, 5});
  int64_t in = 5;
  for (const int64_t out : channels) {
    w.weights.push_back(random.tensor({out, in, 3, 3}, 1.2f / std::sqrt(static_cast<float>(3 * in))));
    w.biases.push_back(random.tensor({out}, 0.3f));
    in = out;
  }
  return w;
}

Result embed(const OrtValue& labels, const Weights& w) {
  Call call("PromptEmbed");
  call.input(labels).constant(w.embeds);
  for (size_t i = 0; i < w.weights.size(); ++i) call.constant(w.weights[i]).constant(w.biases[i]);
  return call.run();
}

// The convolutions everywhere, label by label.
std::vector<double> reference(const OrtValue& labels, const Weights& w) {
  int64_t rows = labels.dims[0];
  int64_t columns = labels.dims[1];
  int64_t in = 5;
  std::vector<double> x;
  for (const uint8_t label : labels.bytes) {
    for (int64_t c = 0; c < in; ++c) x.push_back(w.embeds.floats[label * in + c]);
  }
  for (size_t level = 0; level < w.weights.size(); ++level) {
    const int64_t out = w.weights[level].dims[0];
    std::vector<double> y;
    for (int64_t i = 0; i < rows / 2; ++i) {
      for (int64_t j = 0; j < columns / 2; ++j) {
        for (int64_t o = 0; o < out; ++o) {
          double sum = w.biases[level].floats[o];
          for (int64_t tap = 0; tap < 9; ++tap) {
            const int64_t r = 2 * i + tap / 3 - 1;
            const int64_t c = 2 * j + tap % 3 - 1;
            if (r < 0 || r >= rows || c < 0 || c >= columns) continue;
            for (int64_t k = 0; k < in; ++k) {
              sum += x[(r * columns + c) * in + k] * w.weights[level].floats[(o * in + k) * 9 + tap];
            }
          }
          y.push_back(sum > 0.0 ? sum : 0.0);
        }
      }
    }
    x = y;
    rows /= 2;
    columns /= 2;
    in = out;
  }
  return x;
}

OrtValue uniform_map(int64_t rows, int64_t columns, uint8_t label) {
  return bytes({16 * rows, 16 * columns}, std::vector<uint8_t>(static_cast<size_t>(256 * rows * columns), label));
}

void put_disc(OrtValue& labels, int64_t row, int64_t column, int64_t radius, uint8_t label) {
  for (int64_t i = 0; i < labels.dims[0]; ++i) {
    for (int64_t j = 0; j < labels.dims[1]; ++j) {
      const int64_t distance = (i - row) * (i - row) + (j - column) * (j - column);
      if (distance <= radius * radius) labels.bytes[i * labels.dims[1] + j] = label;
    }
  }
}

void check(const OrtValue& labels, const Weights& w, const std::string& what) {
  const Shape shape = {labels.dims[0] / 16, labels.dims[1] / 16, w.weights.back().dims[0]};
  expect_close(embed(labels, w), 0, shape, reference(labels, w), 1e-5, what);
}

}  // namespace

I2F_TEST(prompt_embed_uniform) {
  Random random(1);
  for (const std::vector<int64_t>& channels :
       std::vector<std::vector<int64_t>>{{32, 16, 20, 40}, {3, 5, 7, 9}, {1, 1, 1, 1}, {4, 8, 16, 33}}) {
    const Weights w = random_weights(random, channels);
    for (uint8_t label = 0; label < 5; ++label) check(uniform_map(3, 4, label), w, "one label");
    check(uniform_map(1, 1, 2), w, "one token");
    check(uniform_map(1, 5, 1), w, "one row");
    check(uniform_map(5, 1, 3), w, "one column");
  }
}

I2F_TEST(prompt_embed_discs) {
  Random random(2);
  for (const std::vector<int64_t>& channels : std::vector<std::vector<int64_t>>{{32, 17, 16, 70}, {6, 5, 4, 3}}) {
    const Weights w = random_weights(random, channels);
    for (int round = 0; round < 12; ++round) {
      const int64_t h = random.integer(1, 6);
      const int64_t width = random.integer(1, 6);
      OrtValue labels = uniform_map(h, width, static_cast<uint8_t>(random.integer(0, 4)));
      for (int64_t disc = random.integer(1, 3); disc > 0; --disc) {
        put_disc(labels, random.integer(0, 16 * h - 1), random.integer(0, 16 * width - 1), random.integer(0, 25),
                 static_cast<uint8_t>(random.integer(0, 4)));
      }
      check(labels, w, "discs");
    }
  }
}

I2F_TEST(prompt_embed_borders) {
  Random random(3);
  const Weights w = random_weights(random, {8, 6, 9, 10});
  // One pixel of another label on and beside the borders of tokens and of the map.
  for (const int64_t row : {0, 1, 15, 16, 17, 31, 32, 63}) {
    for (const int64_t column : {0, 1, 15, 16, 30, 33, 47}) {
      OrtValue labels = uniform_map(4, 3, 1);
      labels.bytes[row * 48 + column] = 4;
      check(labels, w, "pixel " + std::to_string(row) + ", " + std::to_string(column));
    }
  }
  // Straight edges at every phase of a token.
  for (int64_t at = 1; at < 48; at += 3) {
    OrtValue upright = uniform_map(2, 3, 0);
    OrtValue level = uniform_map(3, 2, 3);
    for (int64_t i = 0; i < 32; ++i) {
      for (int64_t j = at; j < 48; ++j) upright.bytes[i * 48 + j] = 2;
    }
    for (int64_t i = at; i < 48; ++i) {
      for (int64_t j = 0; j < 32; ++j) level.bytes[i * 32 + j] = 2;
    }
    check(upright, w, "upright edge");
    check(level, w, "level edge");
  }
}

I2F_TEST(prompt_embed_noise) {
  Random random(4);
  const Weights w = random_weights(random, {16, 8, 12, 24});
  for (const Shape& size : std::vector<Shape>{{1, 1}, {5, 7}, {9, 2}}) {
    OrtValue labels = uniform_map(size[0], size[1], 0);
    for (uint8_t& label : labels.bytes) label = static_cast<uint8_t>(random.integer(0, 4));
    check(labels, w, "noise");
    // A checkerboard of tokens: all blocks uniform, all tokens but one mixed.
    for (int64_t i = 0; i < 16 * size[0]; ++i) {
      for (int64_t j = 0; j < 16 * size[1]; ++j) {
        labels.bytes[i * 16 * size[1] + j] = (i / 16 + j / 16) % 2 == 0 ? 0 : 4;
      }
    }
    check(labels, w, "checkerboard");
  }
}

I2F_TEST(prompt_embed_empty) {
  Random random(5);
  expect_close(embed(uniform_map(0, 3, 0), random_weights(random, {4, 4, 4, 4})), 0, {0, 3, 4}, {}, 0.0, "no rows");
  expect_close(embed(uniform_map(2, 1, 0), random_weights(random, {4, 4, 4, 0})), 0, {2, 1, 0}, {}, 0.0, "no channels");
}

I2F_TEST(prompt_embed_errors) {
  Random random(6);
  const Weights w = random_weights(random, {4, 5, 6, 7});
  const auto with_label = [&](int64_t row, int64_t column, uint8_t value) {
    OrtValue labels = uniform_map(3, 2, 1);
    labels.bytes[row * 32 + column] = value;
    labels.bytes[47 * 32 + 31] = value;
    return embed(labels, w);
  };
  expect_error(with_label(0, 0, 5), "PromptEmbed: input 'labels' holds 5 at row 0, column 0, expected labels 0 .. 4",
               "5");
  expect_error(with_label(20, 31, 255), "holds 255 at row 20, column 31", "255");
  expect_error(with_label(33, 7, 128), "holds 128 at row 33, column 7", "128");
  OrtValue all = uniform_map(2, 2, 200);
  expect_error(embed(all, w), "holds 200 at row 0, column 0", "all the same, and no label");

  const auto sized = [&](int64_t rows, int64_t columns) {
    return embed(bytes({rows, columns}, std::vector<uint8_t>(static_cast<size_t>(rows * columns), 1)), w);
  };
  expect_error(sized(24, 16), "input 'labels' has 24 rows and 16 columns, expected multiples of 16", "rows");
  expect_error(sized(16, 17), "input 'labels' has 16 rows and 17 columns", "columns");
  Weights changed = w;
  changed.embeds = random.tensor({4, 5});
  expect_error(embed(uniform_map(1, 1, 0), changed), "input 'ref_embeds' has shape [4, 5], expected [5=5, 5=5]",
               "embeds");
  changed = w;
  changed.weights[2] = random.tensor({6, 4, 3, 3});
  expect_error(embed(uniform_map(1, 1, 0), changed), "input 'w2' has shape [6, 4, 3, 3], expected [C2, C1=5, 3=3, 3=3]",
               "channels");
  changed = w;
  changed.biases[3] = random.tensor({8});
  expect_error(embed(uniform_map(1, 1, 0), changed), "input 'b3' has shape [8], expected [C=7]", "bias");
}
