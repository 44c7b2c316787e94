// Memory of the kernels: buffers that live as long as a kernel, and scratch space that is borrowed for a moment.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <initializer_list>

#include "native/macros.hpp"

namespace i2f {

constexpr size_t kAlignment = 64;

// Floats that belong to one object, aligned to a cache line. Throws Error when there is no memory.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t count);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  float* data() { return data_; }
  const float* data() const { return data_; }

 private:
  float* data_ = nullptr;
};

template <class T>
I2F_INLINE int64_t bytes_of(int64_t count) {
  return count * static_cast<int64_t>(sizeof(T));
}

// Scratch space of one task, in up to kMaxParts parts of the given sizes in bytes, each aligned to a cache line and not
// initialised. The blocks behind it, of sizes that are powers of two, go back to a list that all kernels share, the
// last used first: there are never more of a size than were in use at the same time, and they are warm in the cache.
// Throws Error.
//
//   Scratch scratch({bytes_of<float>(rows * channels), bytes_of<int32_t>(rows)});
//   float* values = scratch.part<float>(0);
class Scratch {
 public:
  static constexpr int kMaxParts = 16;

  explicit Scratch(std::initializer_list<int64_t> part_bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <class T>
  I2F_INLINE T* part(int index) const {
    return reinterpret_cast<T*>(base_ + offsets_[index]);
  }

 private:
  unsigned char* base_ = nullptr;
  int size_class_ = 0;
  size_t offsets_[kMaxParts] = {};
};

}  // namespace i2f
