// What the calling thread captures as a CUDA graph, or replays, as kernels see it; core/cuda/graph.cu is behind it. For the .cu
// files.
#pragma once

#include <cstddef>

#include "cnnx/random_state.h"

namespace cnnx::cuda {

// The key of a kernel's random numbers: numbers, or in a captured graph what the replay has put in their place.
struct RandomKey {
  uint64_t seed, call;
  const RandomState* replayed;  // not null: the seed is there, and what `call` is counted from
};

// Numbers that a captured kernel reads from device memory because every replay has its own.
struct Replayed {
  const void* device = nullptr;  // in a capture
  void* host = nullptr;          // in a replay: to be filled, and nothing is launched
};

class Capture {
 public:
  int recorded_device = -1;  // whose stream is being recorded; -1: a replay is being prepared
  virtual RandomKey key(const char* op, uint64_t seed, uint64_t call) = 0;
  // For a call of an optimizer's step. A replay asks for the same parts in the same order.
  virtual Replayed values(const char* op, size_t bytes) = 0;

 protected:
  ~Capture() = default;
};

inline constinit thread_local Capture* capture = nullptr;  // under way in this thread

inline Replayed replayed_values(const char* op, size_t bytes) {
  return capture != nullptr ? capture->values(op, bytes) : Replayed{};
}

}  // namespace cnnx::cuda
