// Pinned memory and the copies that run beside the work; how is said in transfer.h.
#include "device/cuda/transfer.h"

#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "cnnx/error.h"
#include "device/cuda/graph_memory.h"
#include "device/cuda/launch.h"
#include "device/cuda/mark.h"
#include "device/cuda/runtime.h"
#include "device/cuda/stream.h"
#include "device/cuda/streams.h"

namespace cnnx::cuda {
namespace {

struct Idle {
  void* block;
  size_t bytes;
  Mark used;  // when the device's stream is done with it
};

struct Written {
  const char *begin, *end;  // pinned memory
  Mark mark;                // when the device has written it
};

struct Copies {  // of one device
  std::mutex mutex;
  cudaStream_t stream = nullptr;
  std::vector<Idle> idle;       // the longest idle first
  std::deque<Written> written;  // in the order of the downloads; those that are done go when somebody looks
};

// More than a loop that reads ahead has under way.
constexpr size_t kMostIdle = 8;

// Never destroyed, as all memory here: storages may outlive static objects.
Copies& copies(int device) {
  static auto* all = [] {
    auto* made = new std::vector<std::unique_ptr<Copies>>;
    for (int i = 0; i < device_count(); ++i) made->push_back(std::make_unique<Copies>());
    return made;
  }();
  return *(*all)[static_cast<size_t>(device)];
}

struct PinnedPool {
  std::mutex mutex;
  std::unordered_map<size_t, std::vector<void*>> free_blocks;
};
PinnedPool& pinned_pool() {
  static auto* pool = new PinnedPool;
  return *pool;
}

void give_back(const Idle& entry, int device) { deallocate(entry.block, entry.bytes, device); }

void forget_done(std::deque<Written>& written) {
  while (!written.empty() && is_done(written.front().mark)) written.pop_front();
}

// Makes the stream wait until memory that a device may still be writing is written.
void wait_until_written(const char* op, int device, cudaStream_t stream, const void* from, size_t bytes) {
  const auto* begin = static_cast<const char*>(from);
  for (int other = 0; other < device_count(); ++other) {
    Copies& c = copies(other);
    std::lock_guard lock(c.mutex);
    forget_done(c.written);
    for (const Written& entry : c.written)
      if (entry.begin < begin + bytes && begin < entry.end) wait_for(op, device, stream, entry.mark);
  }
}

}  // namespace

void* allocate_pinned(size_t bytes) {
  run_releases();
  const size_t size = block_bytes(bytes);
  PinnedPool& pool = pinned_pool();
  {
    std::lock_guard lock(pool.mutex);
    auto& blocks = pool.free_blocks[size];
    if (!blocks.empty()) {
      void* block = blocks.back();
      blocks.pop_back();
      return block;
    }
  }
  void* block = nullptr;
  const OutsideCaptures relaxed;
  // Portable: pinned for every device, not for the current one alone.
  cudaError_t error = cudaHostAlloc(&block, size, cudaHostAllocPortable);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    release_pinned();
    error = cudaHostAlloc(&block, size, cudaHostAllocPortable);
  }
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw Error(message("pin_memory: out of memory: asked for ", bytes, " bytes of pinned memory"));
  }
  check("pin_memory", error);
  return block;
}

void deallocate_pinned(void* block, size_t bytes) {
  PinnedPool& pool = pinned_pool();
  std::lock_guard lock(pool.mutex);
  pool.free_blocks[block_bytes(bytes)].push_back(block);
}

void release_pinned() {
  PinnedPool& pool = pinned_pool();
  std::lock_guard lock(pool.mutex);
  for (auto& [size, blocks] : pool.free_blocks) {
    while (!blocks.empty()) {
      void* block = blocks.back();
      blocks.pop_back();
      check("empty_cache", cudaFreeHost(block));
    }
  }
}

