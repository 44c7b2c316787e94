// Errors: one exception with a message for the user, and what onnxruntime's own failures become.
#pragma once

#include "native/macros.hpp"
#include "native/ort/ort_c_api.h"

namespace i2f {

// The one exception of this library. It becomes an OrtStatus at the C boundary.
class Error {
 public:
  explicit Error(const char* message);
  const char* message() const { return message_; }

 private:
  char message_[512];
};

// Throws Error with a printf-style message.
[[noreturn]] void fail(const char* format, ...) I2F_PRINTF(1, 2);

// Throws Error with what onnxruntime said, if its function `call` failed for the op.
void check(const OrtApi* api, OrtStatus* status, const char* op, const char* call);

}  // namespace i2f
