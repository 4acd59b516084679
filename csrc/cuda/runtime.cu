// Devices, memory and copies.
//
// Every device has one stream, to which all of its work is given; so what was freed can be handed out again at once, because whoever
// gets it writes later in the same stream. Blocks that are freed are kept, as on the CPU (core/allocator.cpp).
#include "cuda/runtime.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "build_config.h"
#include "cnnx/error.h"
#include "cuda/stream.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/special.h"

namespace cnnx::cuda {
namespace {

struct DeviceState {
  cudaStream_t stream = nullptr;
  int32_t* faults = nullptr;  // one word per Fault, in pinned memory
  std::string name;
  std::string unusable;  // why no kernel of this build runs there; empty if they do
  std::mutex mutex;
  std::unordered_map<size_t, std::vector<void*>> free_blocks;
  MemoryStats stats;
};

// Never destroyed: storages may outlive static destruction, and the driver may be gone by then.
std::vector<std::unique_ptr<DeviceState>>& devices() {
  static auto* all = [] {
    auto* result = new std::vector<std::unique_ptr<DeviceState>>;
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) {
      cudaGetLastError();  // no driver: no devices, and no error for whoever asks next
      count = 0;
    }
    for (int i = 0; i < count; ++i) result->push_back(std::make_unique<DeviceState>());
    return result;
  }();
  return *all;
}

thread_local int selected = -1;

void set_device(int device) {
  if (selected == device) return;
  check("set_device", cudaSetDevice(device));
  selected = device;
}

// The state of a device, made ready on first use.
DeviceState& state(const char* op, int device) {
  auto& all = devices();
  if (device < 0 || device >= static_cast<int>(all.size()))
    throw Error(all.empty() ? message(op, ": cuda:", device, ": no CUDA device is available")
                            : message(op, ": there is no CUDA device cuda:", device, "; there are ", all.size()));
  DeviceState& s = *all[static_cast<size_t>(device)];
  std::lock_guard lock(s.mutex);
  if (s.stream == nullptr && s.unusable.empty()) {
    set_device(device);
    cudaDeviceProp properties;
    check(op, cudaGetDeviceProperties(&properties, device));
    s.name = properties.name;
    if (const char* why = unsupported_architecture(); why != nullptr)
      s.unusable = message("cuda:", device, " is a ", s.name, " of architecture ", properties.major, properties.minor,
                           ", for which this build has no kernels (it has ", CNNX_CUDA_TEXT, "): ", why);
    else {
      check(op, cudaMallocHost(reinterpret_cast<void**>(&s.faults), sizeof(int32_t) * static_cast<size_t>(Fault::count)));
      std::fill_n(s.faults, static_cast<size_t>(Fault::count), 0);
      check(op, cudaStreamCreateWithFlags(&s.stream, cudaStreamNonBlocking));
    }
  }
  if (!s.unusable.empty()) throw Error(message(op, ": ", s.unusable));
  return s;
}

// As on the CPU: four steps per power of two, so that blocks of like sizes can stand in for each other.
size_t size_class(size_t bytes) {
  constexpr size_t kAlignment = 512;
  bytes = std::max(bytes, kAlignment);
  const size_t step = std::max(kAlignment, std::bit_floor(bytes) / 4);
  return (bytes + step - 1) / step * step;
}

// Waits for the device, then throws what its kernels found wrong since the last time.
void wait(const char* op, DeviceState& s) {
  check(op, cudaStreamSynchronize(s.stream));
  const auto found = [&](Fault fault) {
    return std::atomic_ref(s.faults[static_cast<int>(fault)]).exchange(0, std::memory_order_relaxed) != 0;
  };
  const bool target = found(Fault::class_target), index = found(Fault::row_index), probability = found(Fault::probability);
  if (target) throw IndexError(message(op, ": a class index given to a loss (cross_entropy, nll_loss) before is out of range"));
  if (index) throw IndexError(message(op, ": an index of samples given to a gather before is out of range"));
  if (probability) throw Error(message(op, ": binary_cross_entropy: all elements of input and target should be between 0 and 1"));
}

// Under the lock of `s`.
void free_cached(DeviceState& s) {
  for (auto& [size, blocks] : s.free_blocks) {
    while (!blocks.empty()) {
      void* block = blocks.back();
      blocks.pop_back();
      s.stats.cached -= size;
      check("empty_cache", cudaFree(block));
    }
  }
}

}  // namespace

