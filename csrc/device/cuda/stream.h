// The stream that work on a device is given to. For the .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace cnnx::cuda {

// Memory of a device from a pool that is ordered by the device's stream: what is freed may be handed out at once, since whatever
// runs then runs later. Throws Error, saying what was asked and what is free.
void* allocate(size_t bytes, int device);
void deallocate(void* block, size_t bytes, int device);

// The stream of a device, made ready for use; `op` says who asks.
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
// element out and sets faults(device)[kind] to 1 (memory that the host reads without a copy). The next call
// that waits for the device throws, and clears it.
enum class Fault { class_target, row_index, probability, count };
int32_t* faults(int device);
// Throws, after a wait for the device, what its kernels found wrong since the last time.
void throw_faults(const char* op, int device);

}  // namespace cnnx::cuda
