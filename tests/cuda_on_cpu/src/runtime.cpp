// The runtime API: errors, devices, memory, copies. Streams, events and graphs are in stream.cpp.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "stream.h"

namespace cuda_on_cpu {

namespace {
thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;
auto& last_message = *new std::string;  // never destroyed, as all state here
int faults = 0;
const char* current_kernel = nullptr;
auto& pinned = *new std::map<char*, size_t>;
auto& dynamic_limits = *new std::map<const void*, size_t>;

int device_count() {
  static const int count = int(std::clamp(setting("CNNX_EMU_DEVICES", 1), 0L, 8L));
  return count;
}
}  // namespace

std::recursive_mutex& lock() {
  static auto* mutex = new std::recursive_mutex;  // outlives static objects that free device memory late
  return *mutex;
}

long setting(const char* name, long fallback) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == 0 ? fallback : std::strtol(text, nullptr, 10);
}

void trace(const char* what, size_t bytes) {
  static const bool wanted = setting("CNNX_EMU_TRACE", 0) != 0;
  if (!wanted) return;
  if (bytes > 0) std::fprintf(stderr, "trace: %s %zu\n", what, bytes);
  else std::fprintf(stderr, "trace: %s\n", what);
}

void report(const std::string& what) {
  last_message = what;
  ++faults;
  std::fprintf(stderr, "CUDA on the CPU: %s\n", what.c_str());
  if (setting("CNNX_EMU_ABORT", 0) != 0) std::abort();
}
const std::string& last_report() { return last_message; }
const char* running_kernel() { return current_kernel; }
int fault_count() {
  const std::scoped_lock guard(lock());
  return faults;
}

cudaError_t fail(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}
int device() { return current_device; }
bool no_device() { return device_count() == 0; }

bool is_pinned(const void* pointer, size_t bytes) {
  auto it = pinned.upper_bound(const_cast<char*>(static_cast<const char*>(pointer)));
  if (it == pinned.begin()) return false;
  --it;
  return static_cast<const char*>(pointer) + bytes <= it->first + it->second;
}

cudaError_t set_max_dynamic_shared(const void* kernel, size_t bytes) {
  const std::scoped_lock guard(lock());
  if (bytes > kSharedLimit) return fail(cudaErrorInvalidValue);
  dynamic_limits[kernel] = bytes;
  return cudaSuccess;
}
cudaError_t get_attributes(cudaFuncAttributes* attributes, const void* kernel) {
  const std::scoped_lock guard(lock());
  if (no_device()) return fail(cudaErrorNoDevice);
  const auto it = dynamic_limits.find(kernel);
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;
  attributes->maxDynamicSharedSizeBytes = int(it == dynamic_limits.end() ? kStaticSharedLimit : it->second);
  return cudaSuccess;
}

void block_lent(void* block, size_t bytes, size_t capacity, cudaStream_t stream) {
  const std::scoped_lock guard(lock());
  fail(enqueue(stream, [=] {
    lend(block, bytes, capacity);
    return cudaSuccess;
  }));
}
void block_returned(void* block, cudaStream_t stream) {
  const std::scoped_lock guard(lock());
  fail(enqueue(stream, [=] { return take_back(block) ? cudaSuccess : cudaErrorIllegalAddress; }));
}

