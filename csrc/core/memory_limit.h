// A bound on what one tensor may take, for work on behalf of somebody who is not trusted, such as the constants of a file.
#pragma once

#include <cstddef>

namespace cnnx {

// While it lives, storages of more bytes that this thread makes throw ValueError.
class MemoryLimit {
 public:
  explicit MemoryLimit(size_t bytes);
  ~MemoryLimit();
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  size_t before_;
};

// Returns the bytes; throws where they are above the limit of this thread.
size_t within_memory_limit(size_t bytes);

}  // namespace cnnx
