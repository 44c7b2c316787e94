// An op of the domain, as the library lists it.
#pragma once

#include "native/ort/ports.hpp"

namespace i2f {

class Kernel;
class KernelInfo;

// Its name, its ports and how to make a kernel of it. Constant-initialised, one per op and instruction set.
struct OpDefinition {
  const char* name;
  Ports ports;
  Kernel* (*create)(const KernelInfo&);
};

}  // namespace i2f
