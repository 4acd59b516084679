#include "cnnx/plan.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

#include "core/copy.h"
#include "core/op.h"
#include "device/cuda/runtime.h"
#include "plan/bound.h"
#include "plan/passes.h"
#include "plan/recorder.h"
#include "plan/run_steps.h"
#include "plan/signature.h"

namespace cnnx {
namespace {

// Calls f(bytes, count) for the parts of a signature, in their order.
template <class F>
void for_signature(const std::vector<Tensor>& arguments, const F& f) {
  const auto number = [&](auto value) { f(reinterpret_cast<const char*>(&value), sizeof(value)); };
  for (const Tensor& t : arguments) {
    check_defined("signature", "an argument", t);
    number(static_cast<int8_t>(t.dtype()));
    number(static_cast<int8_t>(t.ndim()));
    number(static_cast<int8_t>(t.requires_grad() + 2 * t.in_lanes()));
    number(static_cast<int16_t>(t.device().is_cuda() ? t.device().index : -1));
    for (int64_t extent : t.shape()) number(extent);
    for (int64_t stride : t.strides()) number(stride);
  }
}

thread_local Plan* noted_here = nullptr;  // what this thread notes

}  // namespace

std::string signature(const std::vector<Tensor>& arguments) {
  std::string text;
  for_signature(arguments, [&](const char* bytes, size_t count) { text.append(bytes, count); });
  return text;
}

bool has_signature(const std::vector<Tensor>& arguments, std::string_view text) {
  bool same = true;
  for_signature(arguments, [&](const char* bytes, size_t count) {
    same = same && text.starts_with(std::string_view(bytes, count));
    if (same) text.remove_prefix(count);
  });
  return same && text.empty();
}

bool is_noting() { return has_run_recorder(); }

struct Plan::State {
  bool is_noting = false;
  std::vector<std::pair<std::shared_ptr<const bool>, bool>> flags;
  std::vector<std::pair<std::shared_ptr<const Tensor>, Tensor>> places;
  Recorder recorder;
  std::vector<std::function<void()>> live;
  std::optional<BoundProgram> bound;
  Program noted;
  std::string arguments;  // their signature
  size_t argument_count = 0;
  std::unordered_set<const Storage*> kept;
  std::vector<bool> changes;  // by argument
  std::vector<std::shared_ptr<Storage>> changed;
  std::mutex mutex;

  bool is_noted = false;

