// Stands for the CUDA backend in a build without it.
#include "build_config.h"
#include "cnnx/error.h"
#include "device/cuda/runtime.h"
#include "device/cuda/streams.h"
#include "device/cuda/transfer.h"

namespace cnnx::cuda {
namespace {

[[noreturn]] void fail(const char* op) {
  throw Error(message(op, ": no CUDA device is available: this build of cnnx has no CUDA backend (", build_text(), ")"));
}

}  // namespace

bool is_built() { return false; }
std::string build_text() { return CNNX_CUDA_TEXT; }
int device_count() { return 0; }
std::string no_device_text() { return build_text(); }
void check_device(const char* op, int device) {
  throw Error(message(op, ": cuda:", device, ": no CUDA device is available: this build of cnnx has no CUDA backend (",
                      build_text(), ")"));
}
std::string device_name(int) { fail("device_name"); }
int current_device() { return 0; }
void set_current_device(int) { fail("set_device"); }
Allocator& pool(int) { fail("empty"); }
MemoryStats memory_stats(int) { fail("memory_stats"); }
void reset_peak(int) { fail("reset_peak"); }
void release_cached(int) { fail("release_cached"); }
void copy(const char* op, void*, Device, const void*, Device, size_t) { fail(op); }
DeviceProperties device_properties(int) { fail("get_device_properties"); }
FreeMemory free_memory(int) { fail("mem_get_info"); }
int device_of_pointer(const void*) { return -1; }

// No tensor is on a device, so nothing below is reached but by asking for a device that is not there.
StreamAddress stream_address(int) { fail("stream"); }
void order_streams(const char* op, int, StreamAddress, StreamAddress) { fail(op); }
bool stream_is_done(const char* op, int, StreamAddress) { fail(op); }
void wait_for_stream(const char* op, int, StreamAddress) { fail(op); }
Event::Event(bool timing, bool blocking) : timing_(timing), blocking_(blocking) { fail("Event"); }
Event::~Event() {}
void Event::record(int, StreamAddress) { fail("Event.record"); }
void Event::hold_back(int, StreamAddress) const { fail("Event.wait"); }
bool Event::is_done() const { fail("Event.query"); }
void Event::synchronize() const { fail("Event.synchronize"); }
double Event::milliseconds_until(const Event&) const { fail("Event.elapsed_time"); }
Consumer consumer_of(int, StreamAddress) { fail("stream"); }
void when_done(int, std::function<void()> release) noexcept { release(); }
void when_consumed(int, Consumer, std::function<void()> release) noexcept { release(); }
void* allocate_pinned(size_t) { fail("pin_memory"); }
void deallocate_pinned(void*, size_t) {}
bool is_pinned(const void*) { return false; }
void* upload_pinned(const void*, size_t, int, std::function<void()>) { fail("to"); }
void discard_upload(void*, size_t, int) noexcept {}
void download(void*, const void*, size_t, int, std::function<void()>) { fail("to"); }
void note_lent(const void*) {}
bool was_lent(const void*) { return false; }
void run_releases() noexcept {}
void synchronize(const char* op, int) { fail(op); }
void release_idle(const char* op, int) { fail(op); }
bool holds_until_idle(int) { return false; }

Queue queue(int) { fail("kernels"); }

bool is_capturing() { return false; }
bool is_capturing(int) { return false; }
void refuse_in_capture(const char*) {}

}  // namespace cnnx::cuda
