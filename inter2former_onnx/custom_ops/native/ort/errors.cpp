#include "native/ort/errors.hpp"

#include <stdarg.h>
#include <stdio.h>

namespace i2f {

Error::Error(const char* message) { snprintf(message_, sizeof(message_), "%s", message); }

void fail(const char* format, ...) {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  throw Error(message);
}

void check(const OrtApi* api, OrtStatus* status, const char* op, const char* call) {
  if (status == nullptr) return;
  char cause[256];
  snprintf(cause, sizeof(cause), "%s", OrtGetErrorMessage::get(api)(status));
  OrtReleaseStatus::get(api)(status);
  fail("inter2former::%s: onnxruntime's %s failed: %s", op, call, cause);
}

}  // namespace i2f
