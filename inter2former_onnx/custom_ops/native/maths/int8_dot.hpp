// Sums of products of 8-bit integers, blocks of a few rows by a panel of columns, in the ways that processors have.
#pragma once

#include <stdint.h>
#include <string.h>

#include "native/maths/int8_unit.hpp"
#include "native/simd/simd.hpp"

#if defined(I2F_ISA_AVX512) && !defined(_MSC_VER)
#define I2F_INT8_UNITS 1
#define I2F_TARGET(features) __attribute__((target(features)))
#else
#define I2F_INT8_UNITS 0
#endif

namespace i2f {
namespace I2F_ISA {

constexpr bool kInt8Units = I2F_INT8_UNITS != 0;
constexpr int64_t kInt8Panel = 32;  // columns
constexpr int64_t kInt8Depth = 64;  // k is completed to a multiple of it
constexpr int64_t kAmxRows = 32;
constexpr int64_t kDotRows = kLanes == 16 ? 12 : 6;
constexpr int64_t kMostBlockRows = kAmxRows > kDotRows ? kAmxRows : kDotRows;

// Where the weight of a column and a k lies, packed in pairs: panels of [depth / 2][32][2].
I2F_INLINE int64_t pair_index(int64_t column, int64_t k, int64_t depth) {
  return column / kInt8Panel * kInt8Panel * depth + (k / 2 * kInt8Panel + column % kInt8Panel) * 2 + k % 2;
}

// The same in fours: panels of [depth / 64][2][16][16][4], each 16 x 16 x 4 a tile of AMX, its rows vectors of VNNI.
I2F_INLINE int64_t quad_index(int64_t column, int64_t k, int64_t depth) {
  const int64_t within = column % kInt8Panel;
  const int64_t tile = (k / 64) * 2 + within / 16;
  return column / kInt8Panel * kInt8Panel * depth + (tile * 16 + k % 64 / 4) * 64 + within % 16 * 4 + k % 4;
}

// block[kDotRows][32] = kDotRows rows of a times a panel.
I2F_NOINLINE inline void dot_pairs_block(const int16_t* a, int64_t stride, const int16_t* panel, int64_t depth,
                                         int32_t* block) {
  constexpr int kVectors = static_cast<int>(kInt8Panel / kLanes);
  constexpr int kTogether = kVectors < 2 ? kVectors : 2;  // vectors whose sums fit the registers
  for (int first = 0; first < kVectors; first += kTogether) {
    Ints sums[kDotRows][kTogether];
    I2F_UNROLL
    for (int r = 0; r < kDotRows; ++r) {
      I2F_UNROLL
      for (int v = 0; v < kTogether; ++v) sums[r][v] = zero_ints();
    }
    const int16_t* from = panel + first * kLanes * 2;
    for (int64_t i = 0; i < depth; i += 2) {
      Ints b[kTogether];
      I2F_UNROLL
      for (int v = 0; v < kTogether; ++v) b[v] = load_pairs(from + v * kLanes * 2);
      I2F_UNROLL
      for (int r = 0; r < kDotRows; ++r) {
        const Ints x = broadcast_pair(a + r * stride + i);
        I2F_UNROLL
        for (int v = 0; v < kTogether; ++v) sums[r][v] = add_products(sums[r][v], x, b[v]);
      }
      from += kInt8Panel * 2;
    }
    I2F_UNROLL
    for (int r = 0; r < kDotRows; ++r) {
      I2F_UNROLL
      for (int v = 0; v < kTogether; ++v) store_ints(block + r * kInt8Panel + (first + v) * kLanes, sums[r][v]);
    }
  }
}

#if I2F_INT8_UNITS

I2F_TARGET("avx512vnni")
I2F_NOINLINE inline void dot_vnni_block(const unsigned char* a, int64_t stride, const int8_t* panel, int64_t depth,
                                        int32_t* block) {
  __m512i sums[kDotRows][2];
  I2F_UNROLL
  for (int r = 0; r < kDotRows; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_si512();
  for (int64_t i = 0; i < depth; i += 64) {
    for (int q = 0; q < 16; ++q) {
      const __m512i b0 = _mm512_loadu_si512(panel + q * 64);
      const __m512i b1 = _mm512_loadu_si512(panel + (16 + q) * 64);
      I2F_UNROLL
      for (int r = 0; r < kDotRows; ++r) {
        int32_t four;
        memcpy(&four, a + r * stride + i + q * 4, 4);
        const __m512i x = _mm512_set1_epi32(four);
        sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], x, b0);
        sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], x, b1);
      }
    }
    panel += 2 * 16 * 64;
  }
  I2F_UNROLL
  for (int r = 0; r < kDotRows; ++r) {
    _mm512_storeu_si512(block + r * kInt8Panel, sums[r][0]);
    _mm512_storeu_si512(block + r * kInt8Panel + 16, sums[r][1]);
  }
}

I2F_TARGET("amx-tile,amx-int8")
I2F_NOINLINE inline void dot_amx_block(const unsigned char* a, int64_t stride, const int8_t* panel, int64_t depth,
                                       int32_t* block) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t i = 0; i < depth; i += 64) {
    _tile_loadd(4, a + i, stride);
    _tile_loadd(6, panel, 64);
    _tile_loadd(7, panel + 1024, 64);
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_loadd(5, a + 16 * stride + i, stride);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
    panel += 2048;
  }
  _tile_stored(0, block, kInt8Panel * 4);
  _tile_stored(1, block + 16, kInt8Panel * 4);
  _tile_stored(2, block + 16 * kInt8Panel, kInt8Panel * 4);
  _tile_stored(3, block + 16 * kInt8Panel + 16, kInt8Panel * 4);
}

// Palette 1: for each of eight tiles, the bytes of a row (from byte 16 on, two each) and the rows (from byte 48 on).
// Not a local variable: compilers do not see that the instruction reads all of it.
alignas(64) constexpr unsigned char kAmxTiles[64] = {
    1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0,  64, 0,  64, 0,  64, 0,  64, 0, 64, 0, 64, 0, 64, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 16, 16, 16, 16, 16, 16, 16, 0,  0, 0,  0, 0,  0, 0,  0};

I2F_TARGET("amx-tile") I2F_NOINLINE inline void configure_amx() { _tile_loadconfig(kAmxTiles); }

I2F_TARGET("amx-tile") I2F_NOINLINE inline void release_amx() { _tile_release(); }

#endif

// AMX's registers, configured for as long as this lives, on the thread that made it.
class AmxSession {
 public:
  explicit AmxSession(bool wanted) : wanted_(wanted) {
#if I2F_INT8_UNITS
    if (wanted_) configure_amx();
#endif
  }
  ~AmxSession() {
#if I2F_INT8_UNITS
    if (wanted_) release_amx();
#endif
  }
  AmxSession(const AmxSession&) = delete;
  AmxSession& operator=(const AmxSession&) = delete;

 private:
  bool wanted_;
};

// block[rows][32] = a block's rows of a times a panel, with VNNI or AMX.
I2F_INLINE void dot_quads_block(Int8Unit unit, const unsigned char* a, int64_t stride, const int8_t* panel,
                                int64_t depth, int32_t* block) {
#if I2F_INT8_UNITS
  if (unit == Int8Unit::kAmx) {
    dot_amx_block(a, stride, panel, depth, block);
  } else {
    dot_vnni_block(a, stride, panel, depth, block);
  }
#else
  (void)unit, (void)a, (void)stride, (void)panel, (void)depth, (void)block;  // never chosen
#endif
}

}  // namespace I2F_ISA
}  // namespace i2f
