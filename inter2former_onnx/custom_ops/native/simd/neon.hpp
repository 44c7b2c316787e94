// arm64 NEON, which every 64-bit Arm processor has: 4 floats a vector, 32 registers.
#pragma once

#include <arm_neon.h>

namespace i2f {
namespace I2F_ISA {

constexpr int kLanes = 4;
// Rows x vectors of the GEMM micro-kernel: 24 accumulators, four vectors of B, one broadcast of A.
constexpr int kGemmRows = 6;
constexpr int kGemmVectors = 4;

struct Vec {
  float32x4_t v;
};
struct Mask {
  uint32x4_t m;
};

I2F_INLINE Mask first_lanes(int64_t n) {
  const int32_t lanes[4] = {0, 1, 2, 3};
  return {vcgtq_s32(vdupq_n_s32(static_cast<int32_t>(n < 4 ? n : 4)), vld1q_s32(lanes))};
}
I2F_INLINE Vec load(const float* p) { return {vld1q_f32(p)}; }
I2F_INLINE Vec load_n(const float* p, int64_t n) {
  if (n >= 4) return load(p);
  float32x4_t a = vdupq_n_f32(0.0f);
  if (n > 0) a = vsetq_lane_f32(p[0], a, 0);
  if (n > 1) a = vsetq_lane_f32(p[1], a, 1);
  if (n > 2) a = vsetq_lane_f32(p[2], a, 2);
  return {a};
}
I2F_INLINE void store(float* p, Vec a) { vst1q_f32(p, a.v); }
I2F_INLINE void store_n(float* p, Vec a, int64_t n) {
  if (n >= 4) return store(p, a);
  if (n > 0) p[0] = vgetq_lane_f32(a.v, 0);
  if (n > 1) p[1] = vgetq_lane_f32(a.v, 1);
  if (n > 2) p[2] = vgetq_lane_f32(a.v, 2);
}
// Asks for a cache line; the address may lie outside of any buffer.
I2F_INLINE void prefetch(const float* p) {
#if defined(_MSC_VER) && !defined(__clang__)
  __prefetch(p);
#else
  __builtin_prefetch(p);
#endif
}
I2F_INLINE Vec set(float a) { return {vdupq_n_f32(a)}; }
I2F_INLINE Vec zero() { return {vdupq_n_f32(0.0f)}; }

I2F_INLINE Vec operator+(Vec a, Vec b) { return {vaddq_f32(a.v, b.v)}; }
I2F_INLINE Vec operator-(Vec a, Vec b) { return {vsubq_f32(a.v, b.v)}; }
I2F_INLINE Vec operator*(Vec a, Vec b) { return {vmulq_f32(a.v, b.v)}; }
I2F_INLINE Vec operator/(Vec a, Vec b) { return {vdivq_f32(a.v, b.v)}; }
I2F_INLINE Vec fma(Vec a, Vec b, Vec c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
I2F_INLINE Vec fnma(Vec a, Vec b, Vec c) { return {vfmsq_f32(c.v, a.v, b.v)}; }
// A NaN in either argument comes through.
I2F_INLINE Vec max(Vec a, Vec b) { return {vmaxq_f32(a.v, b.v)}; }
I2F_INLINE Vec min(Vec a, Vec b) { return {vminq_f32(a.v, b.v)}; }
I2F_INLINE Vec sqrt(Vec a) { return {vsqrtq_f32(a.v)}; }

I2F_INLINE Mask less(Vec a, Vec b) { return {vcltq_f32(a.v, b.v)}; }
I2F_INLINE Mask greater_equal(Vec a, Vec b) { return {vcgeq_f32(a.v, b.v)}; }
I2F_INLINE Vec select(Mask m, Vec a, Vec b) { return {vbslq_f32(m.m, a.v, b.v)}; }
I2F_INLINE bool any(Mask m) { return vmaxvq_u32(m.m) != 0; }
// Lane i as bit i.
I2F_INLINE unsigned lane_bits(Mask m) {
  const uint32_t weights[4] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(m.m, vld1q_u32(weights)));
}

I2F_INLINE float sum(Vec a) { return vaddvq_f32(a.v); }
I2F_INLINE float max_lane(Vec a) { return vmaxvq_f32(a.v); }

// Swaps the lanes of each pair (0 1, 2 3).
I2F_INLINE Vec swap_pairs(Vec a) { return {vrev64q_f32(a.v)}; }

// The nearest whole number to `a` (|a| < 2^22), and p * 2^n for whole n; scale_power_of_two covers n in [-126, 128] and
// results up to the largest float.
I2F_INLINE Vec round_nearest(Vec a) { return {vrndnq_f32(a.v)}; }
I2F_INLINE Vec scale_power_of_two(Vec p, Vec n) {
  // Adding to the exponent field; a NaN (its sum would be no NaN for some bit patterns) is put back.
  const int32x4_t shift = vshlq_n_s32(vcvtq_s32_f32(n.v), 23);
  const float32x4_t scaled = vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p.v), shift));
  return {vbslq_f32(vceqq_f32(p.v, p.v), scaled, p.v)};
}

