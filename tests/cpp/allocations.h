// Counts allocations of the whole process, on any thread: malloc and what is made of it, operator new among them.
#pragma once

#include <cstdint>

namespace cnnx::test {

// Whether they can be counted: with the C library's malloc, not with a sanitizer's.
bool can_count_allocations();
int64_t allocation_count();

}  // namespace cnnx::test
