// What launches and checks share, compiled once: headers of the standard library cost every .cu file a second or two, so the
// kernels' headers leave out strings and exceptions.
#include "device/cuda/launch.h"

#include "cnnx/error.h"

namespace cnnx::cuda {

void refuse(const char* op, cudaError_t status) {
  cudaGetLastError();  // told once
  throw Error(message(op, ": CUDA error: ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")"));
}

#ifndef CNNX_CUDA_ON_CPU
void launch_at(const char* op, const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes, const Queue& queue,
               void** arguments) {
  if (queue.rehearses || grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const OnDevice on(queue.device);  // a launch into the stream of another device than the current one fails
  check(op, cudaLaunchKernel(kernel, grid, block, arguments, shared_bytes, static_cast<cudaStream_t>(queue.stream)));
}
#endif

}  // namespace cnnx::cuda
