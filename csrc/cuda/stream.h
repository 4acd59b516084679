// The stream that work on a device is given to. For the .cu files.
#pragma once

#include <cuda_runtime.h>

namespace cnnx::cuda {

// Of the device that kernels<T>(device), element_kernels(device) or select(device) chose last in this thread.
cudaStream_t stream();
void select(int device);
// The number of its multiprocessors, to size grids by.
int multiprocessors();

}  // namespace cnnx::cuda
