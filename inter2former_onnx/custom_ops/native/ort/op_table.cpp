// The ops of one instruction set. Compiled once per instruction set; op_list.hpp is written by CMake.
#include "native/ort/isa.hpp"
#include "op_list.hpp"

namespace i2f {
namespace I2F_ISA {

#define I2F_DECLARE(folder) extern const OpDefinition folder##_op;
I2F_FOR_EACH_OP(I2F_DECLARE)
#undef I2F_DECLARE

OpTable op_table();

OpTable op_table() {
#define I2F_ADDRESS(folder) &folder##_op,
  static const OpDefinition* const ops[] = {I2F_FOR_EACH_OP(I2F_ADDRESS)};
#undef I2F_ADDRESS
  return {ops, sizeof(ops) / sizeof(ops[0])};
}

}  // namespace I2F_ISA
}  // namespace i2f
