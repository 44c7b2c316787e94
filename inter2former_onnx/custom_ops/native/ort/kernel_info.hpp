// What a kernel is told when it is made: its node's attributes, and inputs that are constants of the graph.
#pragma once

#include "native/ort/op.hpp"
#include "native/ort/tensor.hpp"

namespace i2f {

// A node as onnxruntime describes it while it builds a session.
class KernelInfo {
 public:
  KernelInfo(const OrtApi* api, const OrtKernelInfo* info, const OpDefinition& op) : api_(api), info_(info), op_(op) {}

  const OpDefinition& op() const { return op_; }
  // Reads an attribute, which must be there.
  void attribute(const char* name, int64_t* out) const;
  void attribute(const char* name, float* out) const;
  // Fills `out` and returns true if the input is a constant of the graph (an initializer).
  bool constant_input(size_t index, TensorView* out) const;
  // Finds the data of the inputs first .. last, and the sizes that they tell. False if one of them is no constant or
  // they do not fit together: that is reported when the kernel runs.
  bool constant_inputs(size_t first, size_t last, const void** data, int64_t* sizes) const;

 private:
  const OrtApi* api_;
  const OrtKernelInfo* info_;
  const OpDefinition& op_;
};

}  // namespace i2f
