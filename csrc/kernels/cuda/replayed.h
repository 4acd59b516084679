// Numbers that a captured kernel reads from device memory because every replay has its own.
#pragma once

#include <cstddef>

#include "cuda/graph.h"

namespace cnnx::cuda {

struct Replayed {
  const void* device = nullptr;  // in a capture
  void* host = nullptr;          // in a replay: to be filled before it runs
};
// For a call that takes part in captures by leave_note(). A replay asks for the same parts in the same order.
Replayed replayed_values(const char* op, size_t bytes);

}  // namespace cnnx::cuda
