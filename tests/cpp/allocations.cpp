// The program's own functions take the place of glibc's, count and pass on.
#include "allocations.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define CNNX_TEST_SANITIZED 1
#endif
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(CNNX_TEST_SANITIZED)
#define CNNX_TEST_COUNTS 1
#endif

namespace {
std::atomic<int64_t> count{0};
}

namespace cnnx::test {

#if defined(CNNX_TEST_COUNTS)
const bool kCountsAllocations = true;
#else
const bool kCountsAllocations = false;
#endif

int64_t allocations() { return count; }

}  // namespace cnnx::test

#if defined(CNNX_TEST_COUNTS)
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t number, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) {
  ++count;
  return __libc_malloc(bytes);
}
void* calloc(size_t number, size_t bytes) {
  ++count;
  return __libc_calloc(number, bytes);
}
void* realloc(void* block, size_t bytes) {
  ++count;
  return __libc_realloc(block, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  ++count;
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  ++count;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** block, size_t alignment, size_t bytes) {
  ++count;
  void* made = __libc_memalign(alignment, bytes);
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}
}
#endif
