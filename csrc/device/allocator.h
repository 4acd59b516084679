// Where memory comes from: an allocator for each device, or whatever else a queue is given.
#pragma once

#include <cstddef>

#include "cnnx/api.h"

namespace cnnx {

class Allocator {
 public:
  virtual void* allocate(size_t bytes) = 0;                   // at least 64-byte aligned; throws Error when there is no more
  virtual void free(void* block, size_t bytes) noexcept = 0;  // the same `bytes` as asked for

 protected:
  ~Allocator() = default;  // they are never destroyed: storages may outlive static destruction
};

// The CPU's, a pool: a freed block is kept and handed out again, because the first touch of fresh pages costs more than most
// kernels of a small net.
Allocator& host_pool();

struct PoolStats {
  size_t in_use = 0, cached = 0, peak = 0;  // bytes
};
CNNX_INTERNAL_API PoolStats pool_stats();
CNNX_INTERNAL_API void pool_release_cached();  // gives cached blocks back to the system

}  // namespace cnnx
