#include "reference.hpp"

using namespace harness;

namespace {

struct Case {
  int64_t h, w, boundary, width, channels, heads, bits;
};

enum Input { kX, kQkv, kBoundary, kOther, kGrid, kFreqs, kCodeWeight, kCodeBias, kCodebook, kProjWeight, kProjBias };

std::vector<OrtValue> inputs(Random& random, const Case& c) {
  const int64_t n = c.h * c.w;
  const OrtValue x = random.tensor({n, c.width});
  const OrtValue qkv = random.tensor({n, 3 * c.channels}, 2.0f);
  const auto [boundary, other] = random.split(n, c.boundary);
  const OrtValue freqs = random.tensor({c.channels / c.heads / 4});
  const OrtValue code_weight = random.tensor({c.bits, c.channels});
  const OrtValue code_bias = random.tensor({c.bits}, 0.2f);
  const OrtValue codebook = random.tensor({2 * c.bits, c.channels});
  const OrtValue weight = random.tensor({c.width, c.channels});
  return {x,           qkv,       boundary, other,  ints({2}, {c.h, c.w}),   freqs,
          code_weight, code_bias, codebook, weight, random.tensor({c.width})};
}

Result run(const std::vector<OrtValue>& in, int64_t heads) {
  Call call("HybridAttention");
  for (size_t i = 0; i < in.size(); ++i) {
    if (i < kFreqs) {
      call.input(in[i]);
    } else {
      call.constant(in[i]);
    }
  }
  return call.attribute("num_heads", heads).run();
}

std::vector<double> expected(const std::vector<OrtValue>& in, int64_t heads) {
  const int64_t d = in[kQkv].dims[1] / 3;
  const OrtValue k = reference::columns(in[kQkv], d, d);
  const OrtValue v = reference::columns(in[kQkv], 2 * d, d);
  const auto first = reference::boundary_attention(reference::columns(in[kQkv], 0, d, &in[kBoundary].ints), k, v,
                                                   in[kBoundary], in[kGrid].ints[1], in[kFreqs], heads);
  const auto second = reference::bsq_attention(reference::columns(in[kQkv], 0, d, &in[kOther].ints), k, v,
                                               in[kCodeWeight], in[kCodeBias], in[kCodebook], heads);
  std::vector<double> out(in[kX].floats.begin(), in[kX].floats.end());
  const int64_t width = in[kX].dims[1];
  for (const bool is_boundary : {true, false}) {
    const std::vector<int64_t>& rows = in[is_boundary ? kBoundary : kOther].ints;
    const std::vector<double>& attended = is_boundary ? first : second;
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::vector<double> row(attended.begin() + i * d, attended.begin() + (i + 1) * d);
      const std::vector<double> projected = reference::linear(row, in[kProjWeight], in[kProjBias]);
      for (int64_t j = 0; j < width; ++j) out[rows[i] * width + j] += projected[j];
    }
  }
  return out;
}

}  // namespace

I2F_TEST(hybrid_attention) {
  Random random(1);
  for (const Case& c : std::vector<Case>{{1, 1, 0, 4, 4, 1, 1},
                                         {1, 1, 1, 3, 4, 1, 2},
                                         {3, 5, 7, 20, 24, 2, 6},
                                         {8, 9, 72, 64, 32, 1, 8},
                                         {8, 9, 0, 33, 32, 1, 8},
                                         {2, 2, 2, 5, 0, 1, 2},
                                         {12, 12, 50, 64, 64, 2, 6},
                                         {31, 35, 61, 48, 32, 1, 8}}) {
    const std::vector<OrtValue> in = inputs(random, c);
    expect_close(run(in, c.heads), 0, in[kX].dims, expected(in, c.heads), 2e-5, "random");
  }
  const std::vector<OrtValue> none = inputs(random, {0, 3, 0, 8, 8, 1, 2});
  expect_close(run(none, 1), 0, {0, 8}, {}, 0.0, "no tokens");
}

I2F_TEST(hybrid_attention_errors) {
  Random random(2);
  const std::vector<OrtValue> good = inputs(random, {3, 4, 5, 8, 8, 1, 2});
  const auto with = [&](size_t index, const OrtValue& value) {
    std::vector<OrtValue> in = good;
    in[index] = value;
    return run(in, 1);
  };
  expect_error(with(kQkv, random.tensor({12, 25})), "input 'qkv' has 25 columns", "width of qkv");
  expect_error(with(kQkv, random.tensor({11, 24})), "input 'qkv' has shape [11, 24], expected [N=12, 3D]",
               "rows of qkv");
  expect_error(with(kBoundary, ints({1}, {0})), "name 1 + 7 tokens, expected N=12 together", "too few");
  expect_error(with(kBoundary, ints({5}, {0, 0, 1, 2, 3})), "is named twice in 'boundary' and 'other'", "twice");
  expect_error(with(kOther, ints({7}, {0, 1, 2, 3, 4, 5, 12})), "input 'other' holds 12 at position 6", "index");
  expect_error(with(kGrid, ints({2}, {12, 2})), "input 'grid' holds 12 x 2", "grid");
  expect_error(with(kFreqs, random.tensor({3})), "input 'freqs' has shape [3]", "freqs");
  expect_error(with(kCodeWeight, random.tensor({2, 9})), "input 'code_weight'", "code_weight");
  expect_error(with(kCodebook, random.tensor({5, 8})), "input 'codebook'", "codebook");
  expect_error(with(kProjWeight, random.tensor({8, 9})), "input 'proj_weight' has shape [8, 9], expected [C=8, D=8]",
               "");
  expect_error(with(kProjBias, random.tensor({7})), "input 'proj_bias'", "proj_bias");
}
