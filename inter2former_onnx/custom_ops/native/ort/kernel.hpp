// What a kernel.cpp builds on: the base class of kernels, and all that it sees of onnxruntime. Compiled once (baseline
// instructions); the kernels include it in every copy.
#pragma once

#include "native/ort/context.hpp"
#include "native/ort/errors.hpp"
#include "native/ort/kernel_info.hpp"

namespace i2f {

// A kernel of one node. `compute` runs in several threads at once for concurrent runs of a session, so it is const;
// what it needs to write to comes from Scratch.
class Kernel {
 public:
  virtual ~Kernel();
  virtual void compute(const Context& context) const = 0;
};

}  // namespace i2f
