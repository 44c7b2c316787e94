#include "native/ort/kernel.hpp"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <atomic>
#include <exception>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#elif defined(_M_ARM64)
#include <intrin.h>
#endif

namespace i2f {

namespace {

// Throws Error with what onnxruntime said, if the call failed.
void check(const OrtApi* api, OrtStatus* status, const char* op, const char* call) {
  if (status == nullptr) return;
  char cause[256];
  snprintf(cause, sizeof(cause), "%s", OrtGetErrorMessage::get(api)(status));
  OrtReleaseStatus::get(api)(status);
  fail("inter2former::%s: onnxruntime's %s failed: %s", op, call, cause);
}

const char* type_name(Element element) {
  switch (element) {
    case Element::kFloat:
      return "float32";
    case Element::kUint8:
      return "uint8";
    case Element::kInt8:
      return "int8";
    case Element::kInt64:
      return "int64";
  }
  return "?";
}

// Appends to a text of fixed room; what does not fit is cut.
class Text {
 public:
  void add(const char* format, ...) I2F_PRINTF(2, 3) {
    va_list arguments;
    va_start(arguments, format);
    const int written = vsnprintf(text_ + length_, sizeof(text_) - length_, format, arguments);
    va_end(arguments);
    if (written > 0) length_ += static_cast<size_t>(written);
    if (length_ >= sizeof(text_)) length_ = sizeof(text_) - 1;
  }
  const char* get() const { return text_; }

 private:
  char text_[256] = {};
  size_t length_ = 0;
};

TensorView view_of(const OrtApi* api, const OrtValue* value, const char* op, const char* port, Element element) {
  TensorView view;
  OrtTensorTypeAndShapeInfo* shape = nullptr;
  check(api, OrtGetTensorTypeAndShape::get(api)(value, &shape), op, "GetTensorTypeAndShape");
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  size_t rank = 0;
  OrtStatus* status = OrtGetTensorElementType::get(api)(shape, &type);
  if (status == nullptr) status = OrtGetDimensionsCount::get(api)(shape, &rank);
  const bool rank_fits = rank <= static_cast<size_t>(kMaxRank);
  if (status == nullptr && rank_fits) status = OrtGetDimensions::get(api)(shape, view.dims, rank);
  OrtReleaseTensorTypeAndShapeInfo::get(api)(shape);
  check(api, status, op, "GetDimensions");
  if (type != onnx_type(element)) {
    fail("inter2former::%s: '%s' has element type %d (ONNX numbering), expected %s", op, port, static_cast<int>(type),
         type_name(element));
  }
  if (!rank_fits) fail("inter2former::%s: '%s' has %zu dimensions", op, port, rank);
  view.rank = static_cast<int>(rank);
  view.element = element;
  void* data = nullptr;
  check(api, OrtGetTensorMutableData::get(api)(const_cast<OrtValue*>(value), &data), op, "GetTensorMutableData");
  view.data = data;
  return view;
}

[[noreturn]] void throw_formatted(const char* format, va_list arguments) {
  char message[512];
  vsnprintf(message, sizeof(message), format, arguments);
  throw Error(message);
}

// While it lives, subnormal numbers (below 1.2e-38) count as zero in this thread: an operation on one takes a hundred
// times as long, and nothing here needs them.
class FlushSubnormals {
 public:
#if defined(__x86_64__) || defined(_M_X64)
  FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlushToZero | kSubnormalsAreZero); }
  ~FlushSubnormals() { _mm_setcsr(before_); }

 private:
  static constexpr unsigned kFlushToZero = 0x8000;
  static constexpr unsigned kSubnormalsAreZero = 0x0040;
  unsigned before_;
#elif defined(_M_ARM64)
  FlushSubnormals() : before_(_ReadStatusReg(ARM64_FPCR)) { _WriteStatusReg(ARM64_FPCR, before_ | kFlushToZero); }
  ~FlushSubnormals() { _WriteStatusReg(ARM64_FPCR, before_); }

 private:
  static constexpr __int64 kFlushToZero = 1 << 24;
  __int64 before_;
#else
  FlushSubnormals() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before_));
    write(before_ | kFlushToZero);
  }
  ~FlushSubnormals() { write(before_); }

 private:
  static void write(uint64_t value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
  static constexpr uint64_t kFlushToZero = 1 << 24;
  uint64_t before_ = 0;
#endif
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;
};

