#include "native/ort/ports.hpp"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "native/ort/errors.hpp"

namespace i2f {

namespace {

// Appends to a text of fixed room; what does not fit is cut.
class Text {
 public:
  void add(const char* format, ...) I2F_PRINTF(2, 3) {
    va_list arguments;
    va_start(arguments, format);
    const int written = vsnprintf(text_ + length_, sizeof(text_) - length_, format, arguments);
    va_end(arguments);
    if (written > 0) length_ += static_cast<size_t>(written);
    if (length_ >= sizeof(text_)) length_ = sizeof(text_) - 1;
  }
  // A dimension of a port: 3*D as 3D, h*w as h w.
  void add_dim(const Port& port, int axis) {
    const char* at = port.text;
    for (int skipped = 0; skipped < axis; ++skipped) at = strchr(at, ',') + 1;
    for (at += *at == ' '; *at != 0 && *at != ','; ++at) {
      if (*at != '*') {
        add("%c", *at);
      } else if (at[-1] < '0' || at[-1] > '9') {
        add(" ");
      }
    }
  }
  const char* get() const { return text_; }

 private:
  char text_[256] = {};
  size_t length_ = 0;
};

constexpr int kAll = -1;

// *product *= factor, neither of them negative; false if that is too large a number.
bool multiply(int64_t factor, int64_t* product) {
  if (factor > 1 && *product > 1 && factor > INT64_MAX / *product) return false;
  *product *= factor;
  return true;
}

// Whether the rank and what is known agree.
bool agrees(const Port& input, const TensorView& tensor, const int64_t* sizes) {
  if (tensor.rank != input.rank) return false;
  for (int axis = 0; axis < input.rank; ++axis) {
    const int64_t known = input.dims[axis].value(sizes);
    if (known != kUnknown && known != tensor.dims[axis]) return false;
  }
  return true;
}

// Which sizes an input has made known.
struct Learned {
  int sizes[kMaxRank];
  int count = 0;
};

// Makes sizes known. Returns the axis that does not fit (to what was known, to the same name before it in the shape, or
// no whole multiple), or kAll.
int learn(const Port& input, const TensorView& tensor, int64_t* sizes, Learned* learned) {
  for (int axis = 0; axis < input.rank; ++axis) {
    const Dim& dim = input.dims[axis];
    const int64_t known = dim.value(sizes);
    if (known != kUnknown) {
      if (known != tensor.dims[axis]) return axis;
      continue;
    }
    const int told = dim.told_size();
    if (told < 0) continue;
    if (tensor.dims[axis] % dim.factor() != 0) return axis;
    sizes[told] = tensor.dims[axis] / dim.factor();
    learned->sizes[learned->count++] = told;
  }
  return kAll;
}

[[noreturn]] void fail_on_shape(const char* op, const Port& input, const TensorView& tensor, const int64_t* sizes) {
  Text found;
  for (int axis = 0; axis < tensor.rank; ++axis) {
    found.add("%s%lld", axis == 0 ? "" : ", ", static_cast<long long>(tensor.dims[axis]));
  }
  Text expected;
  for (int axis = 0; axis < input.rank; ++axis) {
    expected.add("%s", axis == 0 ? "" : ", ");
    expected.add_dim(input, axis);
    const int64_t known = input.dims[axis].value(sizes);
    if (known != kUnknown) expected.add("=%lld", static_cast<long long>(known));
  }
  fail("inter2former::%s: input '%s' has shape [%s], expected [%s]", op, input.name, found.get(), expected.get());
}

// Of a shape that agrees with what was known: an axis that does not with those before it, or is no whole multiple.
[[noreturn]] void fail_on_axis(const char* op, const Port& input, const TensorView& tensor, int64_t known, int axis) {
  Text name;
  name.add_dim(input, axis);
  const long long found = static_cast<long long>(tensor.dims[axis]);
  if (known == kUnknown) {
    fail("inter2former::%s: input '%s' has %lld %s, expected %s: %lld parts of equal width", op, input.name, found,
         axis == input.rank - 1 ? "columns" : "rows", name.get(), static_cast<long long>(input.dims[axis].factor()));
  }
  fail("inter2former::%s: input '%s' has %lld and %lld where both must be %s", op, input.name,
       static_cast<long long>(known), found, name.get());
}

}  // namespace

int64_t Dim::value(const int64_t* sizes) const {
  if (size_ == kNone) return factor_;
  const int64_t size = sizes[size_];
  if (size < 0) return kUnknown;
  int64_t found = factor_;
  const int64_t second = second_size_ == kNone ? 1 : sizes[second_size_];
  // A tensor without elements may have absurd dimensions beside that of 0.
  if (second < 0 || !multiply(size, &found) || !multiply(second, &found)) return kUnknown;
  if (divisor_size_ != kNone) {
    const int64_t divisor = sizes[divisor_size_];
    if (divisor < 1 || found % divisor != 0) return kUnknown;
    found /= divisor;
  }
  if (divisor_ == 1) return found;
  return found % divisor_ == 0 ? found / divisor_ : kUnknown;
}

int Dim::told_size() const {
  return second_size_ == kNone && divisor_size_ == kNone && divisor_ == 1 ? size_ : kNone;
}

bool fit(const Port& input, const TensorView& tensor, int64_t* sizes) {
  Learned learned;
  return tensor.rank == input.rank && learn(input, tensor, sizes, &learned) == kAll;
}

void fit_or_fail(const char* op, const Port& input, const TensorView& tensor, int64_t* sizes) {
  Learned learned;
  const int axis = tensor.rank == input.rank ? learn(input, tensor, sizes, &learned) : 0;
  if (axis == kAll) return;
  const int64_t known = input.rank > 0 ? input.dims[axis].value(sizes) : kUnknown;
  for (int i = 0; i < learned.count; ++i) sizes[learned.sizes[i]] = kUnknown;
  if (!agrees(input, tensor, sizes)) fail_on_shape(op, input, tensor, sizes);
  fail_on_axis(op, input, tensor, known, axis);
}

}  // namespace i2f
