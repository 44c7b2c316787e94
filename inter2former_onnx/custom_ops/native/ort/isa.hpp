// Which instruction sets this library holds kernels for, and which of them this machine can run.
#pragma once

#include "native/ort/op.hpp"

namespace i2f {

struct OpTable {
  const OpDefinition* const* ops;
  size_t count;
};

struct InstructionSet {
  const char* name;
  bool (*supported)();
  OpTable (*ops)();
};

// The instruction set to use: the one that INTER2FORMER_ISA names, otherwise the best this machine has. Throws Error if
// the variable names one that is unknown, not built or not supported by this machine.
const InstructionSet& chosen_instruction_set();

}  // namespace i2f