  const Program& program() const { return bound ? bound->program() : recorder.program; }
  bool is_current() const;
  bool fits(const std::vector<Tensor>& arguments) const;
  void bump_versions(const std::vector<Tensor>& arguments) const;
  std::vector<Tensor> run(const std::vector<Tensor>& arguments);
};

bool Plan::State::is_current() const {
  for (const auto& [flag, value] : flags)
    if (*flag != value) return false;
  for (const auto& [place, tensor] : places)
    if (!place->is_same(tensor)) return false;
  for (const Recorder::Outside& t : recorder.outside) {
    const TensorImpl& now = *t.impl;
    if (now.storage != t.storage || now.storage->is_lanes() != t.is_lanes || now.requires_grad != t.requires_grad ||
        now.hooks != nullptr || !(now.shape == t.shape) || !(now.strides == t.strides) || now.offset != t.offset)
      return false;
    if (t.grad_counts && (now.grad != nullptr) != t.had_grad) return false;
    if (t.first_grad != nullptr && now.grad != nullptr &&
        (now.grad->storage != t.first_grad->storage || !(now.grad->strides == t.first_grad->strides)))
      return false;
  }
  for (const GradChanges& changes : recorder.grads)
    for (const GradChange& c : changes)
      if (!c.is_first && c.grad != nullptr && c.grad->storage != c.storage) return false;
  return true;
}

bool Plan::State::fits(const std::vector<Tensor>& given) const {
  if (!is_noted || !has_signature(given, arguments)) return false;
  for (size_t i = 0; i < given.size(); ++i) {
    const Storage* storage = given[i]->storage.get();
    if (kept.contains(storage) || (changes[i] && storage->read_only())) return false;
    for (size_t j = 0; j < i; ++j)
      if (given[j]->storage.get() == storage) return false;
  }
  return true;
}

void Plan::State::bump_versions(const std::vector<Tensor>& given) const {
  for (const std::shared_ptr<Storage>& storage : changed) storage->bump_version();
  for (size_t i = 0; i < given.size(); ++i)
    if (changes[i]) given[i].bump_version();
}

std::vector<Tensor> Plan::State::run(const std::vector<Tensor>& given) {
  const NoGrad guard;
  const Queue queue = queue_of({});
  Program& program = bound->program();
  bound->bind(given);
  Generator& generator = default_generator();
  RandomState first;
  if (recorder.draw_count > 0) {
    first = generator.next_calls(recorder.draw_count);
    for (Step& step : program.steps)
      if (step.draw >= 0) *step.op->key(step.attributes.data()) = {first.seed, first.calls + static_cast<uint64_t>(step.draw)};
  }
  // Gradients that there are at the start, for those that get them back.
  std::vector<std::pair<const TensorImpl*, std::shared_ptr<TensorImpl>>> first_grads;
  for (const GradChanges& changes : recorder.grads)
    for (const GradChange& c : changes)
      if (c.is_first) first_grads.emplace_back(c.tensor.get(), c.tensor->grad);
  const auto apply = [&](const GradChanges& changes) {
    for (const GradChange& c : changes) {
      if (!c.is_first) c.tensor->grad = c.grad;
      else c.tensor->grad = std::ranges::find(first_grads, c.tensor.get(), [](const auto& f) { return f.first; })->second;
    }
  };
  struct Versions {
    const State& s;
    const std::vector<Tensor>& given;
    ~Versions() { s.bump_versions(given); }
  } versions{*this, given};
  int64_t drawn = 0;  // by the steps so far
  try {
    run_steps(*bound, queue, [&](const Step& step) {
      drawn = std::max(drawn, step.draw + 1);
      if (step.live >= 0) live[static_cast<size_t>(step.live)]();
      else if (step.op == nullptr) apply(recorder.grads[static_cast<size_t>(step.grads)]);
    });
  } catch (...) {  // what the function would not have drawn is not drawn
    if (recorder.draw_count > 0) {
      generator.take_back(first, recorder.draw_count);
      if (drawn > 0) generator.next_calls(static_cast<uint64_t>(drawn));
    }
    throw;
  }
  std::vector<Tensor> results;
  results.reserve(bound->results().size());
  for (const Tensor& t : bound->results()) results.push_back(copy_in_layout(t));
  return results;
}

Plan::Plan() : state_(std::make_unique<State>()) {}
Plan::~Plan() { abandon(); }

void Plan::begin(const std::vector<Tensor>& arguments, const std::vector<Tensor>& leaves) {
  State& s = *state_;
  if (s.is_noting || s.is_noted || !s.recorder.refused.empty()) throw Error("begin: the plan has been noted already");
  if (cnnx::is_noting()) throw Error("begin: another plan is being noted, which cannot hold this one");
  s.arguments = signature(arguments);
  s.argument_count = arguments.size();
  s.recorder.start(arguments, leaves);
  s.is_noting = true;
  set_run_recorder(&s.recorder);
  noted_here = this;
}

void live(const std::function<void()>& work) {
  if (!work) throw ValueError("live: the function is empty");
  if (noted_here == nullptr) return work();
  noted_here->live([work, is_on = grad_enabled()] {
    const GradMode mode(is_on);
    work();
  });
}

void note_flag(const std::shared_ptr<const bool>& flag) {
  if (flag == nullptr) throw ValueError("note_flag: the flag is null");
  if (noted_here != nullptr) noted_here->watch(flag);
}

void note_place(const std::shared_ptr<const Tensor>& place) {
  if (place == nullptr) throw ValueError("note_place: the place is null");
  if (noted_here != nullptr) noted_here->watch(place);
}

void Plan::watch(const std::shared_ptr<const bool>& flag) {
  if (flag == nullptr) throw ValueError("watch: the flag is null");
  if (std::ranges::none_of(state_->flags, [&](const auto& known) { return known.first == flag; }))
    state_->flags.emplace_back(flag, *flag);
}

void Plan::watch(const std::shared_ptr<const Tensor>& place) {
  if (place == nullptr) throw ValueError("watch: the place is null");
  if (std::ranges::none_of(state_->places, [&](const auto& known) { return known.first == place; }))
    state_->places.emplace_back(place, *place);
}

void Plan::live(const std::function<void()>& work) {
  State& s = *state_;
  if (!s.is_noting) throw Error("live: the plan is not being noted");
  if (!work) throw ValueError("live: there is no function to call");
  s.recorder.add_live_work();
  s.live.push_back(work);
  struct Outside {
    State& s;
    Plan* plan;
    ~Outside() {
      set_run_recorder(&s.recorder);
      noted_here = plan;
    }
  } outside{s, this};
  set_run_recorder(nullptr);
  noted_here = nullptr;
  work();
  s.recorder.ended_live_work();
}

void Plan::abandon() noexcept {
  State& s = *state_;
  if (!s.is_noting) return;
  set_run_recorder(nullptr);
  noted_here = nullptr;
  s.is_noting = false;
}

const std::string& Plan::end(const std::vector<Tensor>& results) {
  State& s = *state_;
  Recorder& r = s.recorder;
  if (!s.is_noting) throw Error("end: the plan is not being noted");
  // A result that is a part of images in lanes is copied out of them by every replay.
  for (const Tensor& t : results) check_defined("end", "a result", t);
  for (const Tensor& t : results)
    if (t->storage->is_lanes() && !t.in_lanes()) unpack(t);
  abandon();
  r.finish(results);
  for (const auto& [flag, value] : s.flags)
    if (*flag != value) r.refuse("a module changes between training and inference while it runs");
  if (!r.refused.empty()) return r.refused;
  s.noted = r.program;
  s.is_noted = true;
  if (!r.ran_on_device) {
    run_passes(r.program);
    s.bound.emplace(std::move(r.program));
  }
  s.changes.resize(s.argument_count);
  const std::vector<Block>& blocks = s.program().blocks;
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

size_t Plan::steps() const {
  if (!state_->bound) return 0;
  return state_->bound->steps().size() - state_->bound->program().constant_steps - state_->live.size() -
         state_->recorder.grads.size();
}
size_t Plan::side_by_side() const { return state_->bound ? state_->bound->side_by_side().size() : 0; }
size_t Plan::bytes() const { return state_->bound ? state_->bound->bytes() : 0; }
std::string Plan::noted() const { return cnnx::str(state_->noted); }
std::string Plan::difference(const Plan& other) const { return cnnx::difference(state_->noted, other.state_->noted); }
std::string Plan::str() const { return state_->bound ? cnnx::str(state_->bound->program()) : std::string(); }

bool Plan::is_on_device() const { return state_->recorder.ran_on_device; }
void Plan::was_replayed() { state_->bump_versions({}); }
std::vector<size_t> Plan::changed_arguments() const {
  std::vector<size_t> found;
  for (size_t i = 0; i < state_->changes.size(); ++i)
    if (state_->changes[i]) found.push_back(i);
  return found;
}
std::vector<Tensor> Plan::changed_grads() const {
  std::vector<Tensor> found;
  for (const GradChanges& changes : state_->recorder.grads)
    for (const GradChange& c : changes)
      if (std::ranges::none_of(found, [&](const Tensor& t) { return t.impl() == c.tensor; })) found.emplace_back(c.tensor);
  return found;
}
bool Plan::is_current() const { return state_->is_current(); }
bool Plan::fits(const std::vector<Tensor>& arguments) const { return state_->fits(arguments); }

std::optional<std::vector<Tensor>> Plan::try_replay(const std::vector<Tensor>& arguments) {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  if (!s.bound || cnnx::is_noting() || !s.fits(arguments) || !s.is_current()) return std::nullopt;
  return s.run(arguments);
}

std::vector<Tensor> Plan::replay(const std::vector<Tensor>& arguments) {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  if (!s.bound) throw Error("replay: there is no plan");
  if (cnnx::is_noting()) throw Error("replay: another plan is being noted, which cannot hold this one");
  if (!s.fits(arguments)) throw Error("replay: the arguments differ from those that the plan was noted with");
  return s.run(arguments);
}

}  // namespace cnnx
