#include "allocations.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CNNX_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define CNNX_SANITIZED
#endif
#endif

namespace cnnx::test {

static std::atomic<int64_t> count{0};

int64_t allocation_count() { return count.load(); }

#if defined(__GLIBC__) && !defined(CNNX_SANITIZED)
bool can_count_allocations() { return true; }
#else
bool can_count_allocations() { return false; }
#endif

}  // namespace cnnx::test

#if defined(__GLIBC__) && !defined(CNNX_SANITIZED)
// These stand before the C library's, which has them under other names too.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  ++cnnx::test::count;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  ++cnnx::test::count;
  return __libc_calloc(count, size);
}
void* realloc(void* block, size_t size) {
  ++cnnx::test::count;
  return __libc_realloc(block, size);
}
void* memalign(size_t alignment, size_t size) {
  ++cnnx::test::count;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  ++cnnx::test::count;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** block, size_t alignment, size_t size) {
  ++cnnx::test::count;
  *block = __libc_memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}
}
#endif
