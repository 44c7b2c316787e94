// How this processor multiplies 8-bit integers.
#pragma once

namespace i2f {

enum class Int8Unit {
  kPairs,  // products of 16-bit pairs, which every instruction set has
  kVnni,   // AVX-512 VNNI: four products of bytes a lane
  kAmx,    // AMX: products of tiles
};

// The best unit that this machine has and the AVX-512 kernels can use. INTER2FORMER_INT8=pairs|vnni|amx asks for one;
// throws Error if it is unknown or missing here. The first call asks the operating system for AMX's registers.
Int8Unit best_int8_unit();

}  // namespace i2f
