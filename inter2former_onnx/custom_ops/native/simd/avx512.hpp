// AVX-512 (F, BW, VL, DQ): 16 floats a vector, 32 registers.
#pragma once

#include <immintrin.h>

namespace i2f {
namespace I2F_ISA {

constexpr int kLanes = 16;
// Rows x vectors of the GEMM micro-kernel: 24 accumulators, two vectors of B, A broadcast from memory.
constexpr int kGemmRows = 12;
constexpr int kGemmVectors = 2;

struct Vec {
  __m512 v;
};
struct Mask {
  __mmask16 m;
};

I2F_INLINE Mask first_lanes(int64_t n) {
  return {static_cast<__mmask16>(n >= 16 ? 0xffffu : ((1u << static_cast<unsigned>(n)) - 1u))};
}
I2F_INLINE Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
I2F_INLINE Vec load_n(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(first_lanes(n).m, p)}; }
I2F_INLINE void store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
I2F_INLINE void store_n(float* p, Vec a, int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n).m, a.v); }
// Asks for a cache line; the address may lie outside of any buffer.
I2F_INLINE void prefetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }
I2F_INLINE Vec set(float a) { return {_mm512_set1_ps(a)}; }
I2F_INLINE Vec zero() { return {_mm512_setzero_ps()}; }

I2F_INLINE Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
I2F_INLINE Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
I2F_INLINE Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
I2F_INLINE Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
I2F_INLINE Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
I2F_INLINE Vec fnma(Vec a, Vec b, Vec c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
// A NaN in the second argument comes through.
I2F_INLINE Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
I2F_INLINE Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
I2F_INLINE Vec sqrt(Vec a) { return {_mm512_sqrt_ps(a.v)}; }

I2F_INLINE Mask less(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
I2F_INLINE Mask greater_equal(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
I2F_INLINE Vec select(Mask m, Vec a, Vec b) { return {_mm512_mask_blend_ps(m.m, b.v, a.v)}; }
I2F_INLINE bool any(Mask m) { return m.m != 0; }
// Lane i as bit i.
I2F_INLINE unsigned lane_bits(Mask m) { return static_cast<unsigned>(m.m); }

I2F_INLINE float sum(Vec a) { return _mm512_reduce_add_ps(a.v); }
I2F_INLINE float max_lane(Vec a) { return _mm512_reduce_max_ps(a.v); }

// Swaps the lanes of each pair (0 1, 2 3, ...).
I2F_INLINE Vec swap_pairs(Vec a) { return {_mm512_permute_ps(a.v, 0xb1)}; }

// The nearest whole number to `a` (|a| < 2^22), and p * 2^n for whole n; scale_power_of_two covers n in [-126, 128] and
// results up to the largest float.
I2F_INLINE Vec round_nearest(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
I2F_INLINE Vec scale_power_of_two(Vec p, Vec n) { return {_mm512_scalef_ps(p.v, n.v)}; }

// Whole numbers: a vector of kLanes 32-bit sums, and products of neighbouring 16-bit pairs added to them.
struct Ints {
  __m512i v;
};
I2F_INLINE Ints zero_ints() { return {_mm512_setzero_si512()}; }
I2F_INLINE Ints load_pairs(const int16_t* p) { return {_mm512_loadu_si512(p)}; }
I2F_INLINE Ints broadcast_pair(const int16_t* p) {
  int pair;
  memcpy(&pair, p, sizeof(pair));
  return {_mm512_set1_epi32(pair)};
}
I2F_INLINE Ints add_products(Ints sum, Ints a, Ints b) {
  return {_mm512_add_epi32(sum.v, _mm512_madd_epi16(a.v, b.v))};
}
I2F_INLINE void store_ints(int32_t* p, Ints a) { _mm512_storeu_si512(p, a.v); }
I2F_INLINE Vec load_int32(const int32_t* p) { return {_mm512_cvtepi32_ps(_mm512_loadu_si512(p))}; }
// Stores whole numbers 0 .. 255.
I2F_INLINE void store_int16(int16_t* p, Vec a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(a.v)));
}
I2F_INLINE void store_uint8(unsigned char* p, Vec a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v)));
}

// Rearranging lanes, for data whose channels are too few to fill a vector: a vector as blocks of four floats.
// Block i from p + i * stride.
I2F_INLINE Vec load_blocks(const float* p, int64_t stride) {
  __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
  v = _mm512_insertf32x4(v, _mm_loadu_ps(p + stride), 1);
  v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 2 * stride), 2);
  return {_mm512_insertf32x4(v, _mm_loadu_ps(p + 3 * stride), 3)};
}
// Block i to p + i * stride.
I2F_INLINE void store_blocks(float* p, int64_t stride, Vec a) {
  _mm_storeu_ps(p, _mm512_castps512_ps128(a.v));
  _mm_storeu_ps(p + stride, _mm512_extractf32x4_ps(a.v, 1));
  _mm_storeu_ps(p + 2 * stride, _mm512_extractf32x4_ps(a.v, 2));
  _mm_storeu_ps(p + 3 * stride, _mm512_extractf32x4_ps(a.v, 3));
}
// Transposes block i of a, b, c, d as the rows of a 4 x 4 matrix, for every i.
I2F_INLINE void transpose_blocks(Vec& a, Vec& b, Vec& c, Vec& d) {
  const __m512d ab_low = _mm512_castps_pd(_mm512_unpacklo_ps(a.v, b.v));
  const __m512d ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a.v, b.v));
  const __m512d cd_low = _mm512_castps_pd(_mm512_unpacklo_ps(c.v, d.v));
  const __m512d cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c.v, d.v));
  a.v = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_low, cd_low));
  b.v = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_low, cd_low));
  c.v = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high));
  d.v = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high));
}
// a0 b0 a1 b1 ...: the first half goes to p, the second behind it.
I2F_INLINE void store_interleaved(float* p, Vec a, Vec b) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  _mm512_storeu_ps(p, _mm512_permutex2var_ps(a.v, low, b.v));
  _mm512_storeu_ps(p + 16, _mm512_permutex2var_ps(a.v, high, b.v));
}

}  // namespace I2F_ISA
}  // namespace i2f
