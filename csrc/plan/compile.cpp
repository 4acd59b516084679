#include "cnnx/compile.h"

#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "cnnx/autocast.h"
#include "cnnx/autograd.h"
#include "cnnx/ops/view.h"
#include "cnnx/plan.h"

namespace cnnx {
namespace {

constexpr size_t kLimit = 8;  // of kinds of arguments, and of the times that one is noted anew

// What decides besides its arguments what a call computes.
std::string modes() {
  return {grad_enabled() ? 'g' : '-', is_autocast_enabled() ? 'a' : '-',
          static_cast<char>('0' + static_cast<int>(default_dtype()))};
}

// Arguments of one kind.
struct Kind {
  std::optional<std::vector<Tensor>> leaves;  // those that the call before the noted one met
  std::vector<std::unique_ptr<Plan>> plans;   // one for each mode of the modules, say
};

}  // namespace

struct CallPlans::State {
  CompileOptions options;
  std::mutex mutex;
  std::map<std::string, Kind> kinds;
  size_t replays = 0;
  std::string refused;
  bool is_full = false;  // it has been said

  std::vector<Tensor> call(const std::vector<Tensor>& arguments, const Function& f);
  std::vector<Tensor> meet(Kind& kind, const std::vector<Tensor>& arguments, const Function& f);
  std::vector<Tensor> note(Kind& kind, const std::vector<Tensor>& arguments, const Function& f);
  void refuse(const std::string& why);
};

void CallPlans::State::refuse(const std::string& why) {
  if (why.empty()) return;
  refused = why;
  kinds.clear();
  if (options.fullgraph) throw Error("compile: the function cannot be replayed: " + why);
  std::fprintf(stderr, "cnnx: compile: the function runs as it is and is not replayed: %s\n", why.c_str());
}

std::vector<Tensor> CallPlans::State::meet(Kind& kind, const std::vector<Tensor>& arguments, const Function& f) {
  Plan plan;
  const std::string before = modes();
  plan.begin(arguments);
  std::vector<Tensor> results = f(arguments);
  std::string why = plan.end({});
  if (why.empty() && modes() != before) why = "it leaves another grad mode, autocast or dtype behind";
  if (why.empty() && plan.is_on_device()) why = "it runs on a GPU";
  for (const Tensor& t : arguments)
    if (t.requires_grad() || t.grad().defined()) why = "an argument requires a gradient";
  kind.leaves = plan.leaves();
  refuse(why);
  return results;
}

std::vector<Tensor> CallPlans::State::note(Kind& kind, const std::vector<Tensor>& arguments, const Function& f) {
  auto plan = std::make_unique<Plan>();
  plan->begin(arguments, *kind.leaves);
  std::vector<Tensor> results = f(arguments);
  for (const Tensor& t : results)
    if (!t.defined()) throw TypeError("compile: a result is undefined");
  if (const std::string why = plan->end(results); !why.empty()) {
    refuse(why);
    return results;
  }
  kind.leaves.reset();
  kind.plans.push_back(std::move(plan));
  const NoGrad guard;
  for (Tensor& t : results) t = clone(t.detach());  // the memory of the results is the plan's from now on
  return results;
}

std::vector<Tensor> CallPlans::State::call(const std::vector<Tensor>& arguments, const Function& f) {
  const std::string key = modes() + signature(arguments);
  if (!kinds.contains(key) && kinds.size() == kLimit) {  // those that there are stay
    const std::string why = message("it has been called with more than ", kLimit, " kinds of arguments");
    if (options.fullgraph) throw Error("compile: not all calls can be replayed: " + why);
    if (!std::exchange(is_full, true)) std::fprintf(stderr, "cnnx: compile: further kinds run as they are: %s\n", why.c_str());
    return f(arguments);
  }
  Kind& kind = kinds[key];
  bool is_current = false;
  for (const std::unique_ptr<Plan>& plan : kind.plans) {
    if (auto results = plan->try_replay(arguments)) {
      ++replays;
      return *results;
    }
    is_current = is_current || plan->is_current();
  }
  if (is_current) return f(arguments);  // arguments share memory with each other, or with what it works on
  if (!kind.leaves) {
    if (kind.plans.size() < kLimit) return meet(kind, arguments, f);
    refuse(message("what it works on has changed ", kLimit, " times"));
    return f(arguments);
  }
  return note(kind, arguments, f);
}

CallPlans::CallPlans(const CompileOptions& options) : state_(std::make_shared<State>()) { state_->options = options; }

std::vector<Tensor> CallPlans::operator()(const std::vector<Tensor>& arguments, const Function& f) {
  for (const Tensor& t : arguments)
    if (!t.defined()) throw TypeError("compile: an argument is undefined");
  if (is_noting()) return f(arguments);  // a part of another plan
  std::unique_lock lock(state_->mutex);
  if (state_->refused.empty()) return state_->call(arguments, f);
  lock.unlock();
  return f(arguments);
}

size_t CallPlans::replays() const {
  const std::lock_guard lock(state_->mutex);
  return state_->replays;
}
std::string CallPlans::refused() const {
  const std::lock_guard lock(state_->mutex);
  return state_->refused;
}

}  // namespace cnnx
