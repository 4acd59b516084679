// What softmax and the losses share: maxima and sums of rows by groups of lanes, and sums over a grid in a fixed order.
#pragma once

#include "kernels/cuda/cuda.h"

namespace cnnx::cuda {

constexpr int kRowThreads = 256;

// How a row of `length` neighbouring values is read: lane l of a group of lanes_for(length) reads l, l + lanes, ... A block of
// 256 threads holds 256 / lanes rows. The functions are called by all lanes of a warp, and return the same to every lane of a
// group.
inline int lanes_for(int64_t length) {
  int lanes = 1;
  while (lanes < 32 && lanes < length) lanes *= 2;
  return lanes;
}

template <class T>
__device__ inline T group_sum(T value, int lanes = 32) {
  for (int step = lanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}
template <class T>
__device__ inline T group_max(T value, int lanes = 32) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(0xffffffffu, value, step);
    value = other > value ? other : value;
  }
  return value;
}

// A group of lanes as the reader of a row. A reader knows its thread's lane, and how many there are; sum() and maximum() are of
// what all lanes hold.
struct Group {
  int lane, lanes;
  template <class T>
  __device__ T sum(T value) const {
    return group_sum(value, lanes);
  }
  template <class T>
  __device__ T maximum(T value) const {
    return group_max(value, lanes);
  }
};

// The maximum of a row and the sum of exp(x - maximum). A NaN is left out of the maximum, and makes the sum NaN.
template <class T>
struct RowNorm {
  T shift, sum;
};
template <class T, class Reader>
__device__ inline RowNorm<T> row_norm(const Reader& reader, const T* row, int64_t length, int64_t step,
                                      bool finite_shift = false) {
  T best = T(-INFINITY);
  for (int64_t r = reader.lane; r < length; r += reader.lanes) {
    const T value = row[r * step];
    if (value > best) best = value;
  }
  best = reader.maximum(best);
  if (finite_shift && isinf(best)) best = 0;
  T sum = 0;
  for (int64_t r = reader.lane; r < length; r += reader.lanes) sum += exp(row[r * step] - best);
  return {best, reader.sum(sum)};
}

// The sum over a block of 256 threads, for thread 0.
__device__ inline double block_sum(double value) {
  CNNX_SHARED(double, warps, [kRowThreads / 32]);
  value = group_sum(value);
  __syncthreads();  // the last sum has been read
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int i = 1; i < kRowThreads / 32; ++i) value += warps[i];
  return value;
}

constexpr int kMaxSumBlocks = 1024;
struct GridSums {
  unsigned arrived;  // blocks that have left their sums; the last one sets it back to zero
  double first[kMaxSumBlocks], second[kMaxSumBlocks];
};

// Sums two numbers of every thread over a grid of at most kMaxSumBlocks blocks, in the order of the blocks whoever comes first.
// Returns true to thread 0 of the last block, with the sums.
__device__ inline bool grid_sum(GridSums& sums, double& first, double& second) {
  CNNX_SHARED(bool, last, );
  first = block_sum(first);
  second = block_sum(second);
  if (threadIdx.x == 0) {
    sums.first[blockIdx.x] = first;
    sums.second[blockIdx.x] = second;
    __threadfence();
    last = atomicAdd(&sums.arrived, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return false;
  __threadfence();
  const volatile GridSums& left = sums;
  first = second = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kRowThreads) {
    first += left.first[i];
    second += left.second[i];
  }
  first = block_sum(first);
  second = block_sum(second);
  if (threadIdx.x != 0) return false;
  sums.arrived = 0;
  return true;
}

}  // namespace cnnx::cuda
