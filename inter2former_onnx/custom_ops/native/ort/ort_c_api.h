// The part of onnxruntime's C API that the custom ops use, declared here because the onnxruntime wheel ships no
// headers.
//
// The API is a table of function pointers that only ever grows at its end, so a function is found by its position. The
// positions and signatures below hold for every onnxruntime from API version 17 (release 1.17) on.
#ifndef I2F_ORT_C_API_H
#define I2F_ORT_C_API_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define I2F_ORT_CALL __stdcall
#define I2F_EXPORT __declspec(dllexport)
#else
#define I2F_ORT_CALL
#define I2F_EXPORT __attribute__((visibility("default")))
#endif

extern "C" {

// Opaque objects of onnxruntime.
struct OrtStatus;
struct OrtValue;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtCustomOpDomain;
struct OrtSessionOptions;
struct OrtTensorTypeAndShapeInfo;
struct OrtShapeInferContext;

// The API version this library asks for: custom ops that return a status instead of throwing, and versioned ops.
enum { I2F_ORT_API_VERSION = 17 };

enum OrtErrorCode { ORT_OK = 0, ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2 };

enum ONNXTensorElementDataType {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED = 0,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 = 2,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 = 3,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 = 7
};

enum OrtCustomOpInputOutputCharacteristic { INPUT_OUTPUT_REQUIRED = 0, INPUT_OUTPUT_OPTIONAL = 1 };

enum OrtMemType { OrtMemTypeDefault = 0 };

// The table itself: `entry[i]` is cast to the signature of position i by `OrtEntry` below.
struct OrtApi {
  void (*entry[275])(void);
};

struct OrtApiBase {
  const OrtApi*(I2F_ORT_CALL* GetApi)(uint32_t version);
  const char*(I2F_ORT_CALL* GetVersionString)(void);
};

// What onnxruntime asks of one custom op. `version` says how many of the fields it may read: up to GetEndVersion
// for 17.
struct OrtCustomOp {
  uint32_t version;
  void*(I2F_ORT_CALL* CreateKernel)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*);
  const char*(I2F_ORT_CALL* GetName)(const OrtCustomOp*);
  const char*(I2F_ORT_CALL* GetExecutionProviderType)(const OrtCustomOp*);
  ONNXTensorElementDataType(I2F_ORT_CALL* GetInputType)(const OrtCustomOp*, size_t);
  size_t(I2F_ORT_CALL* GetInputTypeCount)(const OrtCustomOp*);
  ONNXTensorElementDataType(I2F_ORT_CALL* GetOutputType)(const OrtCustomOp*, size_t);
  size_t(I2F_ORT_CALL* GetOutputTypeCount)(const OrtCustomOp*);
  void(I2F_ORT_CALL* KernelCompute)(void*, OrtKernelContext*);
  void(I2F_ORT_CALL* KernelDestroy)(void*);
  OrtCustomOpInputOutputCharacteristic(I2F_ORT_CALL* GetInputCharacteristic)(const OrtCustomOp*, size_t);
  OrtCustomOpInputOutputCharacteristic(I2F_ORT_CALL* GetOutputCharacteristic)(const OrtCustomOp*, size_t);
  OrtMemType(I2F_ORT_CALL* GetInputMemoryType)(const OrtCustomOp*, size_t);
  int(I2F_ORT_CALL* GetVariadicInputMinArity)(const OrtCustomOp*);
  int(I2F_ORT_CALL* GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int(I2F_ORT_CALL* GetVariadicOutputMinArity)(const OrtCustomOp*);
  int(I2F_ORT_CALL* GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus*(I2F_ORT_CALL* CreateKernelV2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void**);
  OrtStatus*(I2F_ORT_CALL* KernelComputeV2)(void*, OrtKernelContext*);
  OrtStatus*(I2F_ORT_CALL* InferOutputShapeFn)(const OrtCustomOp*, OrtShapeInferContext*);
  int(I2F_ORT_CALL* GetStartVersion)(const OrtCustomOp*);
  int(I2F_ORT_CALL* GetEndVersion)(const OrtCustomOp*);
  // Fields of later versions; null, and not read by an onnxruntime that sees version 17.
  size_t(I2F_ORT_CALL* GetMayInplace)(int**, int**);
  void(I2F_ORT_CALL* ReleaseMayInplace)(int*, int*);
  size_t(I2F_ORT_CALL* GetAliasMap)(int**, int**);
  void(I2F_ORT_CALL* ReleaseAliasMap)(int*, int*);
};

}  // extern "C"

namespace i2f {

// One position of the table with its signature. `Ort<...>::get(api)` is the function.
template <int Position, class Function>
struct OrtEntry {
  static Function get(const OrtApi* api) { return reinterpret_cast<Function>(api->entry[Position]); }
};

using OrtCreateStatus = OrtEntry<0, OrtStatus*(I2F_ORT_CALL*)(OrtErrorCode, const char*)>;
using OrtGetErrorMessage = OrtEntry<2, const char*(I2F_ORT_CALL*)(const OrtStatus*)>;
using OrtCreateCustomOpDomain = OrtEntry<26, OrtStatus*(I2F_ORT_CALL*)(const char*, OrtCustomOpDomain**)>;
using OrtCustomOpDomainAdd = OrtEntry<27, OrtStatus*(I2F_ORT_CALL*)(OrtCustomOpDomain*, const OrtCustomOp*)>;
using OrtAddCustomOpDomain = OrtEntry<28, OrtStatus*(I2F_ORT_CALL*)(OrtSessionOptions*, OrtCustomOpDomain*)>;
using OrtGetTensorMutableData = OrtEntry<51, OrtStatus*(I2F_ORT_CALL*)(OrtValue*, void**)>;
using OrtGetTensorElementType =
    OrtEntry<60, OrtStatus*(I2F_ORT_CALL*)(const OrtTensorTypeAndShapeInfo*, ONNXTensorElementDataType*)>;
using OrtGetDimensionsCount = OrtEntry<61, OrtStatus*(I2F_ORT_CALL*)(const OrtTensorTypeAndShapeInfo*, size_t*)>;
using OrtGetDimensions = OrtEntry<62, OrtStatus*(I2F_ORT_CALL*)(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t)>;
using OrtGetTensorTypeAndShape = OrtEntry<65, OrtStatus*(I2F_ORT_CALL*)(const OrtValue*, OrtTensorTypeAndShapeInfo**)>;
using OrtKernelInfoGetAttributeFloat =
    OrtEntry<85, OrtStatus*(I2F_ORT_CALL*)(const OrtKernelInfo*, const char*, float*)>;
using OrtKernelInfoGetAttributeInt64 =
    OrtEntry<86, OrtStatus*(I2F_ORT_CALL*)(const OrtKernelInfo*, const char*, int64_t*)>;
using OrtKernelContextGetInputCount = OrtEntry<88, OrtStatus*(I2F_ORT_CALL*)(const OrtKernelContext*, size_t*)>;
using OrtKernelContextGetInput =
    OrtEntry<90, OrtStatus*(I2F_ORT_CALL*)(const OrtKernelContext*, size_t, const OrtValue**)>;
using OrtKernelContextGetOutput =
    OrtEntry<91, OrtStatus*(I2F_ORT_CALL*)(OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**)>;
using OrtReleaseStatus = OrtEntry<93, void(I2F_ORT_CALL*)(OrtStatus*)>;
using OrtReleaseTensorTypeAndShapeInfo = OrtEntry<99, void(I2F_ORT_CALL*)(OrtTensorTypeAndShapeInfo*)>;
using OrtKernelInfoGetConstantInputTensor =
    OrtEntry<249, OrtStatus*(I2F_ORT_CALL*)(const OrtKernelInfo*, size_t, int*, const OrtValue**)>;
using OrtKernelContextParallelFor =
    OrtEntry<274, OrtStatus*(I2F_ORT_CALL*)(const OrtKernelContext*, void (*)(void*, size_t), size_t, size_t, void*)>;

}  // namespace i2f

#endif
