// Linear layers as matrix products: their weights and biases, packed.
#pragma once

#include "native/maths/panels.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {

// The packed weights and biases of `count` linear layers of one shape: y = x W^T + b, W [n, k], b [n].
struct PackedLinear {
  Buffer weights;
  Buffer biases;
  int64_t count = 0;
  int64_t n = 0;
  int64_t k = 0;

  I2F_INLINE const float* panels(int64_t i) const { return weights.data() + i * packed_floats(k, n); }
  // Padded with zeros to a multiple of kPanel.
  I2F_INLINE const float* bias(int64_t i) const { return biases.data() + i * round_up(n, kPanel); }
};

// Packs W [count, n, k] and b [count, n] (null: zeros).
inline PackedLinear pack_linear(const float* weight, const float* bias, int64_t count, int64_t n, int64_t k) {
  PackedLinear packed;
  packed.count = count;
  packed.n = n;
  packed.k = k;
  packed.weights = Buffer(count * packed_floats(k, n));
  packed.biases = Buffer(count * round_up(n, kPanel));
  for (int64_t i = 0; i < count; ++i) {
    pack(weight + i * n * k, k, 1, k, n, packed.weights.data() + i * packed_floats(k, n));
    float* row = packed.biases.data() + i * round_up(n, kPanel);
    for (int64_t j = 0; j < round_up(n, kPanel); ++j) row[j] = bias != nullptr && j < n ? bias[i * n + j] : 0.0f;
  }
  return packed;
}

// Weights of a kernel, packed when it is made if they are constants of the graph, otherwise at every run.
class LinearWeights {
 public:
  LinearWeights(const KernelInfo& info, size_t weight_index, size_t bias_index) {
    TensorView weight;
    TensorView bias;
    if (!info.constant_input(weight_index, &weight) || !info.constant_input(bias_index, &bias)) return;
    // A wrong shape is reported by compute, which knows what to compare it with.
    if ((weight.rank != 2 && weight.rank != 3) || bias.rank != weight.rank - 1) return;
    const int64_t count = weight.rank == 3 ? weight.dims[0] : 1;
    const int64_t n = weight.dims[weight.rank - 2];
    if (bias.dims[bias.rank - 1] != n || (weight.rank == 3 && bias.dims[0] != count)) return;
    packed_ = pack_linear(static_cast<const float*>(weight.data), static_cast<const float*>(bias.data), count, n,
                          weight.dims[weight.rank - 1]);
    constant_ = true;
  }

  // The packed form; `local` holds it when the weights are not constant. The arguments were checked by the caller.
  const PackedLinear& get(const float* weight, const float* bias, int64_t count, int64_t n, int64_t k,
                          PackedLinear* local) const {
    if (constant_ && packed_.count == count && packed_.n == n && packed_.k == k) return packed_;
    *local = pack_linear(weight, bias, count, n, k);
    return *local;
  }

 private:
  PackedLinear packed_;
  bool constant_ = false;
};

}  // namespace I2F_ISA
}  // namespace i2f
