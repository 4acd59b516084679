#include "cnnx/plan.h"

#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

#include "core/copy.h"
#include "core/op.h"
#include "kernels/dispatch.h"
#include "plan/bound.h"
#include "plan/passes.h"
#include "plan/recorder.h"

namespace cnnx {
namespace {

// What is called at its place, with these gradients of the leaves.
struct LiveWork {
  std::function<void()> work;
  std::vector<std::shared_ptr<TensorImpl>> grads;
};

template <class T>
void append(std::string& text, const T& value) {
  text.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

std::string signature(const std::vector<Tensor>& arguments) {
  std::string text;
  for (const Tensor& t : arguments) {
    append(text, static_cast<int8_t>(t.dtype()));
    append(text, static_cast<int8_t>(t.ndim()));
    append(text, static_cast<int8_t>(t.requires_grad() + 2 * t.in_lanes()));
    append(text, static_cast<int16_t>(t.device().is_cuda() ? t.device().index : -1));
    for (int64_t extent : t.shape()) append(text, extent);
    for (int64_t stride : t.strides()) append(text, stride);
  }
  return text;
}

bool is_noting() { return has_run_recorder(); }

struct Plan::State {
  bool is_noting = false;
  RunRecorder* before = nullptr;
  Recorder recorder;
  std::vector<LiveWork> live;
  std::optional<BoundProgram> bound;
  std::string noted;
  std::string arguments;  // their signature
  size_t argument_count = 0;
  std::unordered_set<const Storage*> kept;
  std::vector<bool> changes;  // by argument
  std::vector<std::shared_ptr<Storage>> changed;
  std::mutex mutex;

  void run(const Queue& queue) {
    for (const BoundStep& step : bound->steps()) {
      if (step.step->op != nullptr) {
        step.run(queue);
        continue;
      }
      const LiveWork& work = live[static_cast<size_t>(step.step->live)];
      for (size_t i = 0; i < work.grads.size(); ++i) recorder.outside[i].impl->grad = work.grads[i];
      work.work();
    }
  }
};

Plan::Plan() : state_(std::make_unique<State>()) {}
Plan::~Plan() { abandon(); }

void Plan::begin(const std::vector<Tensor>& arguments, const std::vector<Tensor>& leaves) {
  State& s = *state_;
  if (s.is_noting || s.bound || !s.recorder.refused.empty()) throw Error("begin: the plan has been noted already");
  s.arguments = signature(arguments);
  s.argument_count = arguments.size();
  s.recorder.start(arguments, leaves);
  s.is_noting = true;
  s.before = set_run_recorder(&s.recorder);
}

void Plan::live(const std::function<void()>& work) {
  State& s = *state_;
  if (!s.is_noting) throw Error("live: the plan is not being noted");
  s.recorder.add_live_work();
  LiveWork& made = s.live.emplace_back(LiveWork{work, {}});
  for (const Recorder::Outside& t : s.recorder.outside) made.grads.push_back(t.impl->grad);
  struct Outside {
    State& s;
    ~Outside() { set_run_recorder(&s.recorder); }
  } outside{s};
  set_run_recorder(s.before);
  work();
}

void Plan::abandon() noexcept {
  State& s = *state_;
  if (!s.is_noting) return;
  set_run_recorder(s.before);
  s.is_noting = false;
}

const std::string& Plan::end(const std::vector<Tensor>& results) {
  State& s = *state_;
  Recorder& r = s.recorder;
  if (!s.is_noting) throw Error("end: the plan is not being noted");
  // A result that is a part of images in lanes is copied out of them by every replay.
  for (const Tensor& t : results)
    if (t->storage->is_lanes() && !t.in_lanes()) unpack(t);
  abandon();
  r.finish(results);
  if (!r.refused.empty()) return r.refused;
  s.noted = cnnx::str(r.program);
  run_passes(r.program);
  s.bound.emplace(std::move(r.program));
  s.changes.resize(s.argument_count);
  const std::vector<Block>& blocks = s.bound->program().blocks;
  for (const Block& block : blocks)
    if (block.kept != nullptr && block.argument < 0) s.kept.insert(block.kept.get());
  for (int b : r.changed) {
    const Block& block = blocks[static_cast<size_t>(b)];
    if (block.argument >= 0) s.changes[static_cast<size_t>(block.argument)] = true;
    else s.changed.push_back(block.kept);
  }
  return r.refused;
}

std::vector<Tensor> Plan::leaves() const {
  std::vector<Tensor> result;
  for (const Recorder::Outside& t : state_->recorder.outside) result.emplace_back(t.impl);
  return result;
}

size_t Plan::steps() const { return state_->bound ? state_->bound->steps().size() - state_->live.size() : 0; }
size_t Plan::bytes() const { return state_->bound ? state_->bound->bytes() : 0; }
std::string Plan::noted() const { return state_->noted; }
std::string Plan::str() const { return state_->bound ? cnnx::str(state_->bound->program()) : std::string(); }

bool Plan::is_current() const {
  for (const Recorder::Outside& t : state_->recorder.outside) {
    const TensorImpl& now = *t.impl;
    if (now.storage != t.storage || now.storage->is_lanes() != t.is_lanes || now.requires_grad != t.requires_grad ||
        now.hooks != nullptr || (now.grad == nullptr) != (t.first_grad == nullptr))
      return false;
    if (t.reads_grad && now.grad->storage != t.first_grad->storage) return false;
  }
  return true;
}

bool Plan::fits(const std::vector<Tensor>& arguments) const {
  const State& s = *state_;
  if (!s.bound || signature(arguments) != s.arguments) return false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Storage* storage = arguments[i]->storage.get();
    if (s.kept.contains(storage) || (s.changes[i] && storage->read_only())) return false;
    for (size_t j = 0; j < i; ++j)
      if (arguments[j]->storage.get() == storage) return false;
  }
  return true;
}

std::vector<Tensor> Plan::replay(const std::vector<Tensor>& arguments) {
  State& s = *state_;
  if (!s.bound) throw Error("replay: there is no plan");
  if (is_noting()) throw Error("replay: another plan is being noted, which cannot hold this one");
  if (!fits(arguments)) throw Error("replay: the arguments differ from those that the plan was noted with");
  std::lock_guard lock(s.mutex);
  const NoGrad guard;
  s.bound->bind(arguments);
  if (s.recorder.draws > 0) {
    const RandomState first = default_generator().next_calls(s.recorder.draws);
    for (Step& step : s.bound->program().steps)
      if (step.draw >= 0) *step.op->key(step.attributes.data()) = {first.seed, first.calls + static_cast<uint64_t>(step.draw)};
  }
  s.run(queue_of({}));
  for (const std::shared_ptr<Storage>& storage : s.changed) storage->bump_version();
  for (size_t i = 0; i < arguments.size(); ++i)
    if (s.changes[i]) arguments[i].bump_version();
  for (Recorder::Outside& t : s.recorder.outside) t.impl->grad = t.last_grad;
  std::vector<Tensor> results;
  results.reserve(s.bound->results().size());
  for (const Tensor& t : s.bound->results()) results.push_back(copy_in_layout(t));
  return results;
}

}  // namespace cnnx
