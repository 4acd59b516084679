// The stream that work on a device is given to. For the .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace cnnx::cuda {

// Of the device that kernels<T>(device), element_kernels(device) or select(device) chose last in this thread. That device need
// not be CUDA's current one: launch() makes it so.
cudaStream_t stream();
void select(int device);
// Of any device, made ready for use; `op` says who asks.
cudaStream_t stream_of(const char* op, int device);

// While one lives, this thread's cudaMalloc, queries of events and the like do not end a capture that another library has begun:
// they concern none of its streams, but in CUDA's stricter modes they are refused for their own sake.
class OutsideCaptures {
 public:
  OutsideCaptures() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~OutsideCaptures() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  OutsideCaptures(const OutsideCaptures&) = delete;
  OutsideCaptures& operator=(const OutsideCaptures&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;  // what was, between the two
};

// What a kernel may find wrong with the data it reads, where a CPU kernel's caller would have looked first. It leaves the bad
// element out and sets faults()[kind] to 1 (of the selected device; memory that the host reads without a copy). The next call
// that waits for the device throws, and clears it.
enum class Fault { class_target, row_index, probability, count };
int32_t* faults();
// Throws, after a wait for the device, what its kernels found wrong since the last time.
void throw_faults(const char* op, int device);

}  // namespace cnnx::cuda
