#include "memory.hpp"

#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "kernel.hpp"

namespace i2f {

namespace {

void* allocate(size_t bytes) {
  void* memory = ::operator new(bytes, std::align_val_t(kAlignment), std::nothrow);
  if (memory == nullptr) fail("out of memory: %zu bytes for the native kernels", bytes);
  return memory;
}

void release(void* memory) { ::operator delete(memory, std::align_val_t(kAlignment)); }

struct Block {
  void* memory;
  size_t capacity;
};

// Blocks not in use. A request takes the smallest block that fits; if none fits, the largest one is replaced, so that the
// list does not collect blocks of every size that ever was asked for.
class BlockList {
 public:
  ~BlockList() {
    for (const Block& block : free_) release(block.memory);
  }

  Block take(size_t bytes) {
    Block outgrown = {nullptr, 0};
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      size_t best = free_.size();
      size_t largest = free_.size();
      for (size_t i = free_.size(); i-- > 0;) {
        const size_t capacity = free_[i].capacity;
        // A block far larger than the request is left for those that need it.
        const bool fits = capacity >= bytes && capacity / 16 <= bytes;
        if (fits && (best == free_.size() || capacity < free_[best].capacity)) best = i;
        if (capacity < bytes && (largest == free_.size() || capacity > free_[largest].capacity)) largest = i;
      }
      if (best != free_.size()) return remove(best);
      if (largest != free_.size()) outgrown = remove(largest);
    }
    if (outgrown.memory != nullptr) release(outgrown.memory);
    // Some room to grow, so that slowly growing requests do not allocate every time.
    const size_t capacity = bytes + bytes / 4 + 4096;
    return {allocate(capacity), capacity};
  }

  void give_back(Block block) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
      free_.push_back(block);
    } catch (...) {
      release(block.memory);
    }
  }

 private:
  Block remove(size_t index) {
    const Block block = free_[index];
    free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(index));
    return block;
  }

  std::mutex mutex_;
  std::vector<Block> free_;
};

BlockList& blocks() {
  static BlockList list;
  return list;
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
  size_t total = 0;
  int index = 0;
  for (const int64_t bytes : part_bytes) {
    if (bytes < 0) fail("negative size of scratch memory");
    offsets_[index++] = total;
    total += (static_cast<size_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment;
  }
  const Block block = blocks().take(total);
  base_ = static_cast<unsigned char*>(block.memory);
  capacity_ = block.capacity;
}

Scratch::~Scratch() { blocks().give_back({base_, capacity_}); }

}  // namespace i2f
