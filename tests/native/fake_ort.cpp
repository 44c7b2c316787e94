#include "fake_ort.hpp"

#include <atomic>
#include <thread>

namespace fake_ort {
namespace {

int64_t element_count(const std::vector<int64_t>& dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  return count;
}

OrtStatus* I2F_ORT_CALL create_status(OrtErrorCode, const char* message) { return new OrtStatus{message}; }
void I2F_ORT_CALL release_status(OrtStatus* status) { delete status; }
const char* I2F_ORT_CALL status_message(const OrtStatus* status) { return status->message.c_str(); }

OrtStatus* I2F_ORT_CALL create_domain(const char* name, OrtCustomOpDomain** out) {
  // Owned by the library for as long as it is loaded, as with onnxruntime.
  *out = new OrtCustomOpDomain{name, {}};
  return nullptr;
}

OrtStatus* I2F_ORT_CALL add_op(OrtCustomOpDomain* domain, const OrtCustomOp* op) {
  domain->ops.push_back(op);
  return nullptr;
}

OrtStatus* I2F_ORT_CALL add_domain(OrtSessionOptions* options, OrtCustomOpDomain* domain) {
  options->domains.push_back(domain);
  return nullptr;
}

OrtStatus* I2F_ORT_CALL tensor_data(OrtValue* value, void** out) {
  if (value->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) *out = value->floats.data();
  if (value->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) *out = value->ints.data();
  if (value->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 || value->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8) *out = value->bytes.data();
  return nullptr;
}

OrtStatus* I2F_ORT_CALL type_and_shape(const OrtValue* value, OrtTensorTypeAndShapeInfo** out) {
  *out = new OrtTensorTypeAndShapeInfo{value->type, value->dims};
  return nullptr;
}

void I2F_ORT_CALL release_type_and_shape(OrtTensorTypeAndShapeInfo* info) { delete info; }

OrtStatus* I2F_ORT_CALL element_type(const OrtTensorTypeAndShapeInfo* info, ONNXTensorElementDataType* out) {
  *out = info->type;
  return nullptr;
}

OrtStatus* I2F_ORT_CALL rank(const OrtTensorTypeAndShapeInfo* info, size_t* out) {
  *out = info->dims.size();
  return nullptr;
}

OrtStatus* I2F_ORT_CALL dimensions(const OrtTensorTypeAndShapeInfo* info, int64_t* out, size_t count) {
  if (count < info->dims.size()) return new OrtStatus{"GetDimensions: too little room"};
  for (size_t i = 0; i < info->dims.size(); ++i) out[i] = info->dims[i];
  return nullptr;
}

OrtStatus* I2F_ORT_CALL float_attribute(const OrtKernelInfo* info, const char* name, float* out) {
  const auto found = info->floats.find(name);
  if (found == info->floats.end()) return new OrtStatus{std::string("no float attribute ") + name};
  *out = found->second;
  return nullptr;
}

OrtStatus* I2F_ORT_CALL int_attribute(const OrtKernelInfo* info, const char* name, int64_t* out) {
  const auto found = info->ints.find(name);
  if (found == info->ints.end()) return new OrtStatus{std::string("no int attribute ") + name};
  *out = found->second;
  return nullptr;
}

OrtStatus* I2F_ORT_CALL constant_input(const OrtKernelInfo* info, size_t index, int* is_constant,
                                       const OrtValue** out) {
  *out = info->constants.at(index);
  *is_constant = *out != nullptr ? 1 : 0;
  return nullptr;
}

OrtStatus* I2F_ORT_CALL input_count(const OrtKernelContext* context, size_t* out) {
  *out = context->inputs.size();
  return nullptr;
}

OrtStatus* I2F_ORT_CALL input(const OrtKernelContext* context, size_t index, const OrtValue** out) {
  *out = context->inputs.at(index);
  return nullptr;
}

OrtStatus* I2F_ORT_CALL output(OrtKernelContext* context, size_t index, const int64_t* dims, size_t count,
                               OrtValue** out) {
  OrtValue& value = context->outputs.at(index);
  value.type = context->output_types.at(index);
  value.dims.assign(dims, dims + count);
  const size_t elements = static_cast<size_t>(element_count(value.dims));
  // Garbage, so that an element that a kernel forgets is noticed.
  if (value.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) value.floats.assign(elements, -12345.678f);
  if (value.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) value.ints.assign(elements, -12345);
  if (value.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8) value.bytes.assign(elements, 0xcd);
  *out = &value;
  return nullptr;
}

// One thread takes the tasks backwards (an order no kernel may rely on); several take the next free one.
OrtStatus* I2F_ORT_CALL parallel_for(const OrtKernelContext* context, void (*task)(void*, size_t), size_t total, size_t,
                                     void* user) {
  if (context->threads <= 1) {
    for (size_t i = total; i-- > 0;) task(user, i);
    return nullptr;
  }
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < context->threads; ++t) {
    threads.emplace_back([&] {
      for (size_t i = next++; i < total; i = next++) task(user, i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return nullptr;
}

template <class Function>
void put(OrtApi& table, int position, Function function) {
  table.entry[position] = reinterpret_cast<void (*)(void)>(function);
}

OrtApi make_table() {
  OrtApi table = {};
  put(table, 0, create_status);
  put(table, 2, status_message);
  put(table, 26, create_domain);
  put(table, 27, add_op);
  put(table, 28, add_domain);
  put(table, 51, tensor_data);
  put(table, 60, element_type);
  put(table, 61, rank);
  put(table, 62, dimensions);
  put(table, 65, type_and_shape);
  put(table, 85, float_attribute);
  put(table, 86, int_attribute);
  put(table, 88, input_count);
  put(table, 90, input);
  put(table, 91, output);
  put(table, 93, release_status);
  put(table, 99, release_type_and_shape);
  put(table, 249, constant_input);
  put(table, 274, parallel_for);
  return table;
}

const char* I2F_ORT_CALL version_string() { return "0.0.fake"; }

}  // namespace

const OrtApi* api() {
  static const OrtApi table = make_table();
  return &table;
}

const OrtApiBase* api_base() {
  static const OrtApiBase base = {[](uint32_t) { return api(); }, version_string};
  return &base;
}

const OrtApiBase* old_api_base() {
  static const OrtApiBase base = {[](uint32_t version) { return version <= 16 ? api() : nullptr; }, version_string};
  return &base;
}

const OrtApiBase* empty_api_base() {
  static const OrtApiBase base = {[](uint32_t) -> const OrtApi* { return nullptr; }, nullptr};
  return &base;
}

}  // namespace fake_ort
