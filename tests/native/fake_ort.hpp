// A stand-in for onnxruntime: just the functions of its C API that the custom ops use, over plain C++ objects, so that
// kernels run under sanitizers with buffers of exactly the right size.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "native/ort/ort_c_api.h"

// What the opaque types of the C API are here.
struct OrtStatus {
  std::string message;
};

struct OrtTensorTypeAndShapeInfo {
  ONNXTensorElementDataType type;
  std::vector<int64_t> dims;
};

// A tensor; the vector that belongs to `type` is in use.
struct OrtValue {
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::vector<int64_t> dims;
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<uint8_t> bytes;
};

struct OrtKernelInfo {
  std::map<std::string, float> floats;
  std::map<std::string, int64_t> ints;
  std::vector<const OrtValue*> constants;  // per input; null: not a constant
};

struct OrtKernelContext {
  std::vector<const OrtValue*> inputs;
  std::vector<ONNXTensorElementDataType> output_types;
  std::vector<OrtValue> outputs;
  int threads = 1;
};

struct OrtCustomOpDomain {
  std::string name;
  std::vector<const OrtCustomOp*> ops;
};

struct OrtSessionOptions {
  std::vector<OrtCustomOpDomain*> domains;
};

namespace fake_ort {

// The API base as onnxruntime hands it to RegisterCustomOps. `oldest` and `newest` are the API versions it knows.
const OrtApiBase* api_base();
// One that, like onnxruntime 1.16, knows no version 17.
const OrtApiBase* old_api_base();
// One that knows no version at all.
const OrtApiBase* empty_api_base();
const OrtApi* api();

}  // namespace fake_ort

extern "C" OrtStatus* I2F_ORT_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base);
