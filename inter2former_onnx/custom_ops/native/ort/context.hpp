// What a kernel is given when it runs: its inputs, its outputs and the session's thread pool.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "native/macros.hpp"
#include "native/ort/op.hpp"
#include "native/ort/parallel.hpp"

namespace i2f {

// One run of a kernel.
class Context {
 public:
  Context(const OrtApi* api, OrtKernelContext* context, const OpDefinition& op)
      : api_(api), context_(context), op_(op) {}

  // Finds the data of every input and the sizes that they tell, after checking that they have the types and dimensions
  // of the op's ports. `sizes` holds what is known already, and kUnknown.
  void inputs(const void** data, int64_t* sizes) const;
  // Allocates an output of the dimensions of its port.
  void* output(size_t index, const int64_t* sizes) const;

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
    run_parallel(
        api_, context_, op_.name, count, [](const void* user, int64_t i) { (*static_cast<const Task*>(user))(i); },
        &task);
  }

  // Throws Error naming the op, with a printf-style message.
  [[noreturn]] void fail(const char* format, ...) const I2F_PRINTF(2, 3);

 private:
  const char* input_name(size_t index) const { return op_.ports.inputs[index].name; }

  const OrtApi* api_;
  OrtKernelContext* context_;
  const OpDefinition& op_;
};

}  // namespace i2f
