#include "native/ort/kernel_info.hpp"

#include "native/ort/errors.hpp"

namespace i2f {

void KernelInfo::attribute(const char* name, int64_t* out) const {
  OrtStatus* status = OrtKernelInfoGetAttributeInt64::get(api_)(info_, name, out);
  if (status == nullptr) return;
  OrtReleaseStatus::get(api_)(status);
  fail("inter2former::%s: the int attribute '%s' is missing", op_.name, name);
}

void KernelInfo::attribute(const char* name, float* out) const {
  OrtStatus* status = OrtKernelInfoGetAttributeFloat::get(api_)(info_, name, out);
  if (status == nullptr) return;
  OrtReleaseStatus::get(api_)(status);
  fail("inter2former::%s: the float attribute '%s' is missing", op_.name, name);
}

bool KernelInfo::constant_input(size_t index, TensorView* out) const {
  int is_constant = 0;
  const OrtValue* value = nullptr;
  OrtStatus* status = OrtKernelInfoGetConstantInputTensor::get(api_)(info_, index, &is_constant, &value);
  check(api_, status, op_.name, "KernelInfoGetConstantInput_tensor");
  if (is_constant == 0 || value == nullptr) return false;
  const Port& port = op_.ports.inputs[index];
  *out = view_of(api_, value, op_.name, port.name, port.element);
  return true;
}

bool KernelInfo::constant_inputs(size_t first, size_t last, const void** data, int64_t* sizes) const {
  for (size_t i = first; i <= last; ++i) {
    TensorView tensor;
    if (!constant_input(i, &tensor) || !fit(op_.ports.inputs[i], tensor, sizes)) return false;
    data[i] = tensor.data;
  }
  return true;
}

}  // namespace i2f
