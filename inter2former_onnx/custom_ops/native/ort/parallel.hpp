// Runs of many tasks on the session's thread pool.
#pragma once

#include <stdint.h>

#include "native/ort/ort_c_api.h"

namespace i2f {

// Calls task(user, 0) ... task(user, count - 1), in any order; returns when all are done. Subnormal numbers count as
// zero in them. An exception in a task is reported after the others ended, as Error.
void run_parallel(const OrtApi* api, OrtKernelContext* context, const char* op, int64_t count,
                  void (*task)(const void* user, int64_t i), const void* user);

}  // namespace i2f
