#include "native/ort/kernel.hpp"

namespace i2f {

Kernel::~Kernel() = default;

}  // namespace i2f