// What the tasks of one parallel_for share. The first exception wins; the others tell the same story.
struct ParallelRun {
  void (*task)(const void*, int64_t);
  const void* user;
  std::atomic<bool> failed{false};
  Error error{""};

  void run(size_t i) noexcept {
    const FlushSubnormals flush;
    try {
      task(user, static_cast<int64_t>(i));
    } catch (const Error& e) {
      if (!failed.exchange(true)) error = e;
    } catch (...) {
      if (!failed.exchange(true)) error = Error("inter2former: unexpected C++ exception in a parallel task");
    }
  }
};

}  // namespace

ONNXTensorElementDataType onnx_type(Element element) {
  switch (element) {
    case Element::kFloat:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    case Element::kUint8:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    case Element::kInt8:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8;
    case Element::kInt64:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

Error::Error(const char* message) { snprintf(message_, sizeof(message_), "%s", message); }

void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  throw_formatted(format, arguments);
}

Kernel::~Kernel() = default;

int64_t KernelInfo::int_attribute(const char* name) const {
  int64_t value = 0;
  OrtStatus* status = OrtKernelInfoGetAttributeInt64::get(api_)(info_, name, &value);
  if (status != nullptr) {
    OrtReleaseStatus::get(api_)(status);
    i2f::fail("inter2former::%s: the int attribute '%s' is missing", op_.name, name);
  }
  return value;
}

float KernelInfo::float_attribute(const char* name) const {
  float value = 0.0f;
  OrtStatus* status = OrtKernelInfoGetAttributeFloat::get(api_)(info_, name, &value);
  if (status != nullptr) {
    OrtReleaseStatus::get(api_)(status);
    i2f::fail("inter2former::%s: the float attribute '%s' is missing", op_.name, name);
  }
  return value;
}

bool KernelInfo::constant_input(size_t index, TensorView* out) const {
  int is_constant = 0;
  const OrtValue* value = nullptr;
  OrtStatus* status = OrtKernelInfoGetConstantInputTensor::get(api_)(info_, index, &is_constant, &value);
  check(api_, status, op_.name, "KernelInfoGetConstantInput_tensor");
  if (is_constant == 0 || value == nullptr) return false;
  *out = view_of(api_, value, op_.name, op_.inputs[index].name, op_.inputs[index].element);
  return true;
}

const void* Context::checked_input(size_t index, Element element, std::initializer_list<Dim*> dims) const {
  const char* port = op_.inputs[index].name;
  const OrtValue* value = nullptr;
  check(api_, OrtKernelContextGetInput::get(api_)(context_, index, &value), op_.name, "KernelContext_GetInput");
  if (value == nullptr) fail("input '%s' is missing", port);
  const TensorView view = view_of(api_, value, op_.name, port, element);
  bool fits = static_cast<size_t>(view.rank) == dims.size();
  int axis = 0;
  for (const Dim* dim : dims) {
    if (fits && dim->value >= 0 && view.dims[axis] != dim->value) fits = false;
    ++axis;
  }
  if (!fits) {
    Text found;
    for (int i = 0; i < view.rank; ++i) {
      found.add("%s%lld", i == 0 ? "" : ", ", static_cast<long long>(view.dims[i]));
    }
    Text expected;
    const char* separator = "";  // by place, not by Dim: one may occur several times
    for (const Dim* dim : dims) {
      expected.add("%s%s", separator, dim->name);
      if (dim->value >= 0) expected.add("=%lld", static_cast<long long>(dim->value));
      separator = ", ";
    }
    fail("input '%s' has shape [%s], expected [%s]", port, found.get(), expected.get());
  }
  axis = 0;
  for (Dim* dim : dims) {
    // A name used twice in one shape: the second meeting compares.
    if (dim->value >= 0 && dim->value != view.dims[axis]) {
      fail("input '%s' has %lld and %lld where both must be %s", port, static_cast<long long>(dim->value),
           static_cast<long long>(view.dims[axis]), dim->name);
    }
    dim->value = view.dims[axis++];
  }
  return view.data;
}

const float* Context::f32(size_t index, std::initializer_list<Dim*> dims) const {
  return static_cast<const float*>(checked_input(index, Element::kFloat, dims));
}

const uint8_t* Context::u8(size_t index, std::initializer_list<Dim*> dims) const {
  return static_cast<const uint8_t*>(checked_input(index, Element::kUint8, dims));
}

const int8_t* Context::i8(size_t index, std::initializer_list<Dim*> dims) const {
  return static_cast<const int8_t*>(checked_input(index, Element::kInt8, dims));
}

const int64_t* Context::i64(size_t index, std::initializer_list<Dim*> dims) const {
  return static_cast<const int64_t*>(checked_input(index, Element::kInt64, dims));
}

void* Context::output(size_t index, std::initializer_list<int64_t> dims) const {
  OrtValue* value = nullptr;
  check(api_, OrtKernelContextGetOutput::get(api_)(context_, index, dims.begin(), dims.size(), &value), op_.name,
        "KernelContext_GetOutput");
  if (value == nullptr) fail("output '%s' is missing", op_.outputs[index].name);
  void* data = nullptr;
  check(api_, OrtGetTensorMutableData::get(api_)(value, &data), op_.name, "GetTensorMutableData");
  return data;
}

float* Context::f32_output(size_t index, std::initializer_list<int64_t> dims) const {
  return static_cast<float*>(output(index, dims));
}

int64_t* Context::i64_output(size_t index, std::initializer_list<int64_t> dims) const {
  return static_cast<int64_t*>(output(index, dims));
}

void Context::check_indices(size_t index, const int64_t* values, int64_t count, int64_t limit) const {
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] < 0 || values[i] >= limit) {
      fail("input '%s' holds %lld at position %lld, expected 0 <= index < %lld", op_.inputs[index].name,
           static_cast<long long>(values[i]), static_cast<long long>(i), static_cast<long long>(limit));
    }
  }
}

