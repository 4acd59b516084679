// Numbers that a captured kernel reads from device memory because every replay has its own.
#pragma once

#include <cstddef>

namespace cnnx::cuda {

struct Replayed {                // nothing where there is no capture
  const void* device = nullptr;  // in a capture
  void* host = nullptr;          // in a replay: to be filled before it runs
};
// For a call of an optimizer's step (Graph::capture_step). A replay asks for the same parts in the same order.
Replayed replayed_values(const char* op, size_t bytes);

}  // namespace cnnx::cuda
