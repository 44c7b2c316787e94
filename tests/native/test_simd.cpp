// The vector wrapper, its mathematics and the matrix product.
#include <cmath>
#include <limits>

#include "harness.hpp"
#include "simd_functions.hpp"

using namespace harness;

namespace {

const SimdFunctions& functions() {
  const SimdFunctions* found = simd_functions(current_instruction_set().c_str());
  expect(found != nullptr, "the instruction set's building blocks are there");
  return *found;
}

// The largest relative error over the inputs, where the exact value is a normal float.
double worst(void (*function)(const float*, int64_t, float*), double (*exact)(double), const std::vector<float>& x) {
  std::vector<float> y(x.size());
  function(x.data(), static_cast<int64_t>(x.size()), y.data());
  double largest = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = exact(static_cast<double>(x[i]));
    if (std::fabs(expected) < 1.2e-38 || std::fabs(expected) > 3.4e38) continue;
    largest = std::fmax(largest, std::fabs(y[i] - expected) / std::fabs(expected));
  }
  return largest;
}

std::vector<float> evaluate(void (*function)(const float*, int64_t, float*), const std::vector<float>& x) {
  std::vector<float> y(x.size());
  function(x.data(), static_cast<int64_t>(x.size()), y.data());
  return y;
}

std::vector<float> spread(float low, float high, int count) {
  std::vector<float> x;
  for (int i = 0; i <= count; ++i) x.push_back(low + (high - low) * static_cast<float>(i) / static_cast<float>(count));
  return x;
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

I2F_TEST(simd_exponentials) {
  const SimdFunctions& f = functions();
  const auto exact_exp = [](double x) { return std::exp(x); };
  const auto exact_exp2 = [](double x) { return std::exp2(x); };
  const auto exact_sigmoid = [](double x) { return 1.0 / (1.0 + std::exp(-x)); };
  const auto exact_silu = [](double x) { return x / (1.0 + std::exp(-x)); };
  expect(worst(f.exp, exact_exp, spread(-87.3f, 88.7f, 200001)) < 3e-7, "exp over its range");
  expect(worst(f.exp, exact_exp, spread(-1.0f, 1.0f, 100001)) < 3e-7, "exp around zero");
  expect(worst(f.exp2_of_score, exact_exp2, spread(-125.9f, 126.9f, 200001)) < 3e-7, "2^x over its range");
  expect(worst(f.sigmoid, exact_sigmoid, spread(-87.0f, 87.0f, 100001)) < 5e-7, "sigmoid");
  expect(worst(f.silu, exact_silu, spread(-80.0f, 80.0f, 100000)) < 5e-7, "silu");
}

I2F_TEST(simd_exponentials_at_their_ends) {
  const SimdFunctions& f = functions();
  const float quiet = std::numeric_limits<float>::quiet_NaN();
  // A NaN with low bits set must stay one as well.
  const float payload = std::nanf("0x7f");
  const float top = std::numeric_limits<float>::max();
  const std::vector<float> e = evaluate(f.exp, {0.0f, -0.0f, -88.0f, -104.0f, -1e30f, -kInfinity, 88.72f, 88.73f, 1e30f,
                                                kInfinity, quiet, payload, -top, top});
  expect(e[0] == 1.0f && e[1] == 1.0f, "e^0");
  expect(e[2] == 0.0f && e[3] == 0.0f && e[4] == 0.0f && e[5] == 0.0f && e[12] == 0.0f, "e^x below the smallest float");
  expect(std::isfinite(e[6]) && e[6] > 3.3e38f, "e^x just below the largest float");
  expect(e[7] == kInfinity && e[8] == kInfinity && e[9] == kInfinity && e[13] == kInfinity, "e^x above it");
  expect(std::isnan(e[10]) && std::isnan(e[11]), "e^NaN");
  const std::vector<float> p =
      evaluate(f.exp2_of_score, {0.0f, -126.0f, -127.0f, -1e30f, -kInfinity, quiet, payload, 127.0f});
  expect(std::fabs(p[0] - 1.0f) < 3e-7f && std::fabs(p[7] - std::ldexp(1.0f, 127)) < std::ldexp(1.0f, 106),
         "2^0, 2^127");
  for (size_t i = 1; i < 5; ++i) expect(p[i] > 1.1e-38f && p[i] < 1.2e-38f, "2^x has a floor");
  expect(std::isnan(p[5]) && std::isnan(p[6]), "2^NaN");
  const std::vector<float> s = evaluate(f.sigmoid, {-kInfinity, kInfinity, -200.0f, 200.0f, quiet, 0.0f});
  expect(s[0] == 0.0f && s[1] == 1.0f && s[2] == 0.0f && s[3] == 1.0f && std::isnan(s[4]) && s[5] == 0.5f, "sigmoid");
}

I2F_TEST(simd_lanes) {
  const SimdFunctions& f = functions();
  const int lanes = f.lanes;
  std::vector<float> x;
  for (int i = 0; i < lanes; ++i) x.push_back(static_cast<float>((i * 7) % lanes) - 2.5f);
  for (int n = 0; n <= lanes; ++n) {
    // Exactly n floats to read and to write: a sanitizer sees one too many.
    const std::vector<float> in(x.begin(), x.begin() + n);
    std::vector<float> out(static_cast<size_t>(n), -1.0f);
    std::vector<float> swapped(static_cast<size_t>(lanes));
    std::vector<float> whole = x;
    f.partial(whole.data(), lanes, whole.data(), swapped.data());
    for (int i = 0; i < lanes; ++i) expect(swapped[i] == x[i ^ 1], "swap_pairs");
    if (n == 0) continue;
    std::vector<float> padded = x;
    std::vector<float> target(static_cast<size_t>(lanes), 77.0f);
    f.partial(padded.data(), n, target.data(), swapped.data());
    for (int i = 0; i < lanes; ++i) expect(target[i] == (i < n ? x[i] : 77.0f), "load_n and store_n");
  }
  float total = 0.0f;
  float largest = 0.0f;
  unsigned bits = 0;
  f.reduce(x.data(), &total, &largest, &bits);
  float expected_total = 0.0f;
  unsigned expected_bits = 0;
  for (int i = 0; i < lanes; ++i) {
    expected_total += x[i];
    if (x[i] >= 0.0f) expected_bits |= 1u << i;
  }
  expect(total == expected_total, "sum");
  expect(largest == static_cast<float>(lanes - 1) - 2.5f, "max_lane");
  expect(bits == expected_bits, "lane_bits");
}

I2F_TEST(simd_matrix_product) {
  const SimdFunctions& f = functions();
  Random random(5);
  for (int64_t m = 1; m <= 27; ++m) {
    const int64_t n = random.integer(1, 100);
    const int64_t k = random.integer(0, 40);
    const bool transposed = m % 2 == 0;
    const OrtValue a = random.tensor({m, k});
    const OrtValue b = random.tensor({n, k});
    const OrtValue bias = random.tensor({n});
    std::vector<float> stored(a.floats);
    if (transposed) {
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t l = 0; l < k; ++l) stored[l * m + i] = a.floats[i * k + l];
      }
    }
    Result result;
    result.outputs.push_back(floats({m, n}, std::vector<float>(static_cast<size_t>(m * n))));
    f.linear(stored.data(), transposed ? 1 : k, transposed ? m : 1, m, b.floats.data(), bias.floats.data(), n, k,
             result.outputs[0].floats.data());
    std::vector<double> expected;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = bias.floats[j];
        for (int64_t l = 0; l < k; ++l) sum += static_cast<double>(a.floats[i * k + l]) * b.floats[j * k + l];
        expected.push_back(sum);
      }
    }
    expect_close(result, 0, {m, n}, expected, 1e-6, "product");
  }
}
