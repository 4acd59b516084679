// Streams of other libraries, events, and releases that wait for a stream; the rules are in streams.h.
#include "device/cuda/streams.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <iterator>
#include <map>
#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cnnx/error.h"
#include "device/cuda/graph_memory.h"
#include "device/cuda/launch.h"
#include "device/cuda/mark.h"
#include "device/cuda/runtime.h"
#include "device/cuda/stream.h"

namespace cnnx::cuda {
namespace {

cudaStream_t handle(StreamAddress stream) { return reinterpret_cast<cudaStream_t>(stream); }

// A release without a mark: the whole device has to be idle, or the mark is still to be set.
struct Held {
  int device;
  Consumer consumer;
  std::function<void()> release;
};
struct Marked {
  int device;
  Mark mark;
  std::function<void()> release;
};

struct HeldList {
  std::mutex mutex;
  std::vector<Held> entries;
  std::map<cudaStream_t, std::deque<Marked>> marked;  // in the order of the marks
  std::unordered_set<const void*> lent;               // blocks that somebody uses who names no stream
  std::atomic<size_t> count{0}, lent_count{0};        // for a look without the lock
};

// Never destroyed: storages may go after static objects.
HeldList& held() {
  static auto* list = new HeldList;
  return *list;
}

void hold(Held entry) {
  HeldList& list = held();
  std::lock_guard lock(list.mutex);
  list.entries.push_back(std::move(entry));
  ++list.count;
}

// Of a query. "Not ready" is no error, but may stay behind as the last one, which the next launch would find.
bool is_ready(cudaError_t status) {
  if (status != cudaSuccess) cudaGetLastError();
  return status == cudaSuccess;
}

cudaError_t query(cudaEvent_t event) {
  const OutsideCaptures relaxed;
  return cudaEventQuery(event);
}

}  // namespace

Mark mark(const char* op, int device, cudaStream_t stream) {
  const OnDevice on(device);  // an event can be recorded in streams of its own device alone; 1 and 2 are the current device's
  cudaEvent_t event = nullptr;
  check(op, cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  Mark made(event, [](cudaEvent_t done) { cudaEventDestroy(done); });
  check(op, cudaEventRecord(event, stream));
  return made;
}

void wait_for(const char* op, int device, cudaStream_t stream, const Mark& mark) {
  const OnDevice on(device);
  check(op, cudaStreamWaitEvent(stream, mark.get(), 0));
}

bool is_done(const Mark& mark) { return is_ready(query(mark.get())); }

namespace {

// As order_streams(), but for releases, whose device is not being captured, whatever other device the thread captures.
void order(const char* op, int device, StreamAddress first, StreamAddress then) {
  if (first != then) wait_for(op, device, handle(then), mark(op, device, handle(first)));
}

}  // namespace

StreamAddress stream_address(int device) { return reinterpret_cast<StreamAddress>(stream_of("stream", device)); }

void order_streams(const char* op, int device, StreamAddress first, StreamAddress then) {
  refuse_in_capture(op);
  check_device(op, device);
  order(op, device, first, then);
}

bool stream_is_done(const char* op, int device, StreamAddress stream) {
  refuse_in_capture(op);
  const OnDevice on(device);
  const cudaError_t status = cudaStreamQuery(handle(stream));
  if (!is_ready(status) && status != cudaErrorNotReady) check(op, status);
  return status == cudaSuccess;
}

void wait_for_stream(const char* op, int device, StreamAddress stream) {
  refuse_in_capture(op);
  const OnDevice on(device);
  check(op, cudaStreamSynchronize(handle(stream)));
  run_releases();
  throw_faults(op, device);
}

// --- events -------------------------------------------------------------------------------------------------------------------

Event::Event(bool timing, bool blocking) : timing_(timing), blocking_(blocking) { check_device("Event", current_device()); }

Event::~Event() {
  if (handle_ != nullptr) cudaEventDestroy(static_cast<cudaEvent_t>(handle_));
}

void Event::record(int device, StreamAddress stream) {
  refuse_in_capture("Event.record");
  if (device_ >= 0 && device_ != device)
    throw Error(message("Event.record: the event belongs to cuda:", device_, ", the stream to cuda:", device));
  const OnDevice on(device);
  if (handle_ == nullptr) {
    cudaEvent_t event = nullptr;
    const unsigned flags = (timing_ ? cudaEventDefault : cudaEventDisableTiming) | (blocking_ ? cudaEventBlockingSync : 0u);
    check("Event.record", cudaEventCreateWithFlags(&event, flags));
    handle_ = event;
  }
  check("Event.record", cudaEventRecord(static_cast<cudaEvent_t>(handle_), handle(stream)));
  device_ = device;
}

void Event::hold_back(int device, StreamAddress stream) const {
  refuse_in_capture("Event.wait");
  if (device_ < 0) return;
  const OnDevice on(device);
  check("Event.wait", cudaStreamWaitEvent(handle(stream), static_cast<cudaEvent_t>(handle_), 0));
}

bool Event::is_done() const {
  if (device_ < 0) return true;
  const cudaError_t status = query(static_cast<cudaEvent_t>(handle_));
  if (!is_ready(status) && status != cudaErrorNotReady) check("Event.query", status);
  return status == cudaSuccess;
}

void Event::synchronize() const {
  if (device_ < 0) return;
  check("Event.synchronize", cudaEventSynchronize(static_cast<cudaEvent_t>(handle_)));
  throw_faults("Event.synchronize", device_);
}

double Event::milliseconds_until(const Event& end) const {
  constexpr const char* kOp = "Event.elapsed_time";
  if (!timing_ || !end.timing_) throw Error(message(kOp, ": both events have to be made with timing enabled"));
  if (device_ < 0 || end.device_ < 0) throw Error(message(kOp, ": both events have to be recorded before"));
  if (device_ != end.device_) throw Error(message(kOp, ": the events are on cuda:", device_, " and cuda:", end.device_));
  float milliseconds = 0;
  const cudaError_t status =
      cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(handle_), static_cast<cudaEvent_t>(end.handle_));
  if (!is_ready(status) && status == cudaErrorNotReady)
    throw Error(message(kOp, ": the events are not done yet; call synchronize() on the last"));
  check(kOp, status);
  return milliseconds;
}

// --- releases -----------------------------------------------------------------------------------------------------------------

Consumer consumer_of(int device, StreamAddress stream) {
  if (stream == stream_address(device)) return Consumer::ours;
  if (stream == kLegacyStream || stream == kPerThreadStream) return Consumer::blocking;
  const OnDevice on(device);
  unsigned flags = 0;
  check("stream", cudaStreamGetFlags(handle(stream), &flags));
  return (flags & cudaStreamNonBlocking) != 0 ? Consumer::unknown : Consumer::blocking;
}

namespace {

// A mark in the device's stream. Null where that cannot be marked now: it is being captured (as it may be from one moment to the
// next, by another thread), or the device is lost.
Mark mark_if_possible(int device, cudaStream_t& stream) noexcept {
  try {
    if (is_being_captured(device)) return nullptr;
    stream = stream_of("release", device);
    return mark("release", device, stream);
  } catch (...) {
    return nullptr;
  }
}

// Makes the device's stream wait for the legacy default stream; false where it cannot now, as above.
bool wait_for_legacy_stream(int device) noexcept {
  try {
    if (is_being_captured(device)) return false;
    order("release", device, kLegacyStream, stream_address(device));
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

void when_done(int device, std::function<void()> release) noexcept {
  try {
    run_releases();
    cudaStream_t stream = nullptr;
    if (Mark set = mark_if_possible(device, stream)) when_marked(device, stream, std::move(set), std::move(release));
    else hold({device, Consumer::ours, std::move(release)});
    run_releases();  // often the stream is done already
  } catch (...) {
    // There is no memory for the entry, so what it would release stays taken.
  }
}

void when_marked(int device, cudaStream_t stream, Mark mark, std::function<void()> release) noexcept {
  try {
    HeldList& list = held();
    std::lock_guard lock(list.mutex);
    list.marked[stream].push_back({device, std::move(mark), std::move(release)});
    ++list.count;
  } catch (...) {
    // As above.
  }
}

void when_consumed(int device, Consumer consumer, std::function<void()> release) noexcept {
  try {
    if (consumer == Consumer::ours || (consumer == Consumer::blocking && wait_for_legacy_stream(device))) release();
    else hold({device, consumer, std::move(release)});
  } catch (...) {
    // As above.
  }
}

namespace {

// Whether a release without a mark is due. If a mark of our stream is what it waits for now, that is set instead.
bool is_due(Held& entry, HeldList& list) {
  if (entry.consumer == Consumer::unknown) return false;
  if (entry.consumer == Consumer::blocking) return wait_for_legacy_stream(entry.device);
  cudaStream_t stream = nullptr;
  Mark set = mark_if_possible(entry.device, stream);
  if (set != nullptr) list.marked[stream].push_back({entry.device, std::move(set), std::exchange(entry.release, nullptr)});
  return false;
}

}  // namespace

void run_releases() noexcept {
  HeldList& list = held();
  if (list.count.load(std::memory_order_relaxed) == 0) return;
  std::vector<std::function<void()>> due;
  {
    std::lock_guard lock(list.mutex);
    std::vector<Held> rest;
    for (Held& entry : list.entries) {
      if (is_due(entry, list)) due.push_back(std::move(entry.release));
      else if (entry.release != nullptr) rest.push_back(std::move(entry));
    }
    list.entries = std::move(rest);
    for (auto& [stream, queue] : list.marked)
      for (; !queue.empty() && is_done(queue.front().mark); queue.pop_front()) due.push_back(std::move(queue.front().release));
    list.count -= due.size();
  }
  for (const auto& release : due) release();
}

void note_lent(const void* block) {
  if (block == nullptr) return;
  HeldList& list = held();
  std::lock_guard lock(list.mutex);
  list.lent.insert(block);
  list.lent_count = list.lent.size();
}

bool was_lent(const void* block) {
  HeldList& list = held();
  if (list.lent_count.load(std::memory_order_relaxed) == 0) return false;
  std::lock_guard lock(list.mutex);
  const bool found = list.lent.erase(block) == 1;
  list.lent_count = list.lent.size();
  return found;
}

namespace {

// Waits for the whole device and runs everything that is due then. What CUDA has against it, it returns.
cudaError_t settle(const char* op, int device) {
  refuse_in_capture(op);
  check_device(op, device);
  std::vector<Held> waiting;
  {
    // What is added while the device is waited for waits for the next time.
    HeldList& list = held();
    std::lock_guard lock(list.mutex);
    const auto other = std::stable_partition(list.entries.begin(), list.entries.end(),
                                             [&](const Held& entry) { return entry.device != device; });
    waiting.assign(std::make_move_iterator(other), std::make_move_iterator(list.entries.end()));
    list.entries.erase(other, list.entries.end());
    list.count -= waiting.size();
  }
  cudaError_t status = cudaSuccess;
  {
    const OnDevice on(device);
    status = cudaDeviceSynchronize();
  }
  if (status != cudaSuccess) {
    for (Held& entry : waiting) hold(std::move(entry));
    return status;
  }
  run_releases();  // those with marks, which are done
  std::vector<std::function<void()>> due;
  for (Held& entry : waiting) due.push_back(std::move(entry.release));
  for (const auto& release : due) release();
  throw_faults(op, device);
  return cudaSuccess;
}

}  // namespace

void synchronize(const char* op, int device) { check(op, settle(op, device)); }

void release_idle(const char* op, int device) {
  const cudaError_t status = settle(op, device);
  if (status == cudaErrorStreamCaptureUnsupported || status == cudaErrorStreamCaptureImplicit) cudaGetLastError();
  else check(op, status);
}

bool holds_until_idle(int device) {
  HeldList& list = held();
  if (list.count.load(std::memory_order_relaxed) == 0) return false;
  std::lock_guard lock(list.mutex);
  for (const Held& entry : list.entries)
    if (entry.device == device && entry.consumer == Consumer::unknown) return true;
  return false;
}

}  // namespace cnnx::cuda