void launch(const char* op, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            std::function<void()> thread, const PointerArgument* pointers, int pointer_count) {
  const std::scoped_lock guard(lock());
  if (no_device()) return void(fail(cudaErrorNoDevice));
  if (last_error != cudaSuccess) return;  // of an earlier call, not asked for yet: the launch's check tells it
  if (device_of(stream) != current_device) return void(fail(cudaErrorInvalidResourceHandle));
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  if (threads == 0 || threads > 1024 || block.z > 64 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    return void(fail(cudaErrorInvalidConfiguration));
  const auto limit = dynamic_limits.find(kernel);
  if (shared_bytes > (limit == dynamic_limits.end() ? kStaticSharedLimit : limit->second))
    return void(fail(cudaErrorInvalidValue));
  for (int i = 0; i < pointer_count; ++i) {
    const void* p = pointers[i].pointer;
    if (p == nullptr || is_pinned(p, 0) || (device_of(p) == current_device && inside_allocation(p, 0))) continue;
    report(std::string(op) + ": parameter " + std::to_string(pointers[i].parameter) + " of the kernel" +
           (device_of(p) < 0                 ? " is host memory"
            : device_of(p) == current_device ? " is no live allocation"
                                             : " belongs to another device"));
    return void(fail(cudaErrorIllegalAddress));
  }
  trace(op);
  fail(enqueue(stream, [op = std::string(op), grid, block, shared_bytes, thread = std::move(thread)] {
    const DeviceAccess access;
    current_kernel = op.c_str();
    std::string wrong = run_grid(grid, block, shared_bytes, thread);
    current_kernel = nullptr;
    if (wrong.empty()) wrong = check_guards(false);
    if (wrong.empty()) return cudaSuccess;
    report("kernel of " + op + ": " + wrong);
    return cudaErrorLaunchFailure;
  }));
}

}  // namespace cuda_on_cpu

using namespace cuda_on_cpu;

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }

