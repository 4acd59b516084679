// For kernels with one thread per position of (plane, y, x), a plane being one channel of one image.
#pragma once

#include <algorithm>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/divide.h"

namespace cnnx::cuda {

constexpr int kPlaneThreads = 256;

// Calls f(first plane, number of planes, blocks of kPlaneThreads threads) for parts of the planes whose positions, and values of
// at most `largest` a plane, can be counted in 32 bits. Almost always there is one part.
template <class F>
void for_planes(const char* op, int64_t planes, int64_t positions, int64_t largest, const F& f) {
  if (planes == 0 || positions == 0) return;
  largest = std::max(largest, positions);
  to_index(op, largest + kPlaneThreads);
  const int64_t most = (kMaxIndex - kPlaneThreads) / largest;
  for (int64_t first = 0; first < planes; first += most) {
    const int64_t count = std::min(most, planes - first);
    f(first, static_cast<int>(count), dim3(static_cast<unsigned>((count * positions + kPlaneThreads - 1) / kPlaneThreads)));
  }
}

// The thread's number in the launch.
__device__ inline int plane_thread() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

}  // namespace cnnx::cuda
