#include "native/ort/context.hpp"

#include <stdarg.h>
#include <stdio.h>

#include <exception>
#include <vector>

#include "native/ort/errors.hpp"

namespace i2f {

void Context::inputs(const void** data, int64_t* sizes) const {
  for (size_t i = 0; i < op_.ports.input_count; ++i) {
    const Port& port = op_.ports.inputs[i];
    const OrtValue* value = nullptr;
    check(api_, OrtKernelContextGetInput::get(api_)(context_, i, &value), op_.name, "KernelContext_GetInput");
    if (value == nullptr) fail("input '%s' is missing", port.name);
    const TensorView tensor = view_of(api_, value, op_.name, port.name, port.element);
    fit_or_fail(op_.name, port, tensor, sizes);
    data[i] = tensor.data;
  }
}

void* Context::output(size_t index, const int64_t* sizes) const {
  const Port& port = op_.ports.outputs[index];
  int64_t dims[kMaxRank];
  for (int axis = 0; axis < port.rank; ++axis) {
    dims[axis] = port.dims[axis].value(sizes);
    if (dims[axis] == kUnknown) fail("output '%s' should be [%s], of which not all is known", port.name, port.text);
  }
  OrtValue* value = nullptr;
  OrtStatus* status =
      OrtKernelContextGetOutput::get(api_)(context_, index, dims, static_cast<size_t>(port.rank), &value);
  check(api_, status, op_.name, "KernelContext_GetOutput");
  if (value == nullptr) fail("output '%s' is missing", port.name);
  void* data = nullptr;
  check(api_, OrtGetTensorMutableData::get(api_)(value, &data), op_.name, "GetTensorMutableData");
  return data;
}

void Context::check_indices(size_t index, const int64_t* values, int64_t count, int64_t limit) const {
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] < 0 || values[i] >= limit) {
      fail("input '%s' holds %lld at position %lld, expected 0 <= index < %lld", input_name(index),
           static_cast<long long>(values[i]), static_cast<long long>(i), static_cast<long long>(limit));
    }
  }
}

void Context::check_ascending(size_t index, const int64_t* values, int64_t count, int64_t limit) const {
  check_indices(index, values, count, limit);
  for (int64_t i = 1; i < count; ++i) {
    if (values[i] <= values[i - 1]) {
      fail("input '%s' holds %lld after %lld at position %lld, expected ascending indices", input_name(index),
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
           static_cast<long long>(row), input_name(index_a), input_name(index_b),
           static_cast<long long>(rows));
    }
    seen[static_cast<size_t>(row)] = 1;
  }
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
