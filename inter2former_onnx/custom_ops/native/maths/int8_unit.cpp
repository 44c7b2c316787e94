#include "native/maths/int8_unit.hpp"

#include <stdlib.h>
#include <string.h>

#include "native/ort/kernel.hpp"

#if defined(I2F_BUILD_AVX2) && !defined(_MSC_VER)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace i2f {

namespace {

#if defined(I2F_BUILD_AVX2) && !defined(_MSC_VER)

// Leaf 7 of cpuid: ecx and edx.
void features(unsigned* ecx, unsigned* edx) {
  unsigned eax = 0;
  unsigned ebx = 0;
  *ecx = *edx = 0;
  if (__get_cpuid_max(0, nullptr) >= 7) __cpuid_count(7, 0, eax, ebx, *ecx, *edx);
}

bool has_vnni() {
  unsigned ecx = 0;
  unsigned edx = 0;
  features(&ecx, &edx);
  return (ecx & (1u << 11)) != 0;
}

// AMX's registers are large: Linux hands them out to processes that ask.
bool has_amx() {
#if defined(__linux__)
  unsigned ecx = 0;
  unsigned edx = 0;
  features(&ecx, &edx);
  const unsigned tile_int8 = (1u << 24) | (1u << 25);
  if ((edx & tile_int8) != tile_int8) return false;
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

#else

bool has_vnni() { return false; }
bool has_amx() { return false; }

#endif

}  // namespace

Int8Unit best_int8_unit() {
  static const bool vnni = has_vnni();
  static const bool amx = vnni && has_amx();
  const char* wanted = getenv("INTER2FORMER_INT8");
  if (wanted == nullptr || wanted[0] == '\0') {
    return amx ? Int8Unit::kAmx : vnni ? Int8Unit::kVnni : Int8Unit::kPairs;
  }
  if (strcmp(wanted, "pairs") == 0) return Int8Unit::kPairs;
  const bool is_vnni = strcmp(wanted, "vnni") == 0;
  if (!is_vnni && strcmp(wanted, "amx") != 0) fail("INTER2FORMER_INT8=%.40s: expected pairs, vnni or amx", wanted);
  if (!(is_vnni ? vnni : amx)) fail("INTER2FORMER_INT8=%s: this machine lacks it", wanted);
  return is_vnni ? Int8Unit::kVnni : Int8Unit::kAmx;
}

}  // namespace i2f
