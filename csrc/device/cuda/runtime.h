// What the rest of the library asks of the CUDA backend. The .cu files of this folder answer where a CUDA compiler built it; else
// absent.cpp, which knows no device. No CUDA header is needed here.
#pragma once

#include <string>

#include "cnnx/api.h"
#include "cnnx/device.h"
#include "device/allocator.h"
#include "device/queue.h"

namespace cnnx {
namespace cuda CNNX_INTERNAL_API {

// The backend of this build: "CUDA 13.0.88, machine code for 90, PTX of 75", or why there is none.
bool is_built();
std::string build_text();
// 0 where there is no driver or no card.
int device_count();
// What CUDA says if there is none; else empty.
std::string no_device_text();
// Throws Error unless tensors can live on the device; `op` says who asks.
void check_device(const char* op, int device);
std::string device_name(int device);
// What "cuda" without a number means in this thread: CUDA's current device, which other libraries set and read as well. No call
// here changes it but set_current_device().
int current_device();
void set_current_device(int device);

struct DeviceProperties {
  std::string name;
  size_t total_memory;  // bytes
  int major, minor;     // of the compute capability
  int multi_processor_count, warp_size, max_threads_per_multi_processor;
  int l2_cache_bytes;
};
DeviceProperties device_properties(int device);
struct FreeMemory {
  size_t free = 0, total = 0;  // bytes of the device, as the driver sees them
};
FreeMemory free_memory(int device);

// Memory from a pool that is ordered by the device's stream: what is freed may be handed out at once, since whatever runs then
// runs later.
Allocator& pool(int device);
struct MemoryStats {
  size_t in_use = 0, peak = 0, cached = 0;  // bytes
};
MemoryStats memory_stats(int device);
void reset_peak(int device);
void release_cached(int device);

// The device whose memory the address lies in (managed memory: where it was made); -1 for any other address.
int device_of_pointer(const void* pointer);

// Copies after everything given to the devices before. Only a copy within one device does not wait.
void copy(const char* op, void* to, Device to_device, const void* from, Device from_device, size_t bytes);

// The device's stream, made ready for use, and its pool.
Queue queue(int device);
// Whether the calling thread captures a CUDA graph (core/cuda/graph.h), on any device or on this one.
bool is_capturing();
bool is_capturing(int device);
void refuse_in_capture(const char* op);  // throws if so

}  // namespace cuda CNNX_INTERNAL_API
}  // namespace cnnx

namespace cnnx {

inline Queue queue_of(const Device& device) { return device.is_cuda() ? cuda::queue(device.index) : kHost; }
inline Allocator& pool_of(const Device& device) { return device.is_cuda() ? cuda::pool(device.index) : host_pool(); }

}  // namespace cnnx
