// A pooled allocator: a freed block is kept and handed out again, because the first touch of fresh pages costs more than most
// kernels of a small net.
#pragma once

#include <cstddef>

namespace cnnx {

void* pool_allocate(size_t bytes);          // 64-byte aligned; throws Error when the system has no more
void pool_free(void* block, size_t bytes);  // the same `bytes` as asked for

struct PoolStats {
  size_t in_use = 0, cached = 0, peak = 0;  // bytes
};
PoolStats pool_stats();
void pool_release_cached();  // gives cached blocks back to the system

}  // namespace cnnx
