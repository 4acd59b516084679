// Streams by their address, as other libraries name them, events, and memory that is used on streams other than the device's own.
// No CUDA header is needed here; without a backend absent.cpp answers.
#pragma once

#include <cstdint>
#include <functional>

#include "cnnx/api.h"

namespace cnnx {
namespace cuda CNNX_INTERNAL_API {

// A cudaStream_t as a number. 1 is the legacy default stream and 2 the calling thread's default stream, as in CUDA and in the
// protocols.
using StreamAddress = uintptr_t;
inline constexpr StreamAddress kLegacyStream = 1, kPerThreadStream = 2;

// Of the device's one stream, to which all work of this library goes.
StreamAddress stream_address(int device);
// Makes `then` wait for all that was given to `first` until now. The host does not wait.
void order_streams(const char* op, int device, StreamAddress first, StreamAddress then);
bool stream_is_done(const char* op, int device, StreamAddress stream);
void wait_for_stream(const char* op, int device, StreamAddress stream);

// A mark in a stream. It belongs to the device on which it was first recorded.
class Event {
 public:
  Event(bool timing, bool blocking);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(int device, StreamAddress stream);
  // What the stream is given from now on waits for the mark. Nothing to wait for before the first record().
  void hold_back(int device, StreamAddress stream) const;
  bool is_done() const;
  void synchronize() const;
  double milliseconds_until(const Event& end) const;
  int device() const { return device_; }  // -1: not recorded yet
  uintptr_t address() const { return reinterpret_cast<uintptr_t>(handle_); }

 private:
  void* handle_ = nullptr;
  int device_ = -1;
  [[maybe_unused]] bool timing_, blocking_;  // unused without a backend
};

// --- Memory and other streams --------------------------------------------------------------------------------------------------
// A block that is freed is handed out again at once, in the order of the device's stream. That is not enough where another stream
// still uses it, or where it belongs to another library, whose allocator hands it out in the order of streams that we do not
// know.
//
// - Somebody else's memory (imported): its owner gets it back when our stream has done what it was given until now: when_done().
//   By then no work of ours is under way, so any stream may have it.
// - Our memory, used by somebody else (exported): when he lets go of it, his stream may still be busy with it.
//   * His stream is the legacy default stream, a thread's default stream, or another that was not created non-blocking: the
//     legacy default stream waits for all of these, so our stream waits for a mark in it, and the block is freed as any other.
//   * His stream is non-blocking, or he did not say: nothing on the device waits for it (and it may be gone by now, so it cannot
//     be asked either). The block is kept until the whole device was found idle: by synchronize(), or when the pool would have
//     to grow.
//   A consumer that got our own stream needs none of this. Who reads __cuda_array_interface__ names no stream: note_lent(). He
//   has to keep the tensor until his work is done (so the protocol says); all the same its block is freed as for the first kind
//   of stream.
// The host waits in no case but the last, and there only instead of taking more memory from the system.
//
// While our stream is captured as a graph nothing can be marked in it: then all this happens after the capture. What would make
// it wait for another stream, or another for it, is refused.
enum class Consumer { ours, blocking, unknown };
// What kind of stream that is; the stream must exist.
Consumer consumer_of(int device, StreamAddress stream);
// `release` drops the memory (once, from any thread, no lock of ours held; it must not throw). These do not throw.
void when_done(int device, std::function<void()> release) noexcept;
void when_consumed(int device, Consumer consumer, std::function<void()> release) noexcept;
// The block at this address, from our pool, is used by somebody who names no stream.
void note_lent(const void* block);
bool was_lent(const void* block);  // whether it was noted; forgets it
// Runs what is due. Cheap where nothing is held.
void run_releases() noexcept;
// Waits for all streams of the device, other libraries' too, and runs everything that is due then.
void synchronize(const char* op, int device);
// The same, but without an error where another library captures on the device: the wait fails, and CUDA ends that capture. It
// comes to that only if the pool has to grow meanwhile, and memory is held that was lent to a stream we do not know.
void release_idle(const char* op, int device);
// Whether synchronize() would release memory of the device.
bool holds_until_idle(int device);

}  // namespace cuda CNNX_INTERNAL_API
}  // namespace cnnx
