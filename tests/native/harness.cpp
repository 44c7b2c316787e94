#include "harness.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

namespace harness {
namespace {

std::vector<const Test*>& tests() {
  static std::vector<const Test*> all;
  return all;
}

std::string current_set;
std::string current_test;
int checks = 0;
int failures = 0;

void set_variable(const char* name, const std::string& value) {
#if defined(_WIN32)
  _putenv_s(name, value.c_str());
#else
  setenv(name, value.c_str(), 1);
#endif
}

std::string take_message(OrtStatus* status) {
  if (status == nullptr) return "";
  const std::unique_ptr<OrtStatus> owner(status);
  return owner->message.empty() ? "failed without a message" : owner->message;
}

// The ops of the instruction set in INTER2FORMER_ISA, or the reason why there are none.
std::string register_ops(std::vector<const OrtCustomOp*>* ops) {
  OrtSessionOptions options;
  const std::string error = take_message(RegisterCustomOps(&options, fake_ort::api_base()));
  if (error.empty()) *ops = options.domains.at(0)->ops;
  return error;
}

const OrtCustomOp* find_op(const std::string& name) {
  std::vector<const OrtCustomOp*> ops;
  const std::string error = register_ops(&ops);
  if (!error.empty()) {
    std::fprintf(stderr, "registration failed: %s\n", error.c_str());
    std::exit(2);
  }
  for (const OrtCustomOp* op : ops) {
    if (name == op->GetName(op)) return op;
  }
  std::fprintf(stderr, "no op %s in the library\n", name.c_str());
  std::exit(2);
}

bool same_bits(const OrtValue& a, const OrtValue& b) {
  if (a.type != b.type || a.dims != b.dims || a.ints != b.ints || a.bytes != b.bytes) return false;
  if (a.floats.size() != b.floats.size()) return false;
  for (size_t i = 0; i < a.floats.size(); ++i) {
    const bool both_nan = std::isnan(a.floats[i]) && std::isnan(b.floats[i]);
    if (!both_nan && std::memcmp(&a.floats[i], &b.floats[i], sizeof(float)) != 0) return false;
  }
  return true;
}

void expect_same(const Result& a, const Result& b, const std::string& what) {
  bool same = a.error == b.error;
  // A failed run has no outputs to compare.
  for (size_t i = 0; same && a.error.empty() && i < a.outputs.size(); ++i) same = same_bits(a.outputs[i], b.outputs[i]);
  expect(same, what + (a.error == b.error ? "" : ": '" + a.error + "' / '" + b.error + "'"));
}

int64_t product(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

std::string text(const Shape& shape) {
  std::string out = "[";
  for (const int64_t dim : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(dim);
  return out + "]";
}

void check_size(const Shape& shape, size_t size) {
  if (static_cast<size_t>(product(shape)) != size) {
    std::fprintf(stderr, "%s: %zu values for a tensor of shape %s\n", current_test.c_str(), size, text(shape).c_str());
    std::exit(2);
  }
}

// A kernel made for `info`; runs as often as wanted.
class KernelHandle {
 public:
  KernelHandle(const OrtCustomOp* op, const OrtKernelInfo& info) : op_(op) {
    error_ = take_message(op->CreateKernelV2(op, fake_ort::api(), &info, &kernel_));
  }
  ~KernelHandle() {
    if (kernel_ != nullptr) op_->KernelDestroy(kernel_);
  }
  KernelHandle(const KernelHandle&) = delete;
  KernelHandle& operator=(const KernelHandle&) = delete;

  Result run(const std::vector<OrtValue>& inputs, int threads) const {
    if (!error_.empty()) return {error_, {}};
    OrtKernelContext context;
    context.threads = threads;
    for (const OrtValue& value : inputs) context.inputs.push_back(&value);
    for (size_t i = 0; i < op_->GetOutputTypeCount(op_); ++i)
      context.output_types.push_back(op_->GetOutputType(op_, i));
    context.outputs.resize(context.output_types.size());
    const std::string error = take_message(op_->KernelComputeV2(kernel_, &context));
    return {error, std::move(context.outputs)};
  }

 private:
  const OrtCustomOp* op_;
  void* kernel_ = nullptr;
  std::string error_;
};

}  // namespace

OrtValue floats(Shape shape, std::vector<float> values) {
  check_size(shape, values.size());
  OrtValue value;
  value.type = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  value.dims = std::move(shape);
  values.shrink_to_fit();
  value.floats = std::move(values);
  return value;
}

OrtValue ints(Shape shape, std::vector<int64_t> values) {
  check_size(shape, values.size());
  OrtValue value;
  value.type = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  value.dims = std::move(shape);
  values.shrink_to_fit();
  value.ints = std::move(values);
  return value;
}

OrtValue bytes(Shape shape, std::vector<uint8_t> values) {
  check_size(shape, values.size());
  OrtValue value;
  value.type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
  value.dims = std::move(shape);
  values.shrink_to_fit();
  value.bytes = std::move(values);
  return value;
}

OrtValue signed_bytes(Shape shape, const std::vector<int8_t>& values) {
  OrtValue value = bytes(std::move(shape), std::vector<uint8_t>(values.begin(), values.end()));
  value.type = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8;
  return value;
}

OrtValue Random::tensor(Shape shape, float scale) {
  std::vector<float> values(static_cast<size_t>(product(shape)));
  for (float& value : values) value = uniform(-scale, scale);
  return floats(std::move(shape), std::move(values));
}

std::pair<OrtValue, OrtValue> Random::split(int64_t total, int64_t chosen) {
  std::vector<int64_t> first;
  std::vector<int64_t> second;
  for (int64_t i = 0; i < total; ++i) {
    const int64_t wanted = chosen - static_cast<int64_t>(first.size());
    if (integer(0, total - i - 1) < wanted) {
      first.push_back(i);
    } else {
      second.push_back(i);
    }
  }
  const int64_t rest = total - chosen;
  return {ints({chosen}, std::move(first)), ints({rest}, std::move(second))};
}

Call& Call::input(OrtValue value) {
  inputs_.push_back(std::move(value));
  constant_.push_back(false);
  return *this;
}

Call& Call::constant(OrtValue value) {
  input(std::move(value));
  constant_.back() = true;
  return *this;
}

Call& Call::attribute(const std::string& name, float value) {
  info_.floats[name] = value;
  return *this;
}

Call& Call::attribute(const std::string& name, int64_t value) {
  info_.ints[name] = value;
  return *this;
}

Result Call::run() const {
  const OrtCustomOp* op = find_op(op_);
  OrtKernelInfo open = info_;
  open.constants.assign(inputs_.size(), nullptr);
  OrtKernelInfo fixed = open;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (constant_[i]) fixed.constants[i] = &inputs_[i];
  }
  const KernelHandle known(op, fixed);
  Result first = known.run(inputs_, 1);
  expect_same(first, known.run(inputs_, 3), op_ + ": the result depends on the number of threads");
  expect_same(first, KernelHandle(op, open).run(inputs_, 1), op_ + ": the result depends on what is constant");
  Result concurrent[2];
  std::thread other([&] { concurrent[0] = known.run(inputs_, 1); });
  concurrent[1] = known.run(inputs_, 1);
  other.join();
  for (const Result& result : concurrent) expect_same(first, result, op_ + ": concurrent runs disagree");
  return first;
}

void expect(bool condition, const std::string& what) {
  ++checks;
  if (condition) return;
  if (++failures <= 50) std::printf("FAILED [%s] %s: %s\n", current_set.c_str(), current_test.c_str(), what.c_str());
}

void expect_close(const Result& result, size_t index, const Shape& shape, const std::vector<double>& expected,
                  double tolerance, const std::string& what) {
  expect(result.error.empty(), what + ": " + result.error);
  if (!result.error.empty()) return;
  const OrtValue& found = result.outputs.at(index);
  expect(found.dims == shape, what + ": shape " + text(found.dims) + ", expected " + text(shape));
  if (found.dims != shape) return;
  check_size(shape, expected.size());
  double squares = 0.0;
  int64_t finite = 0;
  for (const double value : expected) {
    if (std::isfinite(value)) {
      squares += value * value;
      ++finite;
    }
  }
  const double scale = finite > 0 ? std::sqrt(squares / static_cast<double>(finite)) : 0.0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double x = static_cast<double>(found.floats[i]);
    const double y = expected[i];
    const bool same_kind = std::isnan(y) ? std::isnan(x) : std::isinf(y) ? x == y : std::isfinite(x);
    const bool close = same_kind && (!std::isfinite(y) || std::fabs(x - y) <= tolerance * (scale + std::fabs(y)));
    if (!close) {
      char message[160];
      std::snprintf(message, sizeof(message), ": element %zu of %s is %.9g, expected %.9g", i, text(shape).c_str(), x,
                    y);
      expect(false, what + message);
      return;
    }
  }
  expect(true, what);
}

void expect_ints(const Result& result, size_t index, const Shape& shape, const std::vector<int64_t>& expected,
                 const std::string& what) {
  expect(result.error.empty(), what + ": " + result.error);
  if (!result.error.empty()) return;
  const OrtValue& found = result.outputs.at(index);
  expect(found.dims == shape, what + ": shape " + text(found.dims) + ", expected " + text(shape));
  expect(found.ints == expected, what + ": values " + text(found.ints) + ", expected " + text(expected));
}

void expect_error(const Result& result, const std::string& part, const std::string& what) {
  const bool named = result.error.find(part) != std::string::npos;
  expect(named, what + ": expected an error with '" + part + "', found '" + result.error + "'");
}

const std::vector<std::string>& instruction_sets() {
  static const std::vector<std::string> found = [] {
    std::vector<std::string> usable;
    for (const char* name : {"baseline", "avx2", "avx512", "neon"}) {
      set_variable("INTER2FORMER_ISA", name);
      std::vector<const OrtCustomOp*> ops;
      if (register_ops(&ops).empty()) usable.push_back(name);
    }
    return usable;
  }();
  return found;
}

const std::string& current_instruction_set() { return current_set; }

Test::Test(const char* test_name, void (*test_function)()) : name(test_name), function(test_function) {
  tests().push_back(this);
}

static int run_all(const char* only) {
  int ran = 0;
  for (const std::string& set : instruction_sets()) {
    current_set = set;
    set_variable("INTER2FORMER_ISA", set);
    for (const Test* test : tests()) {
      if (only != nullptr && std::strcmp(only, test->name) != 0) continue;
      current_test = test->name;
      const int before = checks;
      const int failed_before = failures;
      test->function();
      ++ran;
      std::printf("%-8s %-28s %5d checks%s\n", set.c_str(), test->name, checks - before,
                  failures > failed_before ? "  FAILED" : "");
    }
  }
  std::printf("%d tests, %d checks, %d failures\n", ran, checks, failures);
  return ran == 0 ? 2 : failures > 0 ? 1 : 0;
}

}  // namespace harness

// Runs all tests, or the one named on the command line, for every instruction set. Exit status 0: all passed.
int main(int argc, char** argv) { return harness::run_all(argc > 1 ? argv[1] : nullptr); }
