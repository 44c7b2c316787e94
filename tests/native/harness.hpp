// How a driver test calls an op and says what it expects.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "fake_ort.hpp"

namespace harness {

using Shape = std::vector<int64_t>;

OrtValue floats(Shape shape, std::vector<float> values);
OrtValue ints(Shape shape, std::vector<int64_t> values);
OrtValue bytes(Shape shape, std::vector<uint8_t> values);
OrtValue signed_bytes(Shape shape, const std::vector<int8_t>& values);

// Random numbers that are the same on every platform and run.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  // Uniform in [low, high).
  float uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(engine_() >> 8) * (1.0f / 16777216.0f);
  }
  // A whole number in [low, high].
  int64_t integer(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine_() % static_cast<uint32_t>(high - low + 1));
  }
  // A float tensor, uniform in [-scale, scale).
  OrtValue tensor(Shape shape, float scale = 1.0f);
  // Ascending random subset of 0 .. total-1 and its ascending complement.
  std::pair<OrtValue, OrtValue> split(int64_t total, int64_t chosen);

 private:
  std::mt19937 engine_;
};

struct Result {
  std::string error;  // empty: success
  std::vector<OrtValue> outputs;
};

// One node. Inputs are given in order.
class Call {
 public:
  explicit Call(std::string op) : op_(std::move(op)) {}

  Call& input(OrtValue value);     // a value of this run
  Call& constant(OrtValue value);  // an initializer of the model
  Call& attribute(const std::string& name, float value);
  Call& attribute(const std::string& name, int64_t value);
  Call& attribute(const std::string& name, int value) { return attribute(name, static_cast<int64_t>(value)); }

  // Runs the op with one thread and with three, with its constants known beforehand and not, twice with the same
  // kernel, and from two threads at once. All must agree to the bit; a disagreement is a failed expectation.
  Result run() const;

 private:
  std::string op_;
  std::vector<OrtValue> inputs_;
  std::vector<bool> constant_;
  OrtKernelInfo info_;
};

// Expectations. A failed one is counted and printed with the instruction set, the test and `what`.
void expect(bool condition, const std::string& what);
// Output `index` has this shape and, element by element, |found - expected| <= tolerance * (scale + |expected|), where
// scale is the root mean square of the expected values; NaN where NaN is expected and infinities alike.
void expect_close(const Result& result, size_t index, const Shape& shape, const std::vector<double>& expected,
                  double tolerance, const std::string& what);
void expect_ints(const Result& result, size_t index, const Shape& shape, const std::vector<int64_t>& expected,
                 const std::string& what);
// The run failed with a message that contains `part`.
void expect_error(const Result& result, const std::string& part, const std::string& what);

// Every instruction set of the library that this machine has, and the one that is being tested.
const std::vector<std::string>& instruction_sets();
const std::string& current_instruction_set();

struct Test {
  Test(const char* test_name, void (*test_function)());
  const char* name;
  void (*function)();
};

}  // namespace harness

// Defines a test; the driver runs it once per instruction set.
#define I2F_TEST(name)                                 \
  static void name();                                  \
  static const harness::Test name##_test(#name, name); \
  static void name()
