// What a kernel sees of onnxruntime: its attributes and constant inputs when it is made, its inputs, outputs and the
// session's thread pool when it runs. Compiled once (baseline instructions); the kernels include it in every copy.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <initializer_list>

#include "native/macros.hpp"
#include "native/ort/ort_c_api.h"

namespace i2f {

constexpr int kMaxRank = 6;

enum class Element { kFloat, kUint8, kInt8, kInt64 };

ONNXTensorElementDataType onnx_type(Element element);

struct PortDefinition {
  const char* name;
  Element element;
};

// The one exception of this library: a message for the user. It becomes an OrtStatus at the C boundary.
class Error {
 public:
  explicit Error(const char* message);
  const char* message() const { return message_; }

 private:
  char message_[512];
};

// Throws Error with a printf-style message.
[[noreturn]] void fail(const char* format, ...) I2F_PRINTF(1, 2);

// A dimension by name: bound to the first size it meets, compared with every later one. `Dim n{"N"}` is open,
// `Dim two{"2", 2}` is fixed.
struct Dim {
  const char* name;
  int64_t value = -1;
};

// A dense tensor that somebody else owns. `data` may be null when there are no elements.
struct TensorView {
  const void* data = nullptr;
  Element element = Element::kFloat;
  int rank = 0;
  int64_t dims[kMaxRank] = {};
};

class Kernel;
class KernelInfo;

// One op: its name, its ports and how to make a kernel of it. Constant-initialised, one per op and instruction set.
struct OpDefinition {
  const char* name;
  const PortDefinition* inputs;
  size_t input_count;
  const PortDefinition* outputs;
  size_t output_count;
  Kernel* (*create)(const KernelInfo&);
};

// A node as onnxruntime describes it while it builds a session.
class KernelInfo {
 public:
  KernelInfo(const OrtApi* api, const OrtKernelInfo* info, const OpDefinition& op) : api_(api), info_(info), op_(op) {}

  const OpDefinition& op() const { return op_; }
  // The attribute, which must be there.
  int64_t int_attribute(const char* name) const;
  float float_attribute(const char* name) const;
  // Fills `out` and returns true if the input is a constant of the graph (an initializer).
  bool constant_input(size_t index, TensorView* out) const;

 private:
  const OrtApi* api_;
  const OrtKernelInfo* info_;
  const OpDefinition& op_;
};

// One run of a kernel.
class Context {
 public:
  Context(const OrtApi* api, OrtKernelContext* context, const OpDefinition& op)
      : api_(api), context_(context), op_(op) {}

  // Data of an input after checking its element type, its rank and each dimension against the named sizes.
  const float* f32(size_t index, std::initializer_list<Dim*> dims) const;
  const uint8_t* u8(size_t index, std::initializer_list<Dim*> dims) const;
  const int8_t* i8(size_t index, std::initializer_list<Dim*> dims) const;
  const int64_t* i64(size_t index, std::initializer_list<Dim*> dims) const;

  // Allocates an output.
  float* f32_output(size_t index, std::initializer_list<int64_t> dims) const;
  int64_t* i64_output(size_t index, std::initializer_list<int64_t> dims) const;

  // Refuses an index tensor (input `index`, `count` values) with a value outside 0 <= value < limit.
  void check_indices(size_t index, const int64_t* values, int64_t count, int64_t limit) const;
  // Refuses two index inputs that do not name each of the rows 0 .. count_a + count_b - 1 exactly once.
  void check_partition(size_t index_a, const int64_t* a, int64_t count_a, size_t index_b, const int64_t* b,
                       int64_t count_b) const;

  // Refuses an index tensor whose values are not ascending, or not all in 0 <= value < limit.
  void check_ascending(size_t index, const int64_t* values, int64_t count, int64_t limit) const;

  // Calls task(0) ... task(count - 1) on the session's thread pool, in any order; returns when all are done. What a
  // task computes must not depend on which thread runs it. An exception in a task is reported after the others ended.
  template <class Task>
  I2F_INLINE void parallel_for(int64_t count, const Task& task) const {
    run_parallel(count, [](const void* user, int64_t i) { (*static_cast<const Task*>(user))(i); }, &task);
  }

  // Throws Error naming the op, with a printf-style message.
  [[noreturn]] void fail(const char* format, ...) const I2F_PRINTF(2, 3);

  const OpDefinition& op() const { return op_; }

 private:
  const void* checked_input(size_t index, Element element, std::initializer_list<Dim*> dims) const;
  void* output(size_t index, std::initializer_list<int64_t> dims) const;
  void run_parallel(int64_t count, void (*task)(const void*, int64_t), const void* user) const;

  const OrtApi* api_;
  OrtKernelContext* context_;
  const OpDefinition& op_;
};

// A kernel of one node. `compute` runs in several threads at once for concurrent runs of a session, so it is const;
// what it needs to write to comes from Scratch.
class Kernel {
 public:
  virtual ~Kernel();
  virtual void compute(const Context& context) const = 0;
};

}  // namespace i2f
