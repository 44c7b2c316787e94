#include <algorithm>

#include "encoder_reference.hpp"

using namespace harness;

namespace {

// A random plan: padding anywhere, tokens in several places of which `positions` names one.
struct Case {
  int64_t count, windows, area, heads, head_dim;
  OrtValue qkv, padding, tokens, positions, cos, sin;

  Case(Random& random, int64_t n, int64_t w, int64_t a, int64_t h, int64_t d, float scale)
      : count(n),
        windows(w),
        area(a),
        heads(h),
        head_dim(d),
        qkv(random.tensor({n, 3 * h * d}, scale)),
        padding(random.tensor({3 * h * d}, scale)),
        cos(random.tensor({w, 1, a, d})),
        sin(random.tensor({w, 1, a, d})) {
    std::vector<int64_t> at(static_cast<size_t>(w * a));
    std::vector<int64_t> places;
    for (int64_t i = 0; i < w * a; ++i) {
      at[i] = random.integer(0, n);
      places.push_back(i);
    }
    for (int64_t i = w * a - 1; i > 0; --i) std::swap(places[i], places[random.integer(0, i)]);
    places.resize(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) at[places[i]] = i;
    tokens = ints({w * a}, at);
    positions = ints({n}, places);
  }

  Result run() const {
    return Call("WindowAttention")
        .input(qkv)
        .constant(padding)
        .constant(tokens)
        .constant(positions)
        .constant(cos)
        .constant(sin)
        .attribute("num_heads", heads)
        .run();
  }

  const float* row(int64_t place, int64_t which, int64_t head) const {
    const int64_t token = tokens.ints[place];
    const float* from = token < count ? qkv.floats.data() + token * 3 * heads * head_dim : padding.floats.data();
    return from + (which * heads + head) * head_dim;
  }
  reference::Doubles rotated(int64_t place, int64_t which, int64_t head) const {
    const float* x = row(place, which, head);
    reference::Doubles out(static_cast<size_t>(head_dim));
    for (int64_t j = 0; j < head_dim; ++j) {
      const double turned = j % 2 == 0 ? x[j + 1] : -x[j - 1];
      out[j] = x[j] * cos.floats[place * head_dim + j] + turned * sin.floats[place * head_dim + j];
    }
    return out;
  }
  reference::Doubles expected() const {
    reference::Doubles y(static_cast<size_t>(count * heads * head_dim));
    for (int64_t token = 0; token < count; ++token) {
      const int64_t place = positions.ints[token];
      const int64_t first = place / area * area;
      for (int64_t head = 0; head < heads; ++head) {
        const reference::Doubles q = rotated(place, 0, head);
        reference::Doubles scores;
        double largest = -INFINITY;
        for (int64_t i = 0; i < area; ++i) {
          const reference::Doubles k = rotated(first + i, 1, head);
          double dot = 0.0;
          for (int64_t j = 0; j < head_dim; ++j) dot += q[j] * k[j];
          scores.push_back(dot / std::sqrt(static_cast<double>(head_dim)));
          largest = std::max(largest, scores.back());
        }
        double total = 0.0;
        for (double& score : scores) total += score = std::exp(score - largest);
        for (int64_t i = 0; i < area; ++i) {
          for (int64_t j = 0; j < head_dim; ++j) {
            y[(token * heads + head) * head_dim + j] += scores[i] / total * row(first + i, 2, head)[j];
          }
        }
      }
    }
    return y;
  }
};

}  // namespace

I2F_TEST(window_attention) {
  Random random(1);
  for (const Shape& size : std::vector<Shape>{{1, 1, 1, 1, 2},
                                              {0, 2, 5, 1, 4},
                                              {7, 2, 5, 3, 6},
                                              {30, 3, 16, 2, 8},
                                              {60, 2, 49, 1, 20},
                                              {100, 2, 64, 2, 64},
                                              {3, 4, 33, 1, 36}}) {
    for (const float scale : {0.3f, 3.0f}) {
      const Case made(random, size[0], size[1], size[2], size[3], size[4], scale);
      expect_close(made.run(), 0, {size[0], size[3] * size[4]}, made.expected(), 1e-4, "random");
    }
  }
}

I2F_TEST(window_attention_large_scores) {
  Random random(2);
  const Case made(random, 20, 2, 20, 1, 8, 100.0f);
  const Result result = made.run();
  expect(result.error.empty(), result.error);
  for (const float value : result.outputs[0].floats) expect(std::isfinite(value), "finite");
}

I2F_TEST(window_attention_errors) {
  Random random(3);
  Case made(random, 6, 2, 5, 2, 4, 1.0f);
  made.tokens.ints[3] = 7;
  expect_error(made.run(), "input 'tokens' holds 7 at position 3, expected 0 <= index < 7", "token");
  made = Case(random, 6, 2, 5, 2, 4, 1.0f);
  made.positions.ints[2] = 10;
  expect_error(made.run(), "input 'positions' holds 10 at position 2, expected 0 <= index < 10", "position");
  made = Case(random, 6, 2, 5, 2, 4, 1.0f);
  std::swap(made.positions.ints[0], made.positions.ints[1]);
  expect_error(made.run(), "'positions' says that token 0 is at", "positions do not fit tokens");
  made = Case(random, 6, 2, 5, 2, 4, 1.0f);
  made.heads = 3;
  expect_error(made.run(), "num_heads=3", "heads");
  made = Case(random, 6, 2, 5, 2, 4, 1.0f);
  made.sin = random.tensor({2, 1, 5, 2});
  expect_error(made.run(), "input 'sin' has shape [2, 1, 5, 2], expected [W=2, 1=1, A=5, C/num_heads=4]", "sin");
  made = Case(random, 6, 2, 5, 2, 4, 1.0f);
  made.tokens = ints({9}, std::vector<int64_t>(9, 0));
  expect_error(made.run(), "'tokens' has 9 positions, expected 2 windows of 5", "tokens");
}
