// Devices, memory and copies.
//
// Every device has one stream, to which all of its work is given; so what was freed can be handed out again at once, because
// whoever gets it writes later in the same stream. Blocks that are freed are kept, as on the CPU (device/allocator.cpp).
#include "device/cuda/runtime.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "build_config.h"
#include "cnnx/error.h"
#include "device/cuda/capture.h"
#include "device/cuda/graph_memory.h"
#include "device/cuda/launch.h"
#include "device/cuda/mark.h"
#include "device/cuda/stream.h"
#include "device/cuda/streams.h"
#include "device/cuda/transfer.h"

namespace cnnx::cuda {

using FreeBlocks = std::unordered_map<size_t, std::vector<void*>>;  // by size

struct GraphMemory {
  FreeBlocks free_blocks;
  bool released = false;
};

namespace {

class Pool final : public Allocator {
 public:
  explicit Pool(int device) : device_(device) {}
  void* allocate(size_t bytes) override { return cuda::allocate(bytes, device_); }
  void free(void* block, size_t bytes) noexcept override { deallocate(block, bytes, device_); }

 private:
  int device_;
};

struct DeviceState {
  explicit DeviceState(int device) : pool(device) {}
  Pool pool;
  cudaStream_t stream = nullptr;
  int32_t* faults = nullptr;  // one word per Fault, in pinned memory
  std::string name;
  std::string unusable;  // why no kernel of this build runs there; empty if they do
  std::mutex mutex;
  FreeBlocks free_blocks;
  MemoryStats stats;
  std::unordered_map<void*, std::shared_ptr<GraphMemory>> owners;  // of the blocks that belong to graphs
  std::shared_ptr<GraphMemory> capturing;                          // the memory of the graph that is being captured
  std::thread::id capturer;
  std::vector<std::pair<void*, size_t>> freed_meanwhile;  // blocks that are not that graph's
};

struct Devices {
  std::vector<std::unique_ptr<DeviceState>> all;
  std::string why_none;
};

// CUDA does not survive a fork. The child keeps what the parent knew of the devices, but cannot use them.
std::atomic<bool> forked{false};

// Never destroyed: storages may outlive static destruction, and the driver may be gone by then.
Devices& known_devices() {
  static auto* known = [] {
    auto* result = new Devices;
    int count = 0;
    if (const cudaError_t status = cudaGetDeviceCount(&count); status != cudaSuccess) {
      cudaGetLastError();  // no error for whoever asks next
      result->why_none = cudaGetErrorString(status);
      count = 0;
    }
    for (int i = 0; i < count; ++i) result->all.push_back(std::make_unique<DeviceState>(i));
    pthread_atfork(nullptr, nullptr, [] { forked = true; });
    return result;
  }();
  return *known;
}

std::vector<std::unique_ptr<DeviceState>>& devices() { return known_devices().all; }

void refuse_fork(const char* op) {
  if (forked.load(std::memory_order_relaxed))
    throw Error(message(op, ": this process was forked after CUDA was used, and CUDA does not survive that; start it by ",
                        "multiprocessing's \"spawn\" method, or use CUDA in it alone"));
}

// The state of a device, ready for use or not.
DeviceState& records(const char* op, int device) {
  auto& all = devices();
  refuse_fork(op);
  if (device < 0 || device >= static_cast<int>(all.size()))
    throw Error(all.empty() ? message(op, ": cuda:", device, ": no CUDA device is available: ", no_device_text())
                            : message(op, ": there is no CUDA device cuda:", device, "; there are ", all.size()));
  return *all[static_cast<size_t>(device)];
}

__global__ void nothing() {}

// Whether this build holds kernels for CUDA's current device: null, or what CUDA says.
const char* unsupported_architecture() {
  cudaFuncAttributes attributes;
  const cudaError_t error = cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&nothing));
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();
  return cudaGetErrorString(error);
}

