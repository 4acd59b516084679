// The key of a kernel's random numbers. Every kernel that draws takes it from here.
#pragma once

#include "device/cuda/capture.h"
#include "kernels/cuda/cuda.h"

namespace cnnx::cuda {

inline RandomKey random_key(const Queue& queue, const char* op, uint64_t seed, uint64_t call) {
  const bool recorded = capture != nullptr && capture->recorded_device == queue.device;
  return recorded ? capture->key(op, seed, call) : RandomKey{seed, call, nullptr};
}

// What philox4x32 takes as key and counter_hi.
__device__ inline RandomKey now(const RandomKey& key) {
  return key.replayed == nullptr ? key : RandomKey{key.replayed->seed, key.replayed->calls + key.call, nullptr};
}

}  // namespace cnnx::cuda
