#include "native/memory.hpp"

#include <stdlib.h>

#include <mutex>
#include <utility>

#include "native/ort/errors.hpp"

namespace i2f {

namespace {

// Blocks of 2^0 .. 2^(kSizeClasses - 1) bytes.
constexpr int kSizeClasses = 48;

// Aligned memory. The C++17 aligned operator new is missing on older macOS, so the address that malloc gave is kept in
// front.
void* allocate(size_t bytes) {
  void* raw = bytes <= SIZE_MAX - 2 * kAlignment ? malloc(bytes + 2 * kAlignment) : nullptr;
  if (raw == nullptr) fail("out of memory: %zu bytes for the native kernels", bytes);
  const uintptr_t aligned = (reinterpret_cast<uintptr_t>(raw) + 2 * kAlignment - 1) / kAlignment * kAlignment;
  void** memory = reinterpret_cast<void**>(aligned);
  memory[-1] = raw;
  return memory;
}

void release(void* memory) { free(static_cast<void**>(memory)[-1]); }

// Blocks not in use, in a list for each power of two: a request takes the block that was used last among those of its
// size, so the lists never hold more blocks than were in use at one time. A free block holds the pointer to the next
// one.
class BlockLists {
 public:
  ~BlockLists() {
    for (void* block : heads_) {
      while (block != nullptr) {
        void* next = *static_cast<void**>(block);
        release(block);
        block = next;
      }
    }
  }

  void* take(int size_class) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      void* block = heads_[size_class];
      if (block != nullptr) {
        heads_[size_class] = *static_cast<void**>(block);
        return block;
      }
    }
    return allocate(size_t{1} << size_class);
  }

  void give_back(void* block, int size_class) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    *static_cast<void**>(block) = heads_[size_class];
    heads_[size_class] = block;
  }

 private:
  std::mutex mutex_;
  void* heads_[kSizeClasses] = {};
};

BlockLists& blocks() {
  static BlockLists lists;
  return lists;
}

}  // namespace

Buffer::Buffer(int64_t count)
    : data_(static_cast<float*>(allocate(static_cast<size_t>(count > 0 ? count : 1) * sizeof(float)))) {}

Buffer::~Buffer() {
  if (data_ != nullptr) release(data_);
}

Buffer::Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  return *this;
}

Scratch::Scratch(std::initializer_list<int64_t> part_bytes) {
  if (part_bytes.size() > kMaxParts) fail("more than %d parts of scratch memory", kMaxParts);
  const int64_t most = int64_t{1} << (kSizeClasses - 1);
  int64_t total = 0;
  int index = 0;
  for (const int64_t bytes : part_bytes) {
    if (bytes < 0 || bytes > most - total - static_cast<int64_t>(kAlignment)) {
      fail("out of memory: %lld bytes of scratch memory", static_cast<long long>(bytes));
    }
    offsets_[index++] = static_cast<size_t>(total);
    const int64_t alignment = static_cast<int64_t>(kAlignment);
    total += (bytes + alignment - 1) / alignment * alignment;
  }
  // Small blocks are not worth lists of their own.
  size_class_ = 12;
  while ((int64_t{1} << size_class_) < total) ++size_class_;
  base_ = static_cast<unsigned char*>(blocks().take(size_class_));
}

Scratch::~Scratch() { blocks().give_back(base_, size_class_); }

}  // namespace i2f
