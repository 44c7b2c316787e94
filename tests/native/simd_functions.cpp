#include "simd_functions.hpp"

#include <cstring>

#define I2F_DECLARE(isa)                        \
  namespace i2f {                               \
  namespace isa {                               \
  const SimdFunctions& simd_functions_of_isa(); \
  }                                             \
  }
#if defined(I2F_BUILD_AVX2)
I2F_DECLARE(baseline)
I2F_DECLARE(avx2)
I2F_DECLARE(avx512)
#elif defined(I2F_BUILD_NEON)
I2F_DECLARE(neon)
#endif

const SimdFunctions* simd_functions(const char* instruction_set) {
#if defined(I2F_BUILD_AVX2)
  if (std::strcmp(instruction_set, "baseline") == 0) return &i2f::baseline::simd_functions_of_isa();
  if (std::strcmp(instruction_set, "avx2") == 0) return &i2f::avx2::simd_functions_of_isa();
  if (std::strcmp(instruction_set, "avx512") == 0) return &i2f::avx512::simd_functions_of_isa();
#elif defined(I2F_BUILD_NEON)
  if (std::strcmp(instruction_set, "neon") == 0) return &i2f::neon::simd_functions_of_isa();
#endif
  return nullptr;
}
