// The building blocks of native/, reachable from the driver in each instruction set's version.
#pragma once

#include <cstdint>

struct SimdFunctions {
  // Element-wise over n floats.
  void (*exp)(const float* x, int64_t n, float* out);
  void (*exp2_of_score)(const float* x, int64_t n, float* out);
  void (*sigmoid)(const float* x, int64_t n, float* out);
  void (*silu)(const float* x, int64_t n, float* out);
  // out [m, n] = a b^T + bias with weights b [n, k]; a's element (i, l) lies at a[i * row_stride + l * k_stride].
  void (*linear)(const float* a, int64_t row_stride, int64_t k_stride, int64_t m, const float* b, const float* bias,
                 int64_t n, int64_t k, float* out);
  // The first n lanes of `in` through load_n and store_n to `out`, and whole vectors through swap_pairs to `swapped`.
  // Both have room for `lanes` floats.
  void (*partial)(const float* in, int64_t n, float* out, float* swapped);
  // Sum and maximum of the lanes of a vector, and lane_bits of x >= 0.
  void (*reduce)(const float* in, float* total, float* largest, unsigned* not_negative);
  int lanes;
};

// Of the instruction set; null if it was not built.
const SimdFunctions* simd_functions(const char* instruction_set);
