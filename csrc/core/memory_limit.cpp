#include "core/memory_limit.h"

#include <limits>

#include "cnnx/error.h"

namespace cnnx {
namespace {
thread_local size_t limit = std::numeric_limits<size_t>::max();
}

MemoryLimit::MemoryLimit(size_t bytes) : before_(limit) { limit = bytes; }
MemoryLimit::~MemoryLimit() { limit = before_; }

size_t within_memory_limit(size_t bytes) {
  if (bytes > limit) throw ValueError(message("tensor: ", bytes, " bytes are above the limit of ", limit));
  return bytes;
}

}  // namespace cnnx
