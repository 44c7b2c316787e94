// Compiled once per instruction set, like a kernel.
#include "native/maths/activations.hpp"
#include "native/maths/gemm.hpp"
#include "native/maths/linear_weights.hpp"
#include "simd_functions.hpp"

namespace i2f {
namespace I2F_ISA {

const SimdFunctions& simd_functions_of_isa();

namespace {

template <class Function>
I2F_INLINE void map(const float* x, int64_t n, float* out, Function function) {
  for (int64_t i = 0; i < n; i += kLanes) store_columns(out, i, n, function(load_n(x + i, n - i)));
}

void map_exp(const float* x, int64_t n, float* out) {
  map(x, n, out, [](Vec v) { return exp(v); });
}
void map_exp2_of_score(const float* x, int64_t n, float* out) {
  map(x, n, out, [](Vec v) { return exp2_of_score(v); });
}
void map_sigmoid(const float* x, int64_t n, float* out) {
  map(x, n, out, [](Vec v) { return sigmoid(v); });
}
void map_silu(const float* x, int64_t n, float* out) {
  map(x, n, out, [](Vec v) { return silu(v); });
}

void linear(const float* a, int64_t row_stride, int64_t k_stride, int64_t m, const float* b, const float* bias,
            int64_t n, int64_t k, float* out) {
  const PackedLinear packed = pack_linear(b, bias, 1, n, k);
  const float* padded = packed.bias(0);
  gemm(a, row_stride, k_stride, m, packed.panels(0), k, n, [=](int64_t row, int64_t column, Vec value) {
    store_columns(out + row * n, column, n, value + load(padded + column));
  });
}

void partial(const float* in, int64_t n, float* out, float* swapped) {
  store_n(out, load_n(in, n), n);
  store(swapped, swap_pairs(load(in)));
}

void reduce(const float* in, float* total, float* largest, unsigned* not_negative) {
  const Vec v = load(in);
  *total = sum(v);
  *largest = max_lane(v);
  *not_negative = lane_bits(greater_equal(v, zero()));
}

const SimdFunctions kFunctions = {map_exp, map_exp2_of_score, map_sigmoid, map_silu, linear, partial, reduce, kLanes};

}  // namespace

const SimdFunctions& simd_functions_of_isa() { return kFunctions; }

}  // namespace I2F_ISA
}  // namespace i2f
