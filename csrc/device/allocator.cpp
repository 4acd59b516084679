#include "device/allocator.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/error.h"
#include "device/queue.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__linux__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace cnnx {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
// More cached memory than this goes back to the system at once.
constexpr size_t kMaxCached = size_t{4} << 30;

// Sizes are rounded up to one of four steps per power of two, so that blocks of like sizes can stand in for each other.
size_t size_class(size_t bytes) {
  bytes = std::max(bytes, kAlignment);
  size_t step = std::max(kAlignment, std::bit_floor(bytes) / 4);
  return (bytes + step - 1) / step * step;
}

void* system_allocate(size_t size) {
  size_t alignment = size >= kHugePage ? kHugePage : kAlignment;
  void* block = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
#if defined(__linux__)
  if (block != nullptr && size >= kHugePage) madvise(block, size, MADV_HUGEPAGE);
#endif
  return block;
}

struct Pool {
  std::mutex mutex;
  std::unordered_map<size_t, std::vector<void*>> free_blocks;
  PoolStats stats;
};

// Never destroyed: storages may outlive static destruction.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

#if defined(__linux__) || defined(__APPLE__)
// Another thread may hold the lock while this one forks, and in the child nobody would give it back. What is told first is called
// last before a fork: the team of threads is at rest then.
[[maybe_unused]] const int told_of_forks =
    pthread_atfork([] { pool().mutex.lock(); }, [] { pool().mutex.unlock(); }, [] { pool().mutex.unlock(); });
#endif

class HostPool final : public Allocator {
 public:
  void* allocate(size_t bytes) override;
  void free(void* block, size_t bytes) noexcept override;
};
constinit HostPool the_pool;

}  // namespace

extern CNNX_INTERNAL_API const Queue kHost;  // said here: the kernels include queue.h, and it stays free of this
constinit const Queue kHost{-1, nullptr, &the_pool};
Allocator& host_pool() { return the_pool; }

void* HostPool::allocate(size_t bytes) {
  size_t size = size_class(bytes);
  Pool& p = pool();
  {
    std::lock_guard lock(p.mutex);
    p.stats.in_use += size;
    p.stats.peak = std::max(p.stats.peak, p.stats.in_use);
    auto& blocks = p.free_blocks[size];
    if (!blocks.empty()) {
      void* block = blocks.back();
      blocks.pop_back();
      p.stats.cached -= size;
      return block;
    }
  }
  void* block = system_allocate(size);
  if (block == nullptr) {
    pool_release_cached();
    block = system_allocate(size);
  }
  if (block == nullptr) {
    std::lock_guard lock(p.mutex);
    p.stats.in_use -= size;
    throw Error(message("out of memory: asked for ", bytes, " bytes, ", p.stats.in_use, " in use"));
  }
  return block;
}

void HostPool::free(void* block, size_t bytes) noexcept {
  size_t size = size_class(bytes);
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  p.stats.in_use -= size;
  if (p.stats.cached + size > kMaxCached) {
    std::free(block);
    return;
  }
  p.free_blocks[size].push_back(block);
  p.stats.cached += size;
}

PoolStats pool_stats() {
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  return p.stats;
}

void pool_release_cached() {
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  for (auto& [size, blocks] : p.free_blocks) {
    for (void* block : blocks) std::free(block);
    blocks.clear();
  }
  p.stats.cached = 0;
}

}  // namespace cnnx
