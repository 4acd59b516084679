// What the emulation's own files share. Everything runs under one lock: one kernel at a time in the process.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <mutex>
#include <string>

#if defined(__SANITIZE_ADDRESS__)
#define CUDA_ON_CPU_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define CUDA_ON_CPU_ASAN 0
#endif

namespace cuda_on_cpu {

constexpr size_t kStaticSharedLimit = 48 << 10, kSharedLimit = 227 << 10;

std::recursive_mutex& lock();
long setting(const char* name, long fallback);  // an environment variable's number

// With CNNX_EMU_TRACE=1, a line on stderr for whatever is given to a stream: "relu" for its kernel, "memcpy 4", "memset 512".
void trace(const char* what, size_t bytes = 0);

// Faults: a message on stderr and, for the next cudaGetErrorString, kept.
void report(const std::string& what);
const std::string& last_report();
const char* running_kernel();  // the op whose kernel runs, or null

// Poison: 16 bits that, repeated, are a NaN as half, bfloat16, float and double, and a huge int. Guards: words that are NaNs too
// but depend on their address, so that what is read from one guard zone and written to another is noticed.
constexpr uint16_t kPoison = 0x7ff4;
void poison(void* to, size_t bytes);
bool is_poisoned(const void* from, size_t bytes);
void set_guard(void* to, size_t bytes);
bool guard_holds(const void* from, size_t bytes);

// --- fiber.cpp: stacks that kernels' threads run on ---------------------------------------------------------------------------
struct Fiber;
Fiber* main_fiber();                // the stack of whoever launches
Fiber* new_fiber(void (*entry)());  // entry never returns
void restart(Fiber* fiber);         // forgets what it was doing
void switch_to(Fiber* from, Fiber* to);

// --- block.cpp: runs a grid; returns an empty string or what went wrong -------------------------------------------------------
std::string run_grid(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& thread);

// --- memory.cpp: the devices' memory ------------------------------------------------------------------------------------------
constexpr size_t kZone = 256;  // alignment of allocations and the smallest guard zone around them
size_t memory_total();
size_t memory_used(int device);
void* allocate(int device, size_t bytes);  // null: does not fit
enum class Release { done, damaged, unknown };
Release release(void* pointer);
int device_of(const void* pointer);  // -1: not in any device's memory
bool inside_allocation(const void* pointer, size_t bytes);
std::string check_guards(bool waiting);  // after a launch or at a wait: an empty string or which guard zone was written to
void lend(void* block, size_t bytes, size_t capacity);
bool take_back(void* block);  // false: its guard was written to

// While one of these lives, device memory can be accessed.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace cuda_on_cpu