namespace {

// Unregistered for an address that CUDA does not know.
cudaPointerAttributes attributes_of(const void* pointer) {
  cudaPointerAttributes attributes{};
  if (device_count() == 0 || pointer == nullptr) return attributes;
  if (cudaPointerGetAttributes(&attributes, pointer) == cudaSuccess) return attributes;
  cudaGetLastError();
  return {};
}

}  // namespace

bool is_pinned(const void* data) { return attributes_of(data).type == cudaMemoryTypeHost; }

int device_of_pointer(const void* pointer) {
  const cudaPointerAttributes attributes = attributes_of(pointer);
  return attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged ? attributes.device : -1;
}

void* upload_pinned(const void* from, size_t bytes, int device, std::function<void()> keep) {
  constexpr const char* kOp = "to";
  refuse_in_capture(kOp);
  const cudaStream_t work = stream_of(kOp, device);
  const OnDevice on(device);
  run_releases();
  Copies& c = copies(device);
  Idle target{nullptr, bytes, {}};
  {
    std::lock_guard lock(c.mutex);
    if (c.stream == nullptr) check(kOp, cudaStreamCreateWithFlags(&c.stream, cudaStreamNonBlocking));
    for (auto entry = c.idle.begin(); entry != c.idle.end(); ++entry) {
      if (entry->bytes != bytes) continue;
      target = *entry;
      c.idle.erase(entry);
      break;
    }
  }
  if (target.block == nullptr) target.block = allocate(bytes, device);
  try {
    if (target.used == nullptr) target.used = mark(kOp, device, work);
    wait_for(kOp, device, c.stream, target.used);
    wait_until_written(kOp, device, c.stream, from, bytes);
    check(kOp, cudaMemcpyAsync(target.block, from, bytes, cudaMemcpyHostToDevice, c.stream));
  } catch (...) {
    give_back(target, device);
    throw;
  }
  const Mark copied = mark(kOp, device, c.stream);
  wait_for(kOp, device, work, copied);
  when_marked(device, c.stream, copied, std::move(keep));
  return target.block;
}

void discard_upload(void* block, size_t bytes, int device) noexcept {
  try {
    if (was_lent(block)) return when_consumed(device, Consumer::blocking, [=] { discard_upload(block, bytes, device); });
    if (is_being_captured(device)) return deallocate(block, bytes, device);
    const Idle entry{block, bytes, mark("to", device, stream_of("to", device))};
    Copies& c = copies(device);
    Idle surplus{nullptr, 0, {}};
    {
      std::lock_guard lock(c.mutex);
      c.idle.push_back(entry);
      if (c.idle.size() > kMostIdle) {
        surplus = c.idle.front();
        c.idle.erase(c.idle.begin());
      }
    }
    if (surplus.block != nullptr) give_back(surplus, device);
  } catch (...) {
    // The device is lost, or the process ends: the block stays taken.
  }
}

size_t idle_upload_bytes(int device) {
  Copies& c = copies(device);
  std::lock_guard lock(c.mutex);
  size_t bytes = 0;
  for (const Idle& entry : c.idle) bytes += block_bytes(entry.bytes);
  return bytes;
}

void release_uploads(int device) {
  std::vector<Idle> idle;
  {
    Copies& c = copies(device);
    std::lock_guard lock(c.mutex);
    idle.swap(c.idle);
  }
  for (const Idle& entry : idle) give_back(entry, device);
}

void download(void* to, const void* from, size_t bytes, int device, std::function<void()> keep) {
  constexpr const char* kOp = "to";
  refuse_in_capture(kOp);
  const cudaStream_t work = stream_of(kOp, device);
  run_releases();
  {
    const OnDevice on(device);
    check(kOp, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, work));
  }
  const Mark written = mark(kOp, device, work);
  {
    Copies& c = copies(device);
    std::lock_guard lock(c.mutex);
    forget_done(c.written);
    const auto* begin = static_cast<const char*>(to);
    c.written.push_back({begin, begin + bytes, written});
  }
  when_marked(device, work, written, std::move(keep));
}

}  // namespace cnnx::cuda
