// Every kernel launch and every check of a CUDA call goes through here, and shared memory is declared here, so that one source
// compiles with nvcc and, with CNNX_CUDA_ON_CPU, with the host compiler for the emulation under tests/cuda_on_cpu (docs/cuda.md).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

#include "device/queue.h"

#ifdef CNNX_CUDA_ON_CPU
#include <tuple>
// CNNX_SHARED(float, tile, [16][17]) declares the block's array tile; CNNX_DYNAMIC_SHARED(float, buffer) the pointer buffer to
// the shared bytes that the launch asked for, aligned to 16.
#define CNNX_SHARED(type, name, ...)              \
  using name##_shared_type = type __VA_ARGS__;    \
  static char name##_shared_tag;                  \
  auto& name = *static_cast<name##_shared_type*>( \
      ::cuda_on_cpu::shared_array(&name##_shared_tag, #name, sizeof(name##_shared_type), alignof(name##_shared_type)))
#define CNNX_DYNAMIC_SHARED(type, name) type* name = static_cast<type*>(::cuda_on_cpu::dynamic_shared())
#else
#define CNNX_SHARED(type, name, ...) __shared__ type name __VA_ARGS__
#define CNNX_DYNAMIC_SHARED(type, name)                                \
  extern __shared__ __align__(16) unsigned char cnnx_dynamic_shared[]; \
  type* name = reinterpret_cast<type*>(cnnx_dynamic_shared)
#endif

namespace cnnx::cuda {

// What an allocator on top of cudaMalloc says about the blocks it hands out, so that the emulation can poison them and guard the
// bytes between what was asked for and the block's capacity, in the stream's order. On a device these cost nothing and do
// nothing.
#ifdef CNNX_CUDA_ON_CPU
using ::cuda_on_cpu::block_lent;
using ::cuda_on_cpu::block_returned;
#else
inline void block_lent(void* /*block*/, std::size_t /*bytes*/, std::size_t /*capacity*/, cudaStream_t) {}
inline void block_returned(void* /*block*/, cudaStream_t) {}
#endif

// Throws what CUDA has to say against `op`.
[[noreturn]] void refuse(const char* op, cudaError_t status);
inline void check(const char* op, cudaError_t status) {
  if (status != cudaSuccess) refuse(op, status);
}

// Makes a device CUDA's current one, and puts back what was. The current device is the thread's and not ours: PyTorch or CuPy in
// the same thread set it too, and rely on it. So it is asked for each time, which costs a look at a variable of the thread's.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    if (device < 0) return;
    int current = 0;
    check("current_device", cudaGetDevice(&current));
    if (current == device) return;
    check("set_device", cudaSetDevice(device));
    before_ = current;
  }
  ~OnDevice() {
    // A card that this program has not used yet may refuse. Then the next call must not be told so, and the device stays.
    if (before_ >= 0 && cudaSetDevice(before_) != cudaSuccess) cudaGetLastError();
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = -1;
};

#ifndef CNNX_CUDA_ON_CPU
// The part of a launch that does not depend on the kernel: arguments[i] is where parameter i lies.
void launch_at(const char* op, const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes, const Queue& queue,
               void** arguments);
template <class... Params>
void launch_with(const char* op, const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes, const Queue& queue,
                 Params... values) {
  void* arguments[] = {&values...};
  launch_at(op, kernel, grid, block, shared_bytes, queue, arguments);
}
#endif

// launch("relu", relu_kernel<float>, grid, block, shared_bytes, queue, arguments...). An empty grid launches
// nothing, nor does a rehearsal, which is for the scratch memory that a call takes.
template <class... Params, class... Args>
void launch(const char* op, void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t shared_bytes, const Queue& queue,
            Args&&... args) {
  static_assert(sizeof...(Params) == sizeof...(Args), "as many arguments as the kernel has parameters");
  static_assert((std::size_t{0} + ... + sizeof(Params)) <= 4096, "a kernel takes at most 4096 bytes of parameters");
  static_assert((std::is_trivially_copyable_v<Params> && ...), "parameters are copied to the device byte by byte");
#ifdef CNNX_CUDA_ON_CPU
  if (queue.rehearses || grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const OnDevice on(queue.device);
  const std::tuple<std::remove_cv_t<Params>...> values(static_cast<Params>(args)...);
  ::cuda_on_cpu::PointerArgument pointers[sizeof...(Params) + 1];
  int parameter = 0, count = 0;
  const auto collect = [&](const auto& value) {
    ++parameter;
    if constexpr (std::is_pointer_v<std::remove_cvref_t<decltype(value)>>) pointers[count++] = {value, parameter};
  };
  std::apply([&](const auto&... value) { (collect(value), ...); }, values);
  ::cuda_on_cpu::launch(
      op, reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, static_cast<cudaStream_t>(queue.stream),
      [kernel, values] { std::apply(kernel, values); }, pointers, count);
  check(op, cudaGetLastError());
#else
  launch_with<std::remove_cv_t<Params>...>(op, reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, queue,
                                           static_cast<Params>(args)...);
#endif
}

}  // namespace cnnx::cuda
