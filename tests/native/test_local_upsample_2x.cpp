#include <cmath>

#include "harness.hpp"

using namespace harness;

namespace {

using Doubles = std::vector<double>;

// One level of a grid of h x w tokens and a box of it, `s` output pixels per token side.
struct Case {
  int64_t h, w, s;
  int64_t left, top, right, bottom;
  int64_t in, out;
  int activation;

  int64_t rows() const { return s * (bottom - top) / 2; }
  int64_t columns() const { return s * (right - left) / 2; }
};

struct Tensors {
  OrtValue x, edge, edge_rows, edge_columns, edge_corners, norm_weight, norm_bias, weight;
};

Tensors random_tensors(Random& random, const Case& c) {
  const float weight_scale = 2.0f / std::sqrt(9.0f * static_cast<float>(c.in));
  return {random.tensor({c.rows(), c.columns(), c.in}),
          random.tensor({c.s * c.h, c.s * c.w, c.out}),
          random.tensor({2, c.h, c.s * c.w, c.out}),
          random.tensor({2, c.s * c.h, c.w, c.out}),
          random.tensor({2, 2, c.h, c.w, c.out}),
          random.tensor({c.in}),
          random.tensor({c.in}),
          random.tensor({c.out, c.in, 3, 3}, weight_scale)};
}

Result upsample(const Case& c, const Tensors& t) {
  return Call("LocalUpsample2x").input(t.x).input(ints({4}, {c.left, c.top, c.right, c.bottom})).input(t.edge)
      .input(t.edge_rows).input(t.edge_columns).input(t.edge_corners).constant(t.norm_weight).constant(t.norm_bias)
      .constant(t.weight).attribute("activation", c.activation).attribute("epsilon", 1e-5f).run();
}

double cubic(double distance) {
  const double a = -0.75;
  const double d = std::fabs(distance);
  if (d <= 1.0) return (a + 2.0) * d * d * d - (a + 3.0) * d * d + 1.0;
  return d < 2.0 ? a * d * d * d - 5.0 * a * d * d + 8.0 * a * d - 4.0 * a : 0.0;
}

// Doubles the middle axis of [outer, n, inner].
Doubles doubled(const Doubles& x, int64_t outer, int64_t n, int64_t inner) {
  Doubles y(static_cast<size_t>(outer * 2 * n * inner), 0.0);
  for (int64_t i = 0; i < outer; ++i) {
    for (int64_t o = 0; o < 2 * n; ++o) {
      const double position = (static_cast<double>(o) + 0.5) / 2.0 - 0.5;
      const int64_t first = static_cast<int64_t>(std::floor(position)) - 1;
      for (int64_t k = first; k < first + 4; ++k) {
        const int64_t source = k < 0 ? 0 : k >= n ? n - 1 : k;
        const double weight = cubic(position - static_cast<double>(k));
        for (int64_t j = 0; j < inner; ++j) y[(i * 2 * n + o) * inner + j] += weight * x[(i * n + source) * inner + j];
      }
    }
  }
  return y;
}

// The definition, in its own order: normalise, double, convolve with zero padding, add the edge term, activate.
Doubles reference(const Case& c, const Tensors& t) {
  const int64_t rows = c.rows();
  const int64_t columns = c.columns();
  Doubles x(t.x.floats.begin(), t.x.floats.end());
  double mean = 0.0;
  for (const double value : x) mean += value / static_cast<double>(x.size());
  double variance = 0.0;
  for (const double value : x) variance += (value - mean) * (value - mean) / static_cast<double>(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t channel = i % static_cast<size_t>(c.in);
    const double normal = (x[i] - mean) / std::sqrt(variance + static_cast<double>(1e-5f));
    x[i] = normal * t.norm_weight.floats[channel] + t.norm_bias.floats[channel];
  }
  const Doubles big = doubled(doubled(x, rows, columns, c.in), 1, rows, 2 * columns * c.in);
  const auto edge_at = [&](int64_t i, int64_t j, int64_t o) {
    const int64_t y_all = c.s * c.top + i;
    const int64_t x_all = c.s * c.left + j;
    double e = t.edge.floats[(y_all * c.s * c.w + x_all) * c.out + o];
    const int64_t last_row = 2 * rows - 1;
    const int64_t last_column = 2 * columns - 1;
    for (int64_t side = 0; side < 2; ++side) {
      const int64_t token_row = side == 0 ? c.top : c.bottom - 1;
      const int64_t token_column = side == 0 ? c.left : c.right - 1;
      if (i == (side == 0 ? 0 : last_row)) {
        e -= t.edge_rows.floats[((side * c.h + token_row) * c.s * c.w + x_all) * c.out + o];
        for (int64_t other = 0; other < 2; ++other) {
          if (j != (other == 0 ? 0 : last_column)) continue;
          const int64_t column = other == 0 ? c.left : c.right - 1;
          e += t.edge_corners.floats[(((side * 2 + other) * c.h + token_row) * c.w + column) * c.out + o];
        }
      }
      if (j == (side == 0 ? 0 : last_column)) {
        e -= t.edge_columns.floats[((side * c.s * c.h + y_all) * c.w + token_column) * c.out + o];
      }
    }
    return e;
  };
  Doubles y;
  for (int64_t i = 0; i < 2 * rows; ++i) {
    for (int64_t j = 0; j < 2 * columns; ++j) {
      for (int64_t o = 0; o < c.out; ++o) {
        double sum = edge_at(i, j, o);
        for (int64_t tap = 0; tap < 9; ++tap) {
          const int64_t row = i + tap / 3 - 1;
          const int64_t column = j + tap % 3 - 1;
          if (row < 0 || row >= 2 * rows || column < 0 || column >= 2 * columns) continue;
          for (int64_t k = 0; k < c.in; ++k) {
            sum += big[(row * 2 * columns + column) * c.in + k] * t.weight.floats[(o * c.in + k) * 9 + tap];
          }
        }
        y.push_back(c.activation == 1 ? sum / (1.0 + std::exp(-sum)) : sum);
      }
    }
  }
  return y;
}

void check(const Case& c, const Tensors& t, const std::string& what) {
  expect_close(upsample(c, t), 0, {2 * c.rows(), 2 * c.columns(), c.out}, reference(c, t), 2e-5, what);
}

}  // namespace

