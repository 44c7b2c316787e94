#include "reference.hpp"

using namespace harness;

namespace {

struct Case {
  int64_t h, w, boundary, width, channels, heads, bits, changed;
  float before;
};

struct Inputs {
  std::vector<OrtValue> hybrid;  // HybridAttention's inputs, qkv second
  std::vector<OrtValue> known;   // first_qkv, first_attention, first_lse, changed
};

Inputs inputs(Random& random, const Case& c) {
  const int64_t n = c.h * c.w;
  const OrtValue qkv = random.tensor({n, 3 * c.channels});
  const auto [boundary, other] = random.split(n, c.boundary);
  const OrtValue grid = ints({2}, {c.h, c.w});
  const OrtValue freqs = random.tensor({c.channels / c.heads / 4});
  const OrtValue changed = random.split(n, c.changed).first;
  OrtValue first = qkv;
  const OrtValue other_rows = random.tensor({c.changed, 3 * c.channels}, c.before);
  for (int64_t i = 0; i < c.changed; ++i) {
    for (int64_t j = 0; j < 3 * c.channels; ++j) {
      first.floats[changed.ints[i] * 3 * c.channels + j] = other_rows.floats[i * 3 * c.channels + j];
    }
  }
  const Result known =
      Call("FirstAttention").input(first).input(grid).constant(freqs).attribute("num_heads", c.heads).run();
  return {{random.tensor({n, c.width}), qkv, boundary, other, grid, freqs, random.tensor({c.bits, c.channels}),
           random.tensor({c.bits}, 0.2f), random.tensor({2 * c.bits, c.channels}), random.tensor({c.width, c.channels}),
           random.tensor({c.width})},
          {first, known.outputs[0], known.outputs[1], changed}};
}

Result run(const char* name, const std::vector<OrtValue>& hybrid, const std::vector<OrtValue>& known, int64_t heads) {
  Call call(name);
  for (size_t i = 0; i < hybrid.size(); ++i) {
    if (i < 5) {
      call.input(hybrid[i]);
    } else {
      call.constant(hybrid[i]);
    }
  }
  for (const OrtValue& value : known) call.input(value);
  return call.attribute("num_heads", heads).run();
}

}  // namespace

I2F_TEST(prompted_attention) {
  Random random(1);
  for (const Case& c : std::vector<Case>{{1, 1, 1, 3, 4, 1, 2, 0, 1.0f},
                                         {1, 1, 1, 3, 4, 1, 2, 1, 1.0f},
                                         {8, 9, 72, 64, 32, 1, 8, 5, 1.0f},
                                         {8, 9, 72, 33, 32, 2, 8, 9, 6.0f},
                                         {8, 9, 72, 20, 24, 2, 6, 10, 1.0f},
                                         {8, 9, 40, 20, 24, 2, 6, 3, 1.0f},
                                         {31, 35, 31 * 35, 48, 32, 1, 8, 16, 3.0f},
                                         {31, 35, 31 * 35, 48, 32, 1, 8, 0, 1.0f}}) {
    const Inputs in = inputs(random, c);
    const Result plain = run("HybridAttention", in.hybrid, {}, c.heads);
    const std::vector<float>& values = plain.outputs[0].floats;
    const std::vector<double> expected(values.begin(), values.end());
    expect_close(run("PromptedAttention", in.hybrid, in.known, c.heads), 0, in.hybrid[0].dims, expected, 2e-5,
                 "random");
  }
}

I2F_TEST(prompted_attention_errors) {
  Random random(2);
  const Inputs good = inputs(random, {3, 4, 12, 8, 8, 1, 2, 1, 1.0f});
  const auto with = [&](size_t index, const OrtValue& value) {
    std::vector<OrtValue> known = good.known;
    known[index] = value;
    return run("PromptedAttention", good.hybrid, known, 1);
  };
  expect_error(with(0, random.tensor({12, 23})), "input 'first_qkv' has shape [12, 23], expected [N=12, 3D=24]", "qkv");
  expect_error(with(1, random.tensor({11, 8})), "input 'first_attention' has shape [11, 8]", "attention");
  expect_error(with(2, random.tensor({12, 2})), "input 'first_lse' has shape [12, 2], expected [N=12, heads=1]", "lse");
  expect_error(with(3, ints({1}, {12})), "input 'changed' holds 12", "index");
  expect_error(with(3, ints({2}, {5, 4})), "input 'changed' holds 4 after 5", "order");
}
