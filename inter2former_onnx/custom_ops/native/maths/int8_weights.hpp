// The 8-bit weights of a kernel, packed when it is made if they are constants of the graph, otherwise at every run.
#pragma once

#include "native/maths/int8_gemm.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace I2F_ISA {

class Int8Weights {
 public:
  // Positions of the inputs weight int8 [n, k], scale [n] and bias [n].
  Int8Weights(const KernelInfo& info, size_t weight_index, size_t scale_index, size_t bias_index) : unit_(int8_unit()) {
    TensorView weight;
    TensorView scale;
    TensorView bias;
    if (!info.constant_input(weight_index, &weight) || !info.constant_input(scale_index, &scale) ||
        !info.constant_input(bias_index, &bias)) {
      return;
    }
    // A wrong shape is reported by compute, which knows what to compare it with.
    if (weight.rank != 2 || scale.rank != 1 || bias.rank != 1) return;
    if (scale.dims[0] != weight.dims[0] || bias.dims[0] != weight.dims[0]) return;
    packed_ = pack_int8(static_cast<const int8_t*>(weight.data), static_cast<const float*>(scale.data),
                        static_cast<const float*>(bias.data), weight.dims[0], weight.dims[1], unit_);
    constant_ = true;
  }

  // The packed form; `local` holds it when the weights are not constant. The arguments were checked by the caller.
  const PackedInt8& get(const int8_t* weight, const float* scale, const float* bias, int64_t n, int64_t k,
                        PackedInt8* local) const {
    if (constant_) return packed_;
    *local = pack_int8(weight, scale, bias, n, k, unit_);
    return *local;
  }

 private:
  Int8Unit unit_;
  PackedInt8 packed_;
  bool constant_ = false;
};

}  // namespace I2F_ISA
}  // namespace i2f
