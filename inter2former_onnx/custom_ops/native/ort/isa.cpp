#include "native/ort/isa.hpp"

#include "native/ort/errors.hpp"

#include <stdlib.h>
#include <string.h>

#if defined(I2F_BUILD_AVX2)
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace i2f {

// Each defined by op_table.cpp, compiled once per instruction set.
#if defined(I2F_BUILD_AVX2)
namespace baseline {
OpTable op_table();
}
namespace avx2 {
OpTable op_table();
}
namespace avx512 {
OpTable op_table();
}
#elif defined(I2F_BUILD_NEON)
namespace neon {
OpTable op_table();
}
#endif

namespace {

bool always() { return true; }

#if defined(I2F_BUILD_AVX2)

struct CpuFeatures {
  bool avx2 = false;
  bool avx512 = false;
};

void cpuid(unsigned leaf, unsigned subleaf, unsigned registers[4]) {
#if defined(_MSC_VER)
  int values[4];
  __cpuidex(values, static_cast<int>(leaf), static_cast<int>(subleaf));
  for (int i = 0; i < 4; ++i) registers[i] = static_cast<unsigned>(values[i]);
#else
  __cpuid_count(leaf, subleaf, registers[0], registers[1], registers[2], registers[3]);
#endif
}

// Which register states the operating system saves (the XCR0 register).
unsigned saved_states() {
#if defined(_MSC_VER)
  return static_cast<unsigned>(_xgetbv(0));
#else
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
#endif
}

CpuFeatures detect() {
  CpuFeatures found;
  unsigned r[4] = {};
  cpuid(0, 0, r);
  if (r[0] < 7) return found;
  cpuid(1, 0, r);
  const unsigned fma_osxsave_avx = (1u << 12) | (1u << 27) | (1u << 28);
  if ((r[2] & fma_osxsave_avx) != fma_osxsave_avx) return found;
  const unsigned states = saved_states();
  const unsigned xmm_ymm = 0x6;
  const unsigned xmm_ymm_zmm = 0xe6;
  cpuid(7, 0, r);
  const bool has_avx2 = (r[1] & (1u << 5)) != 0;
  const unsigned f_dq_bw_vl = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);
  found.avx2 = has_avx2 && (states & xmm_ymm) == xmm_ymm;
  found.avx512 = found.avx2 && (r[1] & f_dq_bw_vl) == f_dq_bw_vl && (states & xmm_ymm_zmm) == xmm_ymm_zmm;
  return found;
}

const CpuFeatures& cpu() {
  static const CpuFeatures features = detect();
  return features;
}

bool has_avx2() { return cpu().avx2; }
bool has_avx512() { return cpu().avx512; }

// From the plainest to the best.
const InstructionSet kInstructionSets[] = {{"baseline", always, baseline::op_table},
                                           {"avx2", has_avx2, avx2::op_table},
                                           {"avx512", has_avx512, avx512::op_table}};

#elif defined(I2F_BUILD_NEON)

const InstructionSet kInstructionSets[] = {{"neon", always, neon::op_table}};

#endif

}  // namespace

const InstructionSet& chosen_instruction_set() {
  const char* wanted = getenv("INTER2FORMER_ISA");
  if (wanted == nullptr || wanted[0] == '\0') {
    const InstructionSet* best = &kInstructionSets[0];
    for (const InstructionSet& set : kInstructionSets) {
      if (set.supported()) best = &set;
    }
    return *best;
  }
  char known[64] = "";
  for (const InstructionSet& set : kInstructionSets) {
    if (strcmp(set.name, wanted) == 0) {
      if (!set.supported()) fail("INTER2FORMER_ISA=%s: this processor or its operating system lacks it", wanted);
      return set;
    }
    if (known[0] != '\0') strncat(known, ", ", sizeof(known) - strlen(known) - 1);
    strncat(known, set.name, sizeof(known) - strlen(known) - 1);
  }
  fail("INTER2FORMER_ISA=%.40s: this library has kernels for %s", wanted, known);
}

}  // namespace i2f