I2F_TEST(local_upsample_2x) {
  Random random(1);
  // Every way the channels can be laid out, for vectors of 4, 8 and 16 floats.
  const std::vector<Shape> channels = {{1, 1}, {4, 1},   {8, 1},  {3, 2},   {16, 4}, {5, 5},  {16, 8},
                                       {2, 12}, {9, 15}, {6, 16}, {17, 20}, {4, 24}, {3, 32}, {5, 48}};
  for (const Shape& channel : channels) {
    for (int round = 0; round < 4; ++round) {
      Case c;
      c.h = random.integer(1, 4);
      c.w = random.integer(1, 4);
      c.s = random.integer(1, 4) * 2;
      c.left = random.integer(0, c.w - 1);
      c.right = random.integer(c.left + 1, c.w);
      c.top = random.integer(0, c.h - 1);
      c.bottom = random.integer(c.top + 1, c.h);
      c.in = channel[0];
      c.out = channel[1];
      c.activation = round % 2;
      const std::string sizes = std::to_string(c.in) + " -> " + std::to_string(c.out);
      check(c, random_tensors(random, c), "random box, channels " + sizes);
    }
  }
}

I2F_TEST(local_upsample_2x_shapes) {
  Random random(2);
  // Left, top, right, bottom of a grid of 3 x 4 tokens: single tokens in every corner and inside, whole rows and
  // columns.
  for (const Shape& box : std::vector<Shape>{
           {0, 0, 1, 1}, {3, 0, 4, 1}, {0, 2, 1, 3}, {3, 2, 4, 3}, {1, 1, 2, 2}, {0, 1, 4, 2}, {2, 0, 3, 3},
           {0, 0, 4, 3}}) {
    for (const Shape& channel : std::vector<Shape>{{4, 1}, {3, 4}, {5, 16}}) {
      const Case c = {3, 4, 2, box[0], box[1], box[2], box[3], channel[0], channel[1], 1};
      check(c, random_tensors(random, c), "box of the coarsest level");
    }
  }
  // One row and one column of many tokens (several blocks of columns, chunks of many rows), several blocks of rows.
  for (const Shape& channel : std::vector<Shape>{{2, 1}, {2, 3}, {2, 4}, {2, 16}, {1, 64}}) {
    const Case flat = {2, 70, 4, 1, 1, 70, 2, channel[0], channel[1], 0};
    check(flat, random_tensors(random, flat), "flat");
    const Case narrow = {70, 2, 4, 1, 1, 2, 70, channel[0], channel[1], 0};
    check(narrow, random_tensors(random, narrow), "narrow");
    const Case single = {70, 1, 2, 0, 3, 1, 70, channel[0], channel[1], 0};
    check(single, random_tensors(random, single), "one column");
  }
  const Case wide = {1, 300, 8, 0, 0, 299, 1, 1, 1, 0};
  check(wide, random_tensors(random, wide), "more than one block of columns, one channel");
}

I2F_TEST(local_upsample_2x_magnitudes) {
  Random random(3);
  for (const Shape& channel : std::vector<Shape>{{8, 16}, {16, 4}, {4, 1}, {5, 3}}) {
    const Case c = {4, 3, 4, 1, 0, 3, 3, channel[0], channel[1], 0};
    const auto changed = [&](float scale, float shift) {
      Tensors t = random_tensors(random, c);
      for (float& value : t.x.floats) value = value * scale + shift;
      return t;
    };
    check(c, changed(1e4f, 0.0f), "large");
    check(c, changed(1e-3f, 0.0f), "small");
    check(c, changed(1.0f, 1e4f), "mean far from zero");
    check(c, changed(0.0f, 1e4f), "no variance");
    check(c, changed(0.0f, 0.1f), "no variance, a value that is no whole number");
    check(c, changed(0.0f, 0.0f), "zeros");
  }
}

