#include "cnnx/recording.h"

#include <memory>
#include <mutex>

#include "core/op.h"
#include "device/per_thread.h"

namespace cnnx {
namespace {

std::mutex mutex;
int recordings = 0;  // of all threads

// Of this thread: what it has recorded, and how deep it is in calls.
struct Recording {
  Recording();
  ~Recording() {  // also of a thread that ends in the middle of one
    std::lock_guard lock(mutex);
    if (--recordings == 0) stop_watching();
  }
  std::vector<RecordedCall> calls;
  int depth = 0;
};
std::unique_ptr<Recording>& mine() { return per_thread<std::unique_ptr<Recording>>(); }

RecordedTensor recorded(const Tensor& t) {
  if (!t.defined()) return {};
  return {t.detach(), t->storage->changes(), false};
}

class Recorder : public CallObserver {
 public:
  void begin(const Call& call) override {
    if (mine() == nullptr || mine()->depth++ > 0) return;
    RecordedCall& made = mine()->calls.emplace_back();
    made.op = call.op.name;
    made.attributes = call.listed();
    made.is_view = call.op.view != nullptr;
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      made.inputs.push_back(recorded(call[i]));
      made.inputs.back().is_unread = call.op.place(i) == Place::unread;
    }
  }

  void end(const Call&, const Results* results) override {
    if (mine() == nullptr || --mine()->depth > 0) return;
    if (results == nullptr) return mine()->calls.pop_back();
    for (const Tensor& result : *results) mine()->calls.back().results.push_back(recorded(result));
  }

  void read(const char* what, const Tensor& tensor) override {
    if (mine() == nullptr || mine()->depth > 0) return;
    mine()->calls.push_back({what, {}, {recorded(tensor)}, {}, false, true});
  }
};

// Never destroyed: a thread may be in the middle of a call when the process ends.
Recorder& recorder() {
  static Recorder* one = new Recorder;
  return *one;
}

Recording::Recording() {
  std::lock_guard lock(mutex);
  if (recordings == 0) watch_calls("recording", recorder());
  ++recordings;
}

}  // namespace

std::string RecordedCall::str() const {
  std::string text = op + "(";
  const char* comma = "";
  for (const RecordedTensor& input : inputs)
    text += std::exchange(comma, ", ") + (input.tensor.defined() ? input.tensor.shape().str() : std::string("none"));
  if (!attributes.empty()) text += "; " + cnnx::str(attributes);
  return text + ")";
}

void start_recording() {
  if (mine() != nullptr) throw Error("recording: this thread records already");
  mine() = std::make_unique<Recording>();
}

std::vector<RecordedCall> stop_recording() {
  if (mine() == nullptr) throw Error("recording: this thread does not record");
  const std::unique_ptr<Recording> done = std::move(mine());
  return std::move(done->calls);
}

size_t recorded_calls() { return mine() != nullptr ? mine()->calls.size() : 0; }

}  // namespace cnnx
