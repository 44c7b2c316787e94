// The ports of an op as its ports.def declares them, with types of elements and dimensions by name; and whether the
// tensors that arrive fit them. op_ports.hpp reads the file.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <initializer_list>

#include "native/macros.hpp"
#include "native/ort/tensor.hpp"

namespace i2f {

// A size that nothing has told yet.
constexpr int64_t kUnknown = -1;

// An attribute as a size: dimensions may be counted in it.
I2F_INLINE int64_t as_size(int64_t attribute) { return attribute; }
I2F_INLINE int64_t as_size(float) { return kUnknown; }

// A dimension: a number, or factor * one or two sizes / a size / a number. A size is a place in an op's array of them.
class Dim {
 public:
  constexpr I2F_INLINE Dim() = default;
  constexpr I2F_INLINE Dim(int64_t number) : factor_(number) {}  // not explicit: [3, H, W]
  static constexpr I2F_INLINE Dim size(int index) {
    Dim dim(1);
    dim.size_ = index;
    return dim;
  }

  friend constexpr I2F_INLINE Dim operator*(int64_t factor, Dim dim) {
    dim.factor_ *= factor;
    return dim;
  }
  friend constexpr I2F_INLINE Dim operator*(Dim dim, const Dim& size) {
    dim.second_size_ = size.size_;
    return dim;
  }
  friend constexpr I2F_INLINE Dim operator/(Dim dim, const Dim& size) {
    dim.divisor_size_ = size.size_;
    return dim;
  }
  friend constexpr I2F_INLINE Dim operator/(Dim dim, int64_t number) {
    dim.divisor_ *= number;
    return dim;
  }

  // kUnknown where a size is, and where a division leaves a rest.
  int64_t value(const int64_t* sizes) const;
  // The size that this dimension tells when it is a multiple of one alone; -1 when it tells none.
  int told_size() const;
  int64_t factor() const { return factor_; }

 private:
  static constexpr int kNone = -1;

  int64_t factor_ = 0;
  int64_t divisor_ = 1;
  int size_ = kNone;
  int second_size_ = kNone;
  int divisor_size_ = kNone;
};

// An input or an output.
struct Port {
  constexpr I2F_INLINE Port(const char* port_name, Element port_element, std::initializer_list<Dim> port_dims,
                            const char* port_text)
      : name(port_name), element(port_element), text(port_text) {
    for (const Dim& dim : port_dims) dims[rank++] = dim;
  }

  const char* name;
  Element element;
  const char* text;  // of the dimensions
  int rank = 0;
  Dim dims[kMaxRank];
};

struct Ports {
  const Port* inputs;
  size_t input_count;
  const Port* outputs;
  size_t output_count;
};

// Fits a tensor to an input: sizes that are known are compared, others become known. What a size cannot be told from
// (a product, a quotient) is compared once its parts are known, and otherwise left to the kernel. False if the tensor
// does not fit; some sizes may have become known then.
bool fit(const Port& input, const TensorView& tensor, int64_t* sizes);
// The same, but throws Error, naming the op, the shape and what is expected instead.
void fit_or_fail(const char* op, const Port& input, const TensorView& tensor, int64_t* sizes);

}  // namespace i2f
