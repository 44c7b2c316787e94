#include "native/ort/tensor.hpp"

#include "native/ort/errors.hpp"

namespace i2f {

namespace {

const char* type_name(Element element) {
  switch (element) {
    case Element::float32:
      return "float32";
    case Element::uint8:
      return "uint8";
    case Element::int8:
      return "int8";
    case Element::int64:
      return "int64";
  }
  return "?";
}

}  // namespace

ONNXTensorElementDataType onnx_type(Element element) {
  switch (element) {
    case Element::float32:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    case Element::uint8:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    case Element::int8:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8;
    case Element::int64:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

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

}  // namespace i2f
