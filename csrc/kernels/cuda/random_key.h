// The key of a kernel's random numbers: numbers, or in a captured graph what the replay has put in their place.
#pragma once

#include "cnnx/random.h"
#include "kernels/cuda/cuda.h"

namespace cnnx::cuda {

// What philox4x32 takes as key and counter_hi.
struct RandomKey {
  uint64_t seed, call;
  const RandomState* replayed;  // not null: the seed is there, and what `call` is counted from
  __device__ RandomKey now() const {
    return replayed == nullptr ? *this : RandomKey{replayed->seed, replayed->calls + call, nullptr};
  }
};

// Every kernel that draws takes its key from here.
RandomKey random_key(const Queue& queue, const char* op, uint64_t seed, uint64_t call);

}  // namespace cnnx::cuda