// Made ready on first use.
DeviceState& state(const char* op, int device) {
  DeviceState& s = records(op, device);
  std::lock_guard lock(s.mutex);
  if (s.stream == nullptr && s.unusable.empty()) {
    const OnDevice on(device);
    const OutsideCaptures relaxed;
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
  if (s.capturing != nullptr && s.capturer != std::this_thread::get_id())
    throw Error(message(op, ": another thread is capturing a CUDA graph on cuda:", device));
  return s;
}

// As on the CPU: four steps per power of two, so that blocks of like sizes can stand in for each other.
size_t size_class(size_t bytes) {
  constexpr size_t kAlignment = 512;
  bytes = std::max(bytes, kAlignment);
  const size_t step = std::max(kAlignment, std::bit_floor(bytes) / 4);
  return (bytes + step - 1) / step * step;
}

// For what has to wait for the device.
void refuse_capture(const char* op, const DeviceState& s) {
  if (s.capturing != nullptr)
    throw Error(message(op, ": has to wait for the device, which runs nothing while a CUDA graph is being captured"));
}

void throw_found(const char* op, DeviceState& s) {
  const auto found = [&](Fault fault) {
    return std::atomic_ref(s.faults[static_cast<int>(fault)]).exchange(0, std::memory_order_relaxed) != 0;
  };
  const bool target = found(Fault::class_target), index = found(Fault::row_index), probability = found(Fault::probability);
  if (target) throw IndexError(message(op, ": a class index given to a loss (cross_entropy, nll_loss) before is out of range"));
  if (index) throw IndexError(message(op, ": an index of samples given to a gather before is out of range"));
  if (probability) throw Error(message(op, ": binary_cross_entropy: all elements of input and target should be between 0 and 1"));
}

void wait(const char* op, DeviceState& s) {
  check(op, cudaStreamSynchronize(s.stream));
  run_releases();
  throw_found(op, s);
}

void* take(FreeBlocks& blocks, size_t size) {
  const auto found = blocks.find(size);
  if (found == blocks.end() || found->second.empty()) return nullptr;
  void* block = found->second.back();
  found->second.pop_back();
  return block;
}

// A free block of that size, or null. Under the lock of `s`, as what follows.
void* take_cached(DeviceState& s, size_t size) {
  void* block = s.capturing != nullptr ? take(s.capturing->free_blocks, size) : nullptr;
  if (block == nullptr) block = take(s.free_blocks, size);
  if (block != nullptr) s.stats.cached -= size;
  return block;
}

// Keeps a block that nobody uses for its next user.
void put_back(DeviceState& s, void* block, size_t size) {
  const auto owner = s.owners.find(block);
  const bool is_graphs = owner != s.owners.end() && !owner->second->released;
  // A capture takes down what it is told of a block, which is right for the graph's own alone.
  if (s.capturing != nullptr && !(is_graphs && owner->second == s.capturing)) {
    s.freed_meanwhile.emplace_back(block, size);
    return;
  }
  block_returned(block, s.stream);
  (is_graphs ? owner->second->free_blocks : s.free_blocks)[size].push_back(block);
  if (!is_graphs && owner != s.owners.end()) s.owners.erase(owner);
}

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

bool is_capturing() { return capture != nullptr && capture->recorded_device >= 0; }
bool is_capturing(int device) { return is_capturing() && capture->recorded_device == device; }
void refuse_in_capture(const char* op) {
  if (is_capturing()) throw Error(message(op, ": cannot be done while a CUDA graph is being captured"));
}

bool is_built() { return true; }
std::string build_text() { return CNNX_CUDA_TEXT; }
std::string no_device_text() {
  const Devices& known = known_devices();
  return known.all.empty() && known.why_none.empty() ? "CUDA counts none" : known.why_none;
}
int device_count() { return static_cast<int>(devices().size()); }
size_t block_bytes(size_t bytes) { return size_class(bytes); }
void check_device(const char* op, int device) { state(op, device); }
std::string device_name(int device) { return state("device_name", device).name; }

int current_device() {
  int device = 0;
  refuse_fork("current_device");
  if (device_count() > 0) check("current_device", cudaGetDevice(&device));
  return device;
}

void set_current_device(int device) {
  state("set_device", device);
  check("set_device", cudaSetDevice(device));
}

DeviceProperties device_properties(int device) {
  state("get_device_properties", device);
  cudaDeviceProp p;
  check("get_device_properties", cudaGetDeviceProperties(&p, device));
  return {p.name,       p.totalGlobalMem, p.major, p.minor, p.multiProcessorCount, p.warpSize, p.maxThreadsPerMultiProcessor,
          p.l2CacheSize};
}

FreeMemory free_memory(int device) {
  state("mem_get_info", device);
  const OnDevice on(device);
  FreeMemory memory;
  check("mem_get_info", cudaMemGetInfo(&memory.free, &memory.total));
  return memory;
}

Queue queue(int device) {
  DeviceState& s = state("stream", device);
  return {device, s.stream, &s.pool};
}
Allocator& pool(int device) { return state("empty", device).pool; }
int32_t* faults(int device) { return state("stream", device).faults; }
cudaStream_t stream_of(const char* op, int device) { return state(op, device).stream; }
void throw_faults(const char* op, int device) { throw_found(op, state(op, device)); }

void* allocate(size_t bytes, int device) {
  DeviceState& s = state("empty", device);
  const size_t size = size_class(bytes);
  std::unique_lock lock(s.mutex);
  void* block = take_cached(s, size);
  if (block == nullptr) {
    lock.unlock();
    run_releases();
    const bool holds = holds_until_idle(device);
    lock.lock();
    block = take_cached(s, size);
    if (block == nullptr && holds && s.capturing == nullptr) {
      lock.unlock();
      release_idle("empty", device);
      lock.lock();
      block = take_cached(s, size);
    }
  }
  if (block == nullptr) {
    const OnDevice on(device);
    const OutsideCaptures relaxed;
    cudaError_t error = cudaMalloc(&block, size);
    if (error == cudaErrorMemoryAllocation && s.capturing == nullptr) {  // giving memory back waits for the device
      cudaGetLastError();
      lock.unlock();
      release_uploads(device);
      lock.lock();
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
  if (s.capturing != nullptr) s.owners[block] = s.capturing;
  s.stats.in_use += size;
  s.stats.peak = std::max(s.stats.peak, s.stats.in_use);
  block_lent(block, bytes, size, s.stream);
  return block;
}

void deallocate(void* block, size_t bytes, int device) {
  if (block == nullptr) return;
  if (was_lent(block)) return when_consumed(device, Consumer::blocking, [=] { deallocate(block, bytes, device); });
  DeviceState& s = *devices()[static_cast<size_t>(device)];
  const size_t size = size_class(bytes);
  std::lock_guard lock(s.mutex);
  s.stats.in_use -= size;
  s.stats.cached += size;
  put_back(s, block, size);
}

std::shared_ptr<GraphMemory> begin_graph_memory(int device) {
  DeviceState& s = state("capture_begin", device);
  std::lock_guard lock(s.mutex);
  if (s.capturing != nullptr)  // by a thread that began after state() had looked
    throw Error(message("capture_begin: another thread is capturing a CUDA graph on cuda:", device));
  s.capturing = std::make_shared<GraphMemory>();
  s.capturer = std::this_thread::get_id();
  return s.capturing;
}

bool is_being_captured(int device) {
  DeviceState& s = *devices()[static_cast<size_t>(device)];
  std::lock_guard lock(s.mutex);
  return s.capturing != nullptr;
}

void end_graph_memory(int device) {
  DeviceState& s = *devices()[static_cast<size_t>(device)];
  std::lock_guard lock(s.mutex);
  s.capturing = nullptr;
  for (const auto& [block, size] : std::exchange(s.freed_meanwhile, {})) put_back(s, block, size);
}

void release_graph_memory(const std::shared_ptr<GraphMemory>& memory, int device) {
  DeviceState& s = *devices()[static_cast<size_t>(device)];
  std::lock_guard lock(s.mutex);
  memory->released = true;
  for (const auto& [size, blocks] : std::exchange(memory->free_blocks, {}))
    for (void* block : blocks) put_back(s, block, size);
}

bool owns(const GraphMemory& memory, void* block, int device) {
  DeviceState& s = *devices()[static_cast<size_t>(device)];
  std::lock_guard lock(s.mutex);
  const auto owner = s.owners.find(block);
  return owner != s.owners.end() && owner->second.get() == &memory;
}

MemoryStats memory_stats(int device) {
  DeviceState& s = state("memory_stats", device);
  const size_t idle = idle_upload_bytes(device);
  std::lock_guard lock(s.mutex);
  MemoryStats stats = s.stats;
  stats.in_use -= idle;
  stats.cached += idle;
  return stats;
}

void reset_peak(int device) {
  DeviceState& s = state("reset_peak_memory_stats", device);
  std::lock_guard lock(s.mutex);
  s.stats.peak = s.stats.in_use;
}

void release_cached(int device) {
  {
    DeviceState& perhaps = records("empty_cache", device);  // no context on a device that this program does not use
    std::lock_guard lock(perhaps.mutex);
    if (perhaps.stream == nullptr) return release_pinned();
  }
  DeviceState& s = state("empty_cache", device);
  refuse_capture("empty_cache", s);
  const OnDevice on(device);
  const OutsideCaptures relaxed;
  release_uploads(device);
  release_pinned();
  std::lock_guard lock(s.mutex);
  free_cached(s);
}

void copy(const char* op, void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (bytes == 0) return;
  if (to_device.is_cuda() && from_device.is_cuda() && to_device.index != from_device.index) {
    // The target's stream waits for what the source's was given, and for its own.
    DeviceState& source = state(op, from_device.index);
    DeviceState& target = state(op, to_device.index);
    refuse_capture(op, source);
    refuse_capture(op, target);
    wait_for(op, to_device.index, target.stream, mark(op, from_device.index, source.stream));
    const OnDevice on(to_device.index);
    check(op, cudaMemcpyPeerAsync(to, to_device.index, from, from_device.index, bytes, target.stream));
    wait(op, target);  // the source's block may be freed and reused in its own stream
    return;
  }
  const int device = to_device.is_cuda() ? to_device.index : from_device.index;
  DeviceState& s = state(op, device);
  const bool waits = !to_device.is_cuda() || !from_device.is_cuda();
  if (waits) refuse_capture(op, s);
  const OnDevice on(device);
  check(op, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, s.stream));
  if (waits) wait(op, s);
}

}  // namespace cnnx::cuda
