// Rearranging lanes: vectors seen as blocks of four floats, and pairs of vectors interleaved. For data whose channels
// are too few to fill a vector.
#pragma once

#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

// Blocks of four floats in a vector.
constexpr int kBlocks = kLanes / 4;

#if defined(I2F_ISA_AVX512)

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

#elif defined(I2F_ISA_AVX2)

I2F_INLINE Vec load_blocks(const float* p, int64_t stride) {
  return {_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + stride), 1)};
}
I2F_INLINE void store_blocks(float* p, int64_t stride, Vec a) {
  _mm_storeu_ps(p, _mm256_castps256_ps128(a.v));
  _mm_storeu_ps(p + stride, _mm256_extractf128_ps(a.v, 1));
}
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
I2F_INLINE void store_interleaved(float* p, Vec a, Vec b) {
  const __m256 low = _mm256_unpacklo_ps(a.v, b.v);
  const __m256 high = _mm256_unpackhi_ps(a.v, b.v);
  _mm256_storeu_ps(p, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(p + 8, _mm256_permute2f128_ps(low, high, 0x31));
}

#elif defined(I2F_ISA_BASELINE)

I2F_INLINE Vec load_blocks(const float* p, int64_t) { return load(p); }
I2F_INLINE void store_blocks(float* p, int64_t, Vec a) { store(p, a); }
I2F_INLINE void transpose_blocks(Vec& a, Vec& b, Vec& c, Vec& d) { _MM_TRANSPOSE4_PS(a.v, b.v, c.v, d.v); }
I2F_INLINE void store_interleaved(float* p, Vec a, Vec b) {
  _mm_storeu_ps(p, _mm_unpacklo_ps(a.v, b.v));
  _mm_storeu_ps(p + 4, _mm_unpackhi_ps(a.v, b.v));
}

#elif defined(I2F_ISA_NEON)

I2F_INLINE Vec load_blocks(const float* p, int64_t) { return load(p); }
I2F_INLINE void store_blocks(float* p, int64_t, Vec a) { store(p, a); }
I2F_INLINE void transpose_blocks(Vec& a, Vec& b, Vec& c, Vec& d) {
  const float32x4x2_t ab = vtrnq_f32(a.v, b.v);
  const float32x4x2_t cd = vtrnq_f32(c.v, d.v);
  a.v = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));
  b.v = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));
  c.v = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));
  d.v = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));
}
I2F_INLINE void store_interleaved(float* p, Vec a, Vec b) {
  const float32x4x2_t pair = vzipq_f32(a.v, b.v);
  vst1q_f32(p, pair.val[0]);
  vst1q_f32(p + 4, pair.val[1]);
}

#endif

}  // namespace I2F_ISA
}  // namespace i2f