// Whole numbers: a vector of kLanes 32-bit sums, and products of neighbouring 16-bit pairs added to them.
struct Ints {
  int32x4_t v;
};
I2F_INLINE Ints zero_ints() { return {vdupq_n_s32(0)}; }
I2F_INLINE Ints load_pairs(const int16_t* p) { return {vreinterpretq_s32_s16(vld1q_s16(p))}; }
I2F_INLINE Ints broadcast_pair(const int16_t* p) {
  int32_t pair;
  memcpy(&pair, p, sizeof(pair));
  return {vdupq_n_s32(pair)};
}
I2F_INLINE Ints add_products(Ints sum, Ints a, Ints b) {
  const int16x8_t x = vreinterpretq_s16_s32(a.v);
  const int16x8_t y = vreinterpretq_s16_s32(b.v);
  const int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
  const int32x4_t high = vmull_s16(vget_high_s16(x), vget_high_s16(y));
  return {vaddq_s32(sum.v, vpaddq_s32(low, high))};
}
I2F_INLINE void store_ints(int32_t* p, Ints a) { vst1q_s32(p, a.v); }
I2F_INLINE Vec load_int32(const int32_t* p) { return {vcvtq_f32_s32(vld1q_s32(p))}; }
// Stores whole numbers 0 .. 255.
I2F_INLINE void store_int16(int16_t* p, Vec a) { vst1_s16(p, vmovn_s32(vcvtq_s32_f32(a.v))); }
I2F_INLINE void store_uint8(unsigned char* p, Vec a) {
  const uint16x4_t words = vmovn_u32(vcvtq_u32_f32(a.v));
  const uint8x8_t packed = vmovn_u16(vcombine_u16(words, words));
  vst1_lane_u32(reinterpret_cast<uint32_t*>(p), vreinterpret_u32_u8(packed), 0);
}

// Rearranging lanes, for data whose channels are too few to fill a vector: a vector as blocks of four floats.
// Block i from p + i * stride.
I2F_INLINE Vec load_blocks(const float* p, int64_t) { return load(p); }
// Block i to p + i * stride.
I2F_INLINE void store_blocks(float* p, int64_t, Vec a) { store(p, a); }
// Transposes block i of a, b, c, d as the rows of a 4 x 4 matrix, for every i.
I2F_INLINE void transpose_blocks(Vec& a, Vec& b, Vec& c, Vec& d) {
  const float32x4x2_t ab = vtrnq_f32(a.v, b.v);
  const float32x4x2_t cd = vtrnq_f32(c.v, d.v);
  a.v = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));
  b.v = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));
  c.v = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));
  d.v = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));
}
// a0 b0 a1 b1 ...: the first half goes to p, the second behind it.
I2F_INLINE void store_interleaved(float* p, Vec a, Vec b) {
  const float32x4x2_t pair = vzipq_f32(a.v, b.v);
  vst1q_f32(p, pair.val[0]);
  vst1q_f32(p + 4, pair.val[1]);
}

}  // namespace I2F_ISA
}  // namespace i2f