void Context::check_ascending(size_t index, const int64_t* values, int64_t count, int64_t limit) const {
  check_indices(index, values, count, limit);
  for (int64_t i = 1; i < count; ++i) {
    if (values[i] <= values[i - 1]) {
      fail("input '%s' holds %lld after %lld at position %lld, expected ascending indices", op_.inputs[index].name,
           static_cast<long long>(values[i]), static_cast<long long>(values[i - 1]), static_cast<long long>(i));
    }
  }
}

void Context::check_partition(size_t index_a, const int64_t* a, int64_t count_a, size_t index_b, const int64_t* b,
                              int64_t count_b) const {
  const int64_t rows = count_a + count_b;
  check_indices(index_a, a, count_a, rows);
  check_indices(index_b, b, count_b, rows);
  // As many indices as rows, each in range: all rows are named once if none is named twice.
  std::vector<unsigned char> seen;
  try {
    seen.resize(static_cast<size_t>(rows), 0);
  } catch (const std::exception&) {
    fail("out of memory");
  }
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t row = i < count_a ? a[i] : b[i - count_a];
    if (seen[static_cast<size_t>(row)] != 0) {
      fail("row %lld is named twice in '%s' and '%s', which must name each of the %lld rows once",
           static_cast<long long>(row), op_.inputs[index_a].name, op_.inputs[index_b].name,
           static_cast<long long>(rows));
    }
    seen[static_cast<size_t>(row)] = 1;
  }
}

void Context::run_parallel(int64_t count, void (*task)(const void*, int64_t), const void* user) const {
  if (count <= 0) return;
  ParallelRun run;
  run.task = task;
  run.user = user;
  if (count == 1) {
    run.run(0);
  } else {
    // As many batches as tasks: threads take the next task when they are free, so an uneven load evens out.
    const size_t total = static_cast<size_t>(count);
    OrtStatus* status = OrtKernelContextParallelFor::get(api_)(
        context_, [](void* state, size_t i) { static_cast<ParallelRun*>(state)->run(i); }, total, total, &run);
    check(api_, status, op_.name, "KernelContext_ParallelFor");
  }
  if (run.failed.load()) throw Error(run.error);
}

void Context::fail(const char* format, ...) const {
  char message[448];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  i2f::fail("inter2former::%s: %s", op_.name, message);
}

}  // namespace i2f
