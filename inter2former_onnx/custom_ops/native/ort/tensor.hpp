// Tensors as onnxruntime holds them: the types of their elements, and views of them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "native/ort/ort_c_api.h"

namespace i2f {

constexpr int kMaxRank = 6;

// Named as in ports.def.
enum class Element { float32, uint8, int8, int64 };

// The same names for the types of C++.
namespace elements {
using float32 = float;
using uint8 = uint8_t;
using int8 = int8_t;
using int64 = int64_t;
}  // namespace elements

ONNXTensorElementDataType onnx_type(Element element);

// A dense tensor that somebody else owns. `data` may be null when there are no elements.
struct TensorView {
  const void* data = nullptr;
  Element element = Element::float32;
  int rank = 0;
  int64_t dims[kMaxRank] = {};
};

// Throws Error, with the names of the op and its port, if the elements are of another type or the rank is above
// kMaxRank.
TensorView view_of(const OrtApi* api, const OrtValue* value, const char* op, const char* port, Element element);

}  // namespace i2f
