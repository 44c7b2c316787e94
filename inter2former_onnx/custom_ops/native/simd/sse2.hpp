// SSE2, which every x86-64 processor has: 4 floats a vector, 16 registers, no fused multiply-add.
#pragma once

#include <emmintrin.h>

namespace i2f {
namespace I2F_ISA {

constexpr int kLanes = 4;
// Rows x vectors of the GEMM micro-kernel: 12 accumulators, two vectors of B, one broadcast of A, one product.
constexpr int kGemmRows = 6;
constexpr int kGemmVectors = 2;

struct Vec {
  __m128 v;
};
struct Mask {
  __m128 m;
};

I2F_INLINE Mask first_lanes(int64_t n) {
  const __m128i lane = _mm_setr_epi32(0, 1, 2, 3);
  return {_mm_castsi128_ps(_mm_cmpgt_epi32(_mm_set1_epi32(static_cast<int>(n < 4 ? n : 4)), lane))};
}
I2F_INLINE Vec load(const float* p) { return {_mm_loadu_ps(p)}; }
I2F_INLINE Vec load_n(const float* p, int64_t n) {
  if (n >= 4) return load(p);
  const float a = n > 0 ? p[0] : 0.0f;
  const float b = n > 1 ? p[1] : 0.0f;
  const float c = n > 2 ? p[2] : 0.0f;
  return {_mm_setr_ps(a, b, c, 0.0f)};
}
I2F_INLINE void store(float* p, Vec a) { _mm_storeu_ps(p, a.v); }
I2F_INLINE void store_n(float* p, Vec a, int64_t n) {
  if (n >= 4) return store(p, a);
  if (n > 0) p[0] = _mm_cvtss_f32(a.v);
  if (n > 1) p[1] = _mm_cvtss_f32(_mm_shuffle_ps(a.v, a.v, 1));
  if (n > 2) p[2] = _mm_cvtss_f32(_mm_shuffle_ps(a.v, a.v, 2));
}
// Asks for a cache line; the address may lie outside of any buffer.
I2F_INLINE void prefetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }
I2F_INLINE Vec set(float a) { return {_mm_set1_ps(a)}; }
I2F_INLINE Vec zero() { return {_mm_setzero_ps()}; }

I2F_INLINE Vec operator+(Vec a, Vec b) { return {_mm_add_ps(a.v, b.v)}; }
I2F_INLINE Vec operator-(Vec a, Vec b) { return {_mm_sub_ps(a.v, b.v)}; }
I2F_INLINE Vec operator*(Vec a, Vec b) { return {_mm_mul_ps(a.v, b.v)}; }
I2F_INLINE Vec operator/(Vec a, Vec b) { return {_mm_div_ps(a.v, b.v)}; }
I2F_INLINE Vec fma(Vec a, Vec b, Vec c) { return {_mm_add_ps(_mm_mul_ps(a.v, b.v), c.v)}; }
I2F_INLINE Vec fnma(Vec a, Vec b, Vec c) { return {_mm_sub_ps(c.v, _mm_mul_ps(a.v, b.v))}; }
// A NaN in the second argument comes through.
I2F_INLINE Vec max(Vec a, Vec b) { return {_mm_max_ps(a.v, b.v)}; }
I2F_INLINE Vec min(Vec a, Vec b) { return {_mm_min_ps(a.v, b.v)}; }
I2F_INLINE Vec sqrt(Vec a) { return {_mm_sqrt_ps(a.v)}; }

I2F_INLINE Mask less(Vec a, Vec b) { return {_mm_cmplt_ps(a.v, b.v)}; }
I2F_INLINE Mask greater_equal(Vec a, Vec b) { return {_mm_cmpge_ps(a.v, b.v)}; }
I2F_INLINE Vec select(Mask m, Vec a, Vec b) { return {_mm_or_ps(_mm_and_ps(m.m, a.v), _mm_andnot_ps(m.m, b.v))}; }
I2F_INLINE bool any(Mask m) { return _mm_movemask_ps(m.m) != 0; }
// Lane i as bit i.
I2F_INLINE unsigned lane_bits(Mask m) { return static_cast<unsigned>(_mm_movemask_ps(m.m)); }

I2F_INLINE float sum(Vec a) {
  const __m128 s = _mm_add_ps(a.v, _mm_movehl_ps(a.v, a.v));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
I2F_INLINE float max_lane(Vec a) {
  const __m128 s = _mm_max_ps(a.v, _mm_movehl_ps(a.v, a.v));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

// Swaps the lanes of each pair (0 1, 2 3).
I2F_INLINE Vec swap_pairs(Vec a) { return {_mm_shuffle_ps(a.v, a.v, 0xb1)}; }

// The nearest whole number to `a` (|a| < 2^22), and p * 2^n for whole n; scale_power_of_two covers n in [-126, 128] and
// results up to the largest float.
I2F_INLINE Vec round_nearest(Vec a) { return {_mm_cvtepi32_ps(_mm_cvtps_epi32(a.v))}; }
I2F_INLINE Vec scale_power_of_two(Vec p, Vec n) {
  // Adding to the exponent field; a NaN (its sum would be no NaN for some bit patterns) is put back.
  const __m128i shift = _mm_slli_epi32(_mm_cvtps_epi32(n.v), 23);
  const __m128 scaled = _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(p.v), shift));
  return {_mm_or_ps(scaled, _mm_cmpunord_ps(p.v, p.v))};
}

// Whole numbers: a vector of kLanes 32-bit sums, and products of neighbouring 16-bit pairs added to them.
struct Ints {
  __m128i v;
};
I2F_INLINE Ints zero_ints() { return {_mm_setzero_si128()}; }
I2F_INLINE Ints load_pairs(const int16_t* p) { return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))}; }
I2F_INLINE Ints broadcast_pair(const int16_t* p) {
  int pair;
  memcpy(&pair, p, sizeof(pair));
  return {_mm_set1_epi32(pair)};
}
I2F_INLINE Ints add_products(Ints sum, Ints a, Ints b) { return {_mm_add_epi32(sum.v, _mm_madd_epi16(a.v, b.v))}; }
I2F_INLINE void store_ints(int32_t* p, Ints a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), a.v); }
I2F_INLINE Vec load_int32(const int32_t* p) {
  return {_mm_cvtepi32_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
// Stores whole numbers 0 .. 255.
I2F_INLINE void store_int16(int16_t* p, Vec a) {
  const __m128i whole = _mm_cvtps_epi32(a.v);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(whole, whole));
}
I2F_INLINE void store_uint8(unsigned char* p, Vec a) {
  const __m128i whole = _mm_cvtps_epi32(a.v);
  const __m128i words = _mm_packs_epi32(whole, whole);
  const int four = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  memcpy(p, &four, sizeof(four));
}

// Rearranging lanes, for data whose channels are too few to fill a vector: a vector as blocks of four floats.
// Block i from p + i * stride.
I2F_INLINE Vec load_blocks(const float* p, int64_t) { return load(p); }
// Block i to p + i * stride.
I2F_INLINE void store_blocks(float* p, int64_t, Vec a) { store(p, a); }
// Transposes block i of a, b, c, d as the rows of a 4 x 4 matrix, for every i.
I2F_INLINE void transpose_blocks(Vec& a, Vec& b, Vec& c, Vec& d) { _MM_TRANSPOSE4_PS(a.v, b.v, c.v, d.v); }
// a0 b0 a1 b1 ...: the first half goes to p, the second behind it.
I2F_INLINE void store_interleaved(float* p, Vec a, Vec b) {
  _mm_storeu_ps(p, _mm_unpacklo_ps(a.v, b.v));
  _mm_storeu_ps(p + 4, _mm_unpackhi_ps(a.v, b.v));
}

}  // namespace I2F_ISA
}  // namespace i2f