#define CUDA_ON_CPU_ERRORS(X)                                                                                       \
  X(cudaSuccess, "no error")                                                                                        \
  X(cudaErrorInvalidValue, "invalid argument")                                                                      \
  X(cudaErrorMemoryAllocation, "out of memory")                                                                     \
  X(cudaErrorInitializationError, "initialization error")                                                           \
  X(cudaErrorInvalidConfiguration, "invalid configuration argument")                                                \
  X(cudaErrorInvalidDevicePointer, "invalid device pointer")                                                        \
  X(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy")                                           \
  X(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version")                    \
  X(cudaErrorInvalidDeviceFunction, "invalid device function")                                                      \
  X(cudaErrorNoDevice, "no CUDA-capable device is detected")                                                        \
  X(cudaErrorInvalidDevice, "invalid device ordinal")                                                               \
  X(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device")                    \
  X(cudaErrorInvalidResourceHandle, "invalid resource handle")                                                      \
  X(cudaErrorNotReady, "device not ready")                                                                          \
  X(cudaErrorIllegalAddress, "an illegal memory access was encountered")                                            \
  X(cudaErrorHostMemoryNotRegistered, "pointer does not correspond to a registered memory region")                  \
  X(cudaErrorLaunchFailure, "unspecified launch failure")                                                           \
  X(cudaErrorNotSupported, "operation not supported")                                                               \
  X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")                          \
  X(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture")                   \
  X(cudaErrorStreamCaptureMerge, "operation would result in a merge of separate capture sequences")                 \
  X(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began")                        \
  X(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work")                                           \
  X(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream")                     \
  X(cudaErrorStreamCaptureImplicit, "operation would make the legacy stream depend on a capturing blocking stream") \
  X(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream")              \
  X(cudaErrorUnknown, "unknown error")

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define X(name, text) \
  case name: return #name;
    CUDA_ON_CPU_ERRORS(X)
#undef X
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  static thread_local std::string with_report;
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure: {
      const std::scoped_lock guard(lock());
      with_report = error == cudaErrorIllegalAddress ? "an illegal memory access was encountered" : "unspecified launch failure";
      if (!last_report().empty()) with_report += ": " + last_report();
      return with_report.c_str();
    }
#define X(name, text) \
  case name: return text;
    default: break;
  }
  switch (error) {
    CUDA_ON_CPU_ERRORS(X)
#undef X
  }
  return "unrecognized error code";
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_count();
  return no_device() ? fail(cudaErrorNoDevice) : cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (no_device()) return fail(cudaErrorNoDevice);
  if (device < 0 || device >= device_count()) return fail(cudaErrorInvalidDevice);
  current_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  if (no_device()) return fail(cudaErrorNoDevice);
  *device = current_device;
  return cudaSuccess;
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = *greatest = 0;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = no_device() ? 0 : CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (no_device()) return fail(cudaErrorNoDevice);
  if (device < 0 || device >= device_count()) return fail(cudaErrorInvalidDevice);
  *p = {};
  std::snprintf(p->name, sizeof p->name, "CUDA on the CPU");
  p->totalGlobalMem = memory_total();
  p->sharedMemPerBlock = kStaticSharedLimit;
  p->sharedMemPerBlockOptin = kSharedLimit;
  p->sharedMemPerMultiprocessor = 228 << 10;
  p->totalConstMem = p->regsPerBlock = 64 << 10;
  p->warpSize = 32;
  p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
  p->maxThreadsDim[2] = 64;
  p->maxThreadsPerMultiProcessor = 2048;
  p->maxGridSize[0] = 0x7fffffff;
  p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->major = 9;
  p->multiProcessorCount = 4;  // few: grids that are shaped by it stay small
  p->l2CacheSize = 4 << 20;
  p->memoryBusWidth = 64;
  p->asyncEngineCount = p->concurrentKernels = p->canMapHostMemory = p->unifiedAddressing = 1;
  p->pciBusID = device;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (const cudaError_t error = cudaGetDeviceProperties(&p, device); error != cudaSuccess) return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = int(p.sharedMemPerBlock); break;
    case cudaDevAttrWarpSize: *value = p.warpSize; break;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate: *value = 1000000; break;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = p.memoryBusWidth; break;
    case cudaDevAttrL2CacheSize: *value = p.l2CacheSize; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = p.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = int(p.sharedMemPerMultiprocessor); break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = int(p.sharedMemPerBlockOptin); break;
    default: return fail(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  const std::scoped_lock guard(lock());
  *pointer = nullptr;
  if (no_device()) return fail(cudaErrorNoDevice);
  if (const cudaError_t error = forbidden_in_capture(); error != cudaSuccess) return error;
  if (bytes == 0) return cudaSuccess;
  *pointer = allocate(current_device, bytes);
  return *pointer != nullptr ? cudaSuccess : fail(cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* pointer) {
  const std::scoped_lock guard(lock());
  if (no_device()) return fail(cudaErrorNoDevice);
  if (pointer == nullptr) return cudaSuccess;
  if (const cudaError_t error = forbidden_in_capture(); error != cudaSuccess) return error;
  drain_device(device_of(pointer));  // cudaFree waits for the device
  const Release result = release(pointer);
  return result == Release::done ? cudaSuccess
                                 : fail(result == Release::damaged ? cudaErrorIllegalAddress : cudaErrorInvalidValue);
}
cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t stream) {
  const std::scoped_lock guard(lock());
  *pointer = nullptr;
  if (is_capturing(stream)) return fail(cudaErrorNotSupported);  // CUDA would record it; cnnx's captures hold no allocations
  if (no_device()) return fail(cudaErrorNoDevice);
  if (bytes == 0) return cudaSuccess;
  *pointer = allocate(current_device, bytes);
  return *pointer != nullptr ? cudaSuccess : fail(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  const std::scoped_lock guard(lock());
  if (pointer == nullptr) return cudaSuccess;
  if (is_capturing(stream)) return fail(cudaErrorNotSupported);
  if (!inside_allocation(pointer, 0)) return fail(cudaErrorInvalidValue);
  return fail(enqueue(stream, [pointer] {
    const Release result = release(pointer);
    return result == Release::done ? cudaSuccess : result == Release::damaged ? cudaErrorIllegalAddress : cudaErrorInvalidValue;
  }));
}
cudaError_t cudaMallocHost(void** pointer, size_t bytes, unsigned) {
  const std::scoped_lock guard(lock());
  *pointer = nullptr;
  if (no_device()) return fail(cudaErrorNoDevice);
  if (const cudaError_t error = forbidden_in_capture(); error != cudaSuccess) return error;
  void* p = std::aligned_alloc(4096, (std::max<size_t>(bytes, 1) + 4095) / 4096 * 4096);
  if (p == nullptr) return fail(cudaErrorMemoryAllocation);
  poison(p, bytes);
  pinned[static_cast<char*>(p)] = bytes;
  *pointer = p;
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) { return cudaMallocHost(pointer, bytes, flags); }
cudaError_t cudaFreeHost(void* pointer) {
  const std::scoped_lock guard(lock());
  if (pointer == nullptr) return cudaSuccess;
  if (pinned.find(static_cast<char*>(pointer)) == pinned.end()) return fail(cudaErrorInvalidValue);
  drain_all();
  pinned.erase(static_cast<char*>(pointer));
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned) {
  const std::scoped_lock guard(lock());
  pinned[static_cast<char*>(pointer)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* pointer) {
  const std::scoped_lock guard(lock());
  drain_all();
  return pinned.erase(static_cast<char*>(pointer)) == 1 ? cudaSuccess : fail(cudaErrorHostMemoryNotRegistered);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::scoped_lock guard(lock());
  if (no_device()) return fail(cudaErrorNoDevice);
  *total = memory_total();
  *free = *total - memory_used(current_device);
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  const std::scoped_lock guard(lock());
  if (no_device()) return fail(cudaErrorNoDevice);
  void* p = const_cast<void*>(pointer);
  if (const int owner = device_of(pointer); owner >= 0) {
    if (!inside_allocation(pointer, 0)) return fail(cudaErrorInvalidValue);
    *attributes = {cudaMemoryTypeDevice, owner, p, nullptr};
  } else if (is_pinned(pointer, 0)) {
    *attributes = {cudaMemoryTypeHost, current_device, p, p};
  } else {
    *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, p};
  }
  return cudaSuccess;
}

namespace {
// Whether the direction that was named fits the pointers, and device ranges lie within an allocation each.
cudaError_t check_copy(const void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = device_of(to) >= 0, from_device = device_of(from) >= 0;
  if (kind != cudaMemcpyDefault) {
    const bool wants_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool wants_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (wants_to != to_device || wants_from != from_device) return cudaErrorInvalidValue;
  }
  if ((to_device && !inside_allocation(to, bytes)) || (from_device && !inside_allocation(from, bytes)))
    return cudaErrorInvalidValue;
  return cudaSuccess;
}
}  // namespace

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  const std::scoped_lock guard(lock());
  if (no_device()) return fail(cudaErrorNoDevice);
  if (width == 0 || height == 0) return cudaSuccess;
  if (width > to_pitch || width > from_pitch) return fail(cudaErrorInvalidValue);
  const size_t to_bytes = (height - 1) * to_pitch + width, from_bytes = (height - 1) * from_pitch + width;
  cudaError_t error = check_copy(to, from, 0, kind);
  if (error == cudaSuccess && device_of(to) >= 0 && !inside_allocation(to, to_bytes)) error = cudaErrorInvalidValue;
  if (error == cudaSuccess && device_of(from) >= 0 && !inside_allocation(from, from_bytes)) error = cudaErrorInvalidValue;
  if (error != cudaSuccess) return fail(error);
  trace("memcpy", width * height);
  // Memory that is not pinned goes through a buffer of the driver's: the host may use it again at once.
  const bool pageable = (device_of(to) < 0 && !is_pinned(to, to_bytes)) || (device_of(from) < 0 && !is_pinned(from, from_bytes));
  error = enqueue(stream, [=] {
    const DeviceAccess access;
    for (size_t row = 0; row < height; ++row)
      std::memmove(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch, width);
    return cudaSuccess;
  });
  if (error == cudaSuccess && pageable && !is_capturing(stream)) error = drain_stream(stream);
  return fail(error);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const std::scoped_lock guard(lock());
  if (const cudaError_t error = forbidden_in_capture(); error != cudaSuccess) return error;
  if (const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr); error != cudaSuccess) return error;
  return fail(drain_stream(nullptr));
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  const std::scoped_lock guard(lock());
  if (no_device()) return fail(cudaErrorNoDevice);
  if (bytes == 0) return cudaSuccess;
  if (device_of(to) < 0 ? !is_pinned(to, bytes) : !inside_allocation(to, bytes)) return fail(cudaErrorInvalidValue);
  trace("memset", bytes);
  return fail(enqueue(stream, [=] {
    const DeviceAccess access;
    std::memset(to, value, bytes);
    return cudaSuccess;
  }));
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  const std::scoped_lock guard(lock());
  if (const cudaError_t error = forbidden_in_capture(); error != cudaSuccess) return error;
  return cudaMemsetAsync(to, value, bytes, nullptr);
}
