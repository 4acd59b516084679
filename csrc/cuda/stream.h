// The stream that work on a device is given to. For the .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace cnnx::cuda {

// Of the device that kernels<T>(device), element_kernels(device) or select(device) chose last in this thread.
cudaStream_t stream();
void select(int device);

// What a kernel may find wrong with the data it reads, where a CPU kernel's caller would have looked first. It leaves the bad element out
// and sets faults()[kind] to 1 (of the selected device; memory that the host reads without a copy). The next call that waits for the
// device throws, and clears it.
enum class Fault { class_target, row_index, probability, count };
int32_t* faults();

}  // namespace cnnx::cuda
