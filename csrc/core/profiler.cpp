#include "cnnx/profiler.h"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "core/op.h"
#include "device/cuda/streams.h"
#include "device/per_thread.h"

namespace cnnx {
namespace {

using Clock = std::chrono::steady_clock;

// Marks in a device's stream around a call.
struct DeviceSpan {
  explicit DeviceSpan(int device) : index(device) { begin.record(device, cuda::stream_address(device)); }
  void stop() { end.record(index, cuda::stream_address(index)); }
  double nanoseconds() const {
    end.synchronize();
    return 1e6 * begin.milliseconds_until(end);
  }
  int index;
  cuda::Event begin{true, false}, end{true, false};
};

struct OpenCall {
  std::string name;
  Clock::time_point begin;
  std::unique_ptr<DeviceSpan> span;
};
// Of a thread, by profile: what has begun and not ended, and the span of the call that was closed last.
struct OpenCalls {
  std::vector<OpenCall> list;
  std::unique_ptr<DeviceSpan> closed;
};
thread_local uint64_t open_profile = 0;

double bytes_of(const Tensor& t) {
  return t.defined() ? static_cast<double>(t.numel()) * static_cast<double>(itemsize(t.dtype())) : 0;
}

int device_of(const Call& call) {
  for (const Input& input : call.inputs)
    if (input->defined() && input->device().is_cuda()) return input->device().index;
  return -1;
}

class Profile : public CallObserver {
 public:
  void start() {
    std::lock_guard lock(mutex_);
    calls_.clear();
    spans_.clear();
    threads_.clear();
    ++number_;
    start_ = Clock::now();
  }

  void begin(const Call& call) override { open(call.op.name, device_of(call)); }

  void end(const Call& call, const Results* results) override {
    std::optional<ProfiledCall> done = close();
    if (!done || results == nullptr) return;
    for (const Input& input : call.inputs) {
      if (!input->defined()) continue;
      done->shapes.push_back(input->shape());
      if (call.op.view == nullptr) done->bytes += bytes_of(*input);
    }
    double elements = 0;
    if (results->empty())
      for (const Input& input : call.inputs) elements += input->defined() ? static_cast<double>(input->numel()) : 0;
    for (const Tensor& result : *results) {
      if (!result.defined() || call.op.view != nullptr) continue;
      done->bytes += bytes_of(result);
      if (is_floating_point(result.dtype())) elements += static_cast<double>(result.numel());
    }
    done->flops = call.op.flops != nullptr ? call.op.flops(call) : elements;
    if (call.op.runs_others) done->flops = done->bytes = 0;
    add(std::move(*done));
  }

  void open(const char* name, int device) {
    OpenCalls& open_calls = per_thread<OpenCalls>();
    if (open_profile != number_) {  // what another profile left
      open_calls.list.clear();
      open_profile = number_;
    }
    open_calls.list.push_back({name, {}, device >= 0 ? std::make_unique<DeviceSpan>(device) : nullptr});
    open_calls.list.back().begin = Clock::now();
  }

  // The call that was opened last, if it began in this profile.
  std::optional<ProfiledCall> close() {
    const Clock::time_point now = Clock::now();
    OpenCalls& open_calls = per_thread<OpenCalls>();
    if (open_profile != number_ || open_calls.list.empty()) return {};
    OpenCall call = std::move(open_calls.list.back());
    open_calls.list.pop_back();
    ProfiledCall done;
    done.name = std::move(call.name);
    done.begin = nanoseconds(call.begin);
    done.end = nanoseconds(now);
    done.flops = done.bytes = 0;
    if (call.span != nullptr) call.span->stop();
    open_calls.closed = std::move(call.span);
    return done;
  }

  void add(ProfiledCall call) {
    std::lock_guard lock(mutex_);
    call.thread = threads_.try_emplace(std::this_thread::get_id(), threads_.size()).first->second;
    calls_.push_back(std::move(call));
    spans_.push_back(std::move(per_thread<OpenCalls>().closed));
  }

  std::vector<ProfiledCall> stop() {
    std::lock_guard lock(mutex_);
    for (size_t i = 0; i < calls_.size(); ++i)
      if (spans_[i] != nullptr) calls_[i].device_time = spans_[i]->nanoseconds();
    spans_.clear();
    return std::move(calls_);
  }

 private:
  int64_t nanoseconds(Clock::time_point time) const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time - start_).count();
  }

  std::mutex mutex_;
  Clock::time_point start_;
  std::atomic<uint64_t> number_{0};
  std::vector<ProfiledCall> calls_;
  std::vector<std::unique_ptr<DeviceSpan>> spans_;  // of the calls
  std::map<std::thread::id, uint64_t> threads_;
};

// Never destroyed: a thread may be in the middle of a call when the process ends.
Profile& profile() {
  static Profile* one = new Profile;
  return *one;
}
std::atomic<bool> running{false};

}  // namespace

void start_profile() {
  watch_calls("profile", profile());
  profile().start();
  running = true;
}

std::vector<ProfiledCall> stop_profile() {
  if (!running.load()) throw Error("profile: none was started");
  stop_watching();
  std::vector<ProfiledCall> calls = profile().stop();
  running = false;
  return calls;
}

bool is_profiling() { return running.load(std::memory_order_relaxed); }

void begin_profile_label(const std::string& name) {
  if (is_profiling()) profile().open(name.c_str(), -1);
}

void end_profile_label() {
  if (!is_profiling()) return;
  if (std::optional<ProfiledCall> done = profile().close()) {
    done->is_label = true;
    profile().add(std::move(*done));
  }
}

}  // namespace cnnx