I2F_TEST(local_upsample_2x_not_finite) {
  Random random(4);
  const Case c = {3, 3, 2, 0, 0, 3, 2, 4, 4, 1};
  Tensors t = random_tensors(random, c);
  // An edge value that is not finite stays where it is.
  t.edge.floats[(1 * 6 + 2) * 4 + 1] = NAN;
  t.edge.floats[(2 * 6 + 3) * 4 + 2] = INFINITY;
  check(c, t, "edge");
  // A crop value that is not finite reaches everything through the norm.
  t = random_tensors(random, c);
  t.x.floats[5] = INFINITY;
  expect_close(upsample(c, t), 0, {4, 6, 4}, Doubles(96, NAN), 0.0, "x");
}

I2F_TEST(local_upsample_2x_empty) {
  Random random(5);
  const Case c = {3, 3, 2, 0, 0, 3, 2, 4, 0, 1};
  expect_close(upsample(c, random_tensors(random, c)), 0, {4, 6, 0}, {}, 0.0, "no output channels");
}

I2F_TEST(local_upsample_2x_errors) {
  Random random(6);
  const Case good = {3, 4, 4, 1, 0, 3, 2, 5, 6, 1};
  const Tensors t = random_tensors(random, good);
  const auto with_box = [&](int64_t left, int64_t top, int64_t right, int64_t bottom) {
    Case c = good;
    c.left = left;
    c.top = top;
    c.right = right;
    c.bottom = bottom;
    return upsample(c, t);
  };
  const std::string box_error = "LocalUpsample2x: input 'box' is (";
  expect_error(with_box(-1, 0, 1, 2), box_error, "left of the grid");
  expect_error(with_box(3, 0, 5, 2), box_error, "right of the grid");
  expect_error(with_box(1, 2, 3, 4), box_error, "below the grid");
  expect_error(with_box(1, -1, 3, 1), box_error, "above the grid");
  expect_error(with_box(3, 0, 1, 2), box_error, "right before left");
  expect_error(with_box(1, 1, 3, 1), box_error, "empty");
  expect_error(with_box(INT64_MIN, 0, INT64_MAX, 2), box_error, "absurd");
  expect_error(with_box(1, 0, 3, 3), "input 'x' has 4 rows and 4 columns, expected half of the box's 12 x 8",
               "other box");

  const auto with = [&](OrtValue Tensors::*member, Shape shape) {
    Tensors changed = t;
    changed.*member = random.tensor(std::move(shape));
    return upsample(good, changed);
  };
  expect_error(with(&Tensors::edge, {12, 16, 7}), "input 'edge_rows' has shape [2, 3, 16, 6], expected",
               "edge channels");
  expect_error(with(&Tensors::edge_rows, {2, 3, 15, 6}), "input 'edge_rows'", "rows");
  expect_error(with(&Tensors::edge_rows, {2, 4, 16, 6}), "input 'edge_corners'", "token rows");
  expect_error(with(&Tensors::edge_columns, {2, 11, 4, 6}), "input 'edge_columns'", "columns");
  expect_error(with(&Tensors::edge_corners, {2, 2, 3, 5, 6}), "input 'edge_corners'", "corners");
  expect_error(with(&Tensors::norm_weight, {4}), "input 'norm_weight' has shape [4], expected [Ci=5]", "norm weight");
  expect_error(with(&Tensors::norm_bias, {6}), "input 'norm_bias'", "norm bias");
  expect_error(with(&Tensors::weight, {6, 5, 3, 2}),
               "input 'weight' has shape [6, 5, 3, 2], expected [Co=6, Ci=5, 3=3, 3=3]", "kernel size");
  expect_error(with(&Tensors::weight, {6, 4, 3, 3}), "input 'weight'", "weight channels");

  // Sizes that agree with each other, but not as pixels of tokens.
  Case odd = good;
  odd.w = 3;
  Tensors uneven = random_tensors(random, odd);
  uneven.edge = random.tensor({12, 16, 6});
  uneven.edge_rows = random.tensor({2, 3, 16, 6});
  expect_error(upsample(odd, uneven), "input 'edge' covers 12 x 16 pixels, expected the same whole number", "uneven");
  Case none = good;
  none.in = 0;
  expect_error(upsample(none, random_tensors(random, none)), "input 'x' has shape [4, 4, 0], expected at least one",
               "no Ci");
  Case act = good;
  act.activation = 2;
  expect_error(upsample(act, t), "the attribute 'activation' is 2, expected 0 (none) or 1 (SiLU)", "activation");
}
