// Instructions that C++ has no words for, each with a twin for the emulation (CNNX_CUDA_ON_CPU). Kernels write no inline assembly
// anywhere else.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace cnnx::cuda {

// Copies 16 or 4 bytes (both addresses aligned to as many) from device to shared memory without passing through registers; they
// are there after copy_async_commit() and copy_async_wait<n>(), which leaves the last n commits under way, and a barrier. Before
// compute capability 8.0 these are plain copies; in the emulation they happen no earlier than the wait.
#if defined(CNNX_CUDA_ON_CPU)
inline void copy_async_16(void* shared, const void* global) { ::cuda_on_cpu::copy_late(shared, global, 16); }
inline void copy_async_4(void* shared, const void* global) { ::cuda_on_cpu::copy_late(shared, global, 4); }
inline void copy_async_commit() { ::cuda_on_cpu::commit_copies(); }
template <int kUnderWay>
inline void copy_async_wait() {
  ::cuda_on_cpu::wait_copies(kUnderWay);
}
#elif !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
__device__ inline void copy_async_16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
               "l"(global)
               : "memory");
}
__device__ inline void copy_async_4(void* shared, const void* global) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
               "l"(global)
               : "memory");
}
__device__ inline void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kUnderWay>
__device__ inline void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kUnderWay) : "memory");
}
#else
__device__ inline void copy_async_16(void* shared, const void* global) {
  *static_cast<float4*>(shared) = *static_cast<const float4*>(global);
}
__device__ inline void copy_async_4(void* shared, const void* global) {
  *static_cast<float*>(shared) = *static_cast<const float*>(global);
}
__device__ inline void copy_async_commit() {}
template <int kUnderWay>
__device__ inline void copy_async_wait() {}
#endif

}  // namespace cnnx::cuda
