// Counts what the process asks of the heap, on any of its threads.
#pragma once

#include <cstdint>

namespace cnnx::test {

// Whether it can be counted: with glibc, and without a sanitizer, which has a heap of its own.
extern const bool kCountsAllocations;
// Since the process began.
int64_t allocations();

}  // namespace cnnx::test
