// What the two halves of the convolutions share (conv2d.cu: forward and input gradient, conv2d_weight.cu: weight gradient).
#pragma once

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/divide.h"

namespace cnnx::cuda {

// Vectors that one instruction moves from shared memory, 16 bytes at a time.
template <class T, int kCount>
struct alignas((kCount * sizeof(T)) % 16 == 0 ? 16 : sizeof(T)) WeightPack {
  T v[kCount];
};

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace cnnx::cuda
