// AVX2 with FMA: 8 floats a vector, 16 registers.
#pragma once

#include <immintrin.h>

namespace i2f {
namespace I2F_ISA {

constexpr int kLanes = 8;
// Rows x vectors of the GEMM micro-kernel: 12 accumulators, two vectors of B, one broadcast of A.
constexpr int kGemmRows = 6;
constexpr int kGemmVectors = 2;

struct Vec {
  __m256 v;
};
struct Mask {
  __m256 m;
};

I2F_INLINE Mask first_lanes(int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i count = _mm256_set1_epi32(static_cast<int>(n < 8 ? n : 8));
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(count, lane))};
}
I2F_INLINE Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
I2F_INLINE Vec load_n(const float* p, int64_t n) {
  return {_mm256_maskload_ps(p, _mm256_castps_si256(first_lanes(n).m))};
}
I2F_INLINE void store(float* p, Vec a) { _mm256_storeu_ps(p, a.v); }
I2F_INLINE void store_n(float* p, Vec a, int64_t n) {
  _mm256_maskstore_ps(p, _mm256_castps_si256(first_lanes(n).m), a.v);
}
// Asks for a cache line; the address may lie outside of any buffer.
I2F_INLINE void prefetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }
I2F_INLINE Vec set(float a) { return {_mm256_set1_ps(a)}; }
I2F_INLINE Vec zero() { return {_mm256_setzero_ps()}; }

I2F_INLINE Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
I2F_INLINE Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
I2F_INLINE Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
I2F_INLINE Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
I2F_INLINE Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
I2F_INLINE Vec fnma(Vec a, Vec b, Vec c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
// A NaN in the second argument comes through.
I2F_INLINE Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
I2F_INLINE Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
I2F_INLINE Vec sqrt(Vec a) { return {_mm256_sqrt_ps(a.v)}; }

I2F_INLINE Mask less(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
I2F_INLINE Mask greater_equal(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)}; }
I2F_INLINE Vec select(Mask m, Vec a, Vec b) { return {_mm256_blendv_ps(b.v, a.v, m.m)}; }
I2F_INLINE bool any(Mask m) { return _mm256_movemask_ps(m.m) != 0; }
// Lane i as bit i.
I2F_INLINE unsigned lane_bits(Mask m) { return static_cast<unsigned>(_mm256_movemask_ps(m.m)); }

I2F_INLINE float sum(Vec a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
I2F_INLINE float max_lane(Vec a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

// Swaps the lanes of each pair (0 1, 2 3, ...).
I2F_INLINE Vec swap_pairs(Vec a) { return {_mm256_permute_ps(a.v, 0xb1)}; }

// The nearest whole number to `a` (|a| < 2^22), and p * 2^n for whole n; scale_power_of_two covers n in [-126, 128] and
// results up to the largest float.
I2F_INLINE Vec round_nearest(Vec a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
I2F_INLINE Vec scale_power_of_two(Vec p, Vec n) {
  // Adding to the exponent field; a NaN (its sum would be no NaN for some bit patterns) is put back.
  const __m256i shift = _mm256_slli_epi32(_mm256_cvtps_epi32(n.v), 23);
  const __m256 scaled = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p.v), shift));
  return {_mm256_or_ps(scaled, _mm256_cmp_ps(p.v, p.v, _CMP_UNORD_Q))};
}

// Whole numbers: a vector of kLanes 32-bit sums, and products of neighbouring 16-bit pairs added to them.
struct Ints {
  __m256i v;
};
I2F_INLINE Ints zero_ints() { return {_mm256_setzero_si256()}; }
I2F_INLINE Ints load_pairs(const int16_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
I2F_INLINE Ints broadcast_pair(const int16_t* p) {
  int pair;
  memcpy(&pair, p, sizeof(pair));
  return {_mm256_set1_epi32(pair)};
}
I2F_INLINE Ints add_products(Ints sum, Ints a, Ints b) {
  return {_mm256_add_epi32(sum.v, _mm256_madd_epi16(a.v, b.v))};
}
I2F_INLINE void store_ints(int32_t* p, Ints a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v); }
I2F_INLINE Vec load_int32(const int32_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
// Stores whole numbers 0 .. 255.
I2F_INLINE void store_int16(int16_t* p, Vec a) {
  const __m256i whole = _mm256_cvtps_epi32(a.v);
  const __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
}
I2F_INLINE void store_uint8(unsigned char* p, Vec a) {
  const __m256i whole = _mm256_cvtps_epi32(a.v);
  const __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(packed, packed));
}

// Rearranging lanes, for data whose channels are too few to fill a vector: a vector as blocks of four floats.
// Block i from p + i * stride.
I2F_INLINE Vec load_blocks(const float* p, int64_t stride) {
  return {_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + stride), 1)};
}
// Block i to p + i * stride.
I2F_INLINE void store_blocks(float* p, int64_t stride, Vec a) {
  _mm_storeu_ps(p, _mm256_castps256_ps128(a.v));
  _mm_storeu_ps(p + stride, _mm256_extractf128_ps(a.v, 1));
}
// Transposes block i of a, b, c, d as the rows of a 4 x 4 matrix, for every i.
I2F_INLINE void transpose_blocks(Vec& a, Vec& b, Vec& c, Vec& d) {
  const __m256d ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(a.v, b.v));
  const __m256d ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(a.v, b.v));
  const __m256d cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(c.v, d.v));
  const __m256d cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(c.v, d.v));
  a.v = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low));
  b.v = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low));
  c.v = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high));
  d.v = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high));
}
// a0 b0 a1 b1 ...: the first half goes to p, the second behind it.
I2F_INLINE void store_interleaved(float* p, Vec a, Vec b) {
  const __m256 low = _mm256_unpacklo_ps(a.v, b.v);
  const __m256 high = _mm256_unpackhi_ps(a.v, b.v);
  _mm256_storeu_ps(p, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(p + 8, _mm256_permute2f128_ps(low, high, 0x31));
}

}  // namespace I2F_ISA
}  // namespace i2f
