#include "native/ort/parallel.hpp"

#include <stddef.h>

#include <atomic>

#include "native/ort/errors.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#elif defined(_M_ARM64)
#include <intrin.h>
#endif

namespace i2f {

namespace {

// While it lives, subnormal numbers (below 1.2e-38) count as zero in this thread: an operation on one takes a hundred
// times as long, and nothing here needs them.
class FlushSubnormals {
 public:
#if defined(__x86_64__) || defined(_M_X64)
  FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlushToZero | kSubnormalsAreZero); }
  ~FlushSubnormals() { _mm_setcsr(before_); }

 private:
  static constexpr unsigned kFlushToZero = 0x8000;
  static constexpr unsigned kSubnormalsAreZero = 0x0040;
  unsigned before_;
#elif defined(_M_ARM64)
  FlushSubnormals() : before_(_ReadStatusReg(ARM64_FPCR)) { _WriteStatusReg(ARM64_FPCR, before_ | kFlushToZero); }
  ~FlushSubnormals() { _WriteStatusReg(ARM64_FPCR, before_); }

 private:
  static constexpr __int64 kFlushToZero = 1 << 24;
  __int64 before_;
#else
  FlushSubnormals() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before_));
    write(before_ | kFlushToZero);
  }
  ~FlushSubnormals() { write(before_); }

 private:
  static void write(uint64_t value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
  static constexpr uint64_t kFlushToZero = 1 << 24;
  uint64_t before_ = 0;
#endif
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;
};

// What the tasks of one parallel_for share. The first exception wins; the others tell the same story.
struct ParallelRun {
  void (*task)(const void*, int64_t);
  const void* user;
  std::atomic<bool> failed{false};
  Error error{""};

  void run(size_t i) noexcept {
    const FlushSubnormals flush;
    try {
      task(user, static_cast<int64_t>(i));
    } catch (const Error& e) {
      if (!failed.exchange(true)) error = e;
    } catch (...) {
      if (!failed.exchange(true)) error = Error("inter2former: unexpected C++ exception in a parallel task");
    }
  }
};

}  // namespace

void run_parallel(const OrtApi* api, OrtKernelContext* context, const char* op, int64_t count,
                  void (*task)(const void*, int64_t), const void* user) {
  if (count <= 0) return;
  ParallelRun run;
  run.task = task;
  run.user = user;
  if (count == 1) {
    run.run(0);
  } else {
    // As many batches as tasks: threads take the next task when they are free, so an uneven load evens out.
    const size_t total = static_cast<size_t>(count);
    OrtStatus* status = OrtKernelContextParallelFor::get(api)(
        context, [](void* state, size_t i) { static_cast<ParallelRun*>(state)->run(i); }, total, total, &run);
    check(api, status, op, "KernelContext_ParallelFor");
  }
  if (run.failed.load()) throw Error(run.error);
}

}  // namespace i2f
