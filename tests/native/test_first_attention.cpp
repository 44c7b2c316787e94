#include "reference.hpp"

using namespace harness;

namespace {

struct Case {
  int64_t h, w, channels, heads;
  float scale;
};

Result run(const OrtValue& qkv, const OrtValue& grid, const OrtValue& freqs, int64_t heads) {
  return Call("FirstAttention").input(qkv).input(grid).constant(freqs).attribute("num_heads", heads).run();
}

}  // namespace

I2F_TEST(first_attention) {
  Random random(1);
  for (const Case& c : std::vector<Case>{{1, 1, 4, 1, 1.0f},
                                         {3, 5, 24, 2, 2.0f},
                                         {8, 9, 32, 1, 0.1f},
                                         {12, 7, 64, 4, 8.0f},
                                         {31, 5, 32, 1, 30.0f},
                                         {0, 4, 8, 1, 1.0f}}) {
    const int64_t n = c.h * c.w;
    const int64_t d = c.channels;
    const OrtValue qkv = random.tensor({n, 3 * d}, c.scale);
    const OrtValue freqs = random.tensor({d / c.heads / 4});
    std::vector<int64_t> tokens;
    for (int64_t i = 0; i < n; ++i) tokens.push_back(i);
    const OrtValue all = ints({n}, tokens);
    const OrtValue q = reference::columns(qkv, 0, d);
    const OrtValue k = reference::columns(qkv, d, d);
    const OrtValue v = reference::columns(qkv, 2 * d, d);
    std::vector<double> lse;
    const int64_t head_dim = d / c.heads;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t head = 0; head < c.heads; ++head) {
        const int64_t first = head * head_dim;
        const auto query = reference::rotated(q.floats.data() + i * d + first, head_dim, i, c.w, freqs);
        std::vector<double> scores;
        double largest = -INFINITY;
        for (int64_t t = 0; t < n; ++t) {
          const auto key = reference::rotated(k.floats.data() + t * d + first, head_dim, t, c.w, freqs);
          double dot = 0.0;
          for (int64_t j = 0; j < head_dim; ++j) dot += query[j] * key[j];
          scores.push_back(dot / std::sqrt(static_cast<double>(head_dim)));
          largest = std::fmax(largest, scores.back());
        }
        double total = 0.0;
        for (const double score : scores) total += std::exp(score - largest);
        lse.push_back(largest + std::log(total));
      }
    }
    const Result result = run(qkv, ints({2}, {c.h, c.w}), freqs, c.heads);
    const double tolerance = c.scale > 10 ? 1e-3 : 2e-5;
    expect_close(result, 0, {n, d}, reference::boundary_attention(q, k, v, all, c.w, freqs, c.heads), tolerance,
                 "attention");
    expect_close(result, 1, {n, c.heads}, lse, 1e-5, "lse");
  }
}

I2F_TEST(first_attention_errors) {
  Random random(2);
  const OrtValue qkv = random.tensor({12, 24});
  const OrtValue grid = ints({2}, {3, 4});
  const OrtValue freqs = random.tensor({2});
  expect_error(run(random.tensor({12, 25}), grid, freqs, 1), "input 'qkv' has 25 columns", "width of qkv");
  expect_error(run(qkv, ints({2}, {3, 5}), freqs, 1), "input 'grid' holds 3 x 5", "grid");
  expect_error(run(qkv, grid, random.tensor({3}), 1), "input 'freqs' has shape [3]", "freqs");
  expect_error(run(qkv, grid, freqs, 3), "8 channels and num_heads=3", "heads");
}
