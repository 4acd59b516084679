// Streams as the rest of the emulation sees them.
#pragma once

#include <functional>

#include "internal.h"

namespace cuda_on_cpu {

using Work = std::function<cudaError_t()>;

// Runs the work now (streams run at once), later (deferred), or records it (capture). What work that is deferred answers is told
// by whoever waits for it.
cudaError_t enqueue(cudaStream_t stream, Work work);
cudaError_t drain_stream(cudaStream_t stream);
cudaError_t drain_device(int device);
cudaError_t drain_all();
int device_of(cudaStream_t stream);  // -1: no stream
bool is_capturing(cudaStream_t stream);
cudaError_t forbidden_in_capture();  // an error, which ends the capture, if any stream captures

cudaError_t fail(cudaError_t error);  // keeps it for cudaGetLastError()
int device();                         // the calling thread's
bool no_device();

}  // namespace cuda_on_cpu