bool is_built() { return true; }
std::string build_text() { return CNNX_CUDA_TEXT; }
int device_count() { return static_cast<int>(devices().size()); }
void check_device(const char* op, int device) { state(op, device); }
std::string device_name(int device) { return state("device_name", device).name; }

cudaStream_t stream() { return state("stream", selected).stream; }
int32_t* faults() { return state("stream", selected).faults; }
void select(int device) {
  state("select", device);
  set_device(device);
}

void* allocate(size_t bytes, int device) {
  DeviceState& s = state("empty", device);
  const size_t size = size_class(bytes);
  std::lock_guard lock(s.mutex);
  auto& blocks = s.free_blocks[size];
  void* block = nullptr;
  if (!blocks.empty()) {
    block = blocks.back();
    blocks.pop_back();
    s.stats.cached -= size;
  } else {
    set_device(device);
    cudaError_t error = cudaMalloc(&block, size);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      free_cached(s);
      error = cudaMalloc(&block, size);
    }
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      size_t free = 0, total = 0;
      check("empty", cudaMemGetInfo(&free, &total));
      throw Error(message("out of memory: asked for ", bytes, " bytes on cuda:", device, ", which has ", free, " of ", total,
                          " free; cnnx uses ", s.stats.in_use));
    }
    check("empty", error);
  }
  s.stats.in_use += size;
  s.stats.peak = std::max(s.stats.peak, s.stats.in_use);
  block_lent(block, bytes, size, s.stream);
  return block;
}

void deallocate(void* block, size_t bytes, int device) {
  if (block == nullptr) return;
  DeviceState& s = *devices()[static_cast<size_t>(device)];
  const size_t size = size_class(bytes);
  std::lock_guard lock(s.mutex);
  s.stats.in_use -= size;
  s.stats.cached += size;
  block_returned(block, s.stream);
  s.free_blocks[size].push_back(block);
}

MemoryStats memory_stats(int device) {
  DeviceState& s = state("memory_stats", device);
  std::lock_guard lock(s.mutex);
  return s.stats;
}

void reset_peak(int device) {
  DeviceState& s = state("reset_peak_memory_stats", device);
  std::lock_guard lock(s.mutex);
  s.stats.peak = s.stats.in_use;
}

void release_cached(int device) {
  DeviceState& s = state("empty_cache", device);
  set_device(device);
  std::lock_guard lock(s.mutex);
  free_cached(s);
}

void copy(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (bytes == 0) return;
  if (to_device.is_cuda() && from_device.is_cuda() && to_device.index != from_device.index) {
    // The target's stream waits for what the source's was given, and for its own.
    DeviceState& source = state("copy", from_device.index);
    DeviceState& target = state("copy", to_device.index);
    set_device(from_device.index);
    cudaEvent_t ready;
    check("copy", cudaEventCreateWithFlags(&ready, cudaEventDisableTiming));
    check("copy", cudaEventRecord(ready, source.stream));
    set_device(to_device.index);
    check("copy", cudaStreamWaitEvent(target.stream, ready, 0));
    check("copy", cudaEventDestroy(ready));
    check("copy", cudaMemcpyPeerAsync(to, to_device.index, from, from_device.index, bytes, target.stream));
    wait("copy", target);  // the source's block may be freed and reused in its own stream
    return;
  }
  const int device = to_device.is_cuda() ? to_device.index : from_device.index;
  DeviceState& s = state("copy", device);
  set_device(device);
  check("copy", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, s.stream));
  if (!to_device.is_cuda() || !from_device.is_cuda()) wait("copy", s);
}

void set_zero(void* data, size_t bytes, int device) {
  if (bytes == 0) return;
  DeviceState& s = state("zeros", device);
  set_device(device);
  check("zeros", cudaMemsetAsync(data, 0, bytes, s.stream));
}

void synchronize(int device) {
  DeviceState& s = state("synchronize", device);
  set_device(device);
  wait("synchronize", s);
}

}  // namespace cnnx::cuda
