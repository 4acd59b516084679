#include "cnnx/foresight.h"

#include <atomic>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cnnx/autograd.h"
#include "core/op.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

constexpr int64_t kWorthHolding = 8193;  // elements: passes over fewer cost no more than holding back does
constexpr int kMostTimes = 8;            // that a function is watched; what differs each time is left alone

bool is(const OpDef& op, std::string_view name) { return op.name == name; }

// A call that is held back: all it needs to be computed later, or in another form.
struct Held {
  Held(const Run& r)
      : op(&r.call.op),
        attributes(r.call.attributes_copy()),
        queue(r.queue),
        lanes(r.lanes),
        input_data(r.input_data.begin(), r.input_data.end()) {
    for (const Tensor& t : r.inputs) inputs.push_back(t.defined() ? t.detach() : t);  // which keep their memory
  }

  void run(std::span<const Tensor> results, std::span<void* const> result_data) const {
    const std::vector<Input> seen_as(inputs.begin(), inputs.end());
    op->run({{*op, attributes.data(), seen_as}, queue, lanes, inputs, results, input_data, result_data});
  }

  const OpDef* op;
  std::vector<std::byte> attributes;
  Queue queue;
  int64_t lanes;
  std::vector<Tensor> inputs;
  std::vector<void*> input_data;
};

// Takes the run of a call that is to be held back.
class Holding final : public RunTaker {
 public:
  bool reads(size_t) const override { return true; }
  bool computes_now() const override { return false; }
  void run(const Run& r) override {
    auto made = std::make_shared<Held>(r);
    const Tensor& result = r.results[0];
    result->storage->set_later(
        [made, shape = result.shape(), strides = result.strides(), dtype = result.dtype()](Storage& storage) {
          auto impl = std::make_shared<TensorImpl>();
          impl->storage = std::shared_ptr<Storage>(std::shared_ptr<void>(), &storage);  // whoever asks holds it
          impl->shape = shape;
          impl->strides = strides;
          impl->dtype = dtype;
          const Tensor result_now(std::move(impl));
          void* const data = storage.is_lanes() ? storage.lanes() : storage.plain();
          made->run({&result_now, 1}, {&data, 1});
        });
    // Memory that others have an address of may change before the values are asked for.
    bool is_safe = true;
    for (const Tensor& input : made->inputs) is_safe &= !input.defined() || input->storage->is_private();
    if (is_safe) held = std::move(made);
    else result->storage->fill();
  }
  std::shared_ptr<Held> held;
};

// A layer and the activation behind it.
class LayerRun final : public RunTaker {
 public:
  LayerRun(Held& held, Activation activation, bool in_place) : held_(held), activation_(activation), in_place_(in_place) {}
  bool reads(size_t) const override { return false; }
  bool computes_now() const override { return !in_place_; }
  void run(const Run& r) override {
    *held_.op->activation(held_.attributes.data()) = activation_;
    if (in_place_) r.results[0]->storage->fill();
    else held_.run(r.results, r.result_data);
    *held_.op->activation(held_.attributes.data()) = Activation::none;
  }

 private:
  Held& held_;
  Activation activation_;
  bool in_place_;
};

// The gradient of max pooling behind a relu: its mask is applied to what was pooled (plan/mask_before_pooling.cpp).
class PoolingRun final : public RunTaker {
 public:
  PoolingRun(const Held& held, const Call& mask, const Tensor& pooled) : held_(held), mask_(mask), pooled_(pooled) {}
  bool reads(size_t) const override { return false; }
  bool computes_now() const override { return true; }
  void run(const Run& r) override {
    const NoGrad guard;
    const Input inputs[] = {held_.inputs[0], pooled_};
    const Results masked = emit_past_taker({mask_.op, mask_.attributes, inputs}, nullptr);
    Held spread = held_;
    spread.inputs[0] = masked[0];
    spread.input_data[0] = spread.lanes > 1 ? masked[0].lanes_data() : masked[0].raw_pointer();
    spread.run(r.results, r.result_data);
  }

 private:
  const Held& held_;
  const Call& mask_;
  const Tensor& pooled_;
};

}  // namespace

struct Foresight::State final : CallTaker {
  // A call of the last time, and what may be done with it now.
  struct Known {
    const OpDef* op;
    bool is_held = false;   // its result goes into the next call alone
    bool is_noted = false;  // max pooling whose gradient will be held back
  };
  struct Seen {
    std::weak_ptr<Storage> results[2], inputs[2];
    bool is_gone = false;     // the first result, two calls later
    bool takes_over = false;  // it works in place on its first input
    bool can_change = false;  // a layer without an activation
    bool is_activation = false, is_large = false;
  };
  struct Pooled {
    Tensor result;
    uint64_t changes;
    std::shared_ptr<Storage> input;
    uint64_t input_changes;
  };

  std::vector<Known> known;
  std::vector<Seen> seen;
  std::atomic<bool> is_busy{false};
  // Whether it takes the calls of this thread.
  bool is_taking() {
    CallTaker* const taker = set_call_taker(nullptr);
    set_call_taker(taker);
    return taker == this;
  }
  bool is_watching = true, is_on_track = true, is_inside = false;
  int times_watched = 0;
  size_t at = 0, fused = 0;
  std::shared_ptr<Held> held;
  std::weak_ptr<Storage> held_result, fused_result;
  std::unordered_map<const Storage*, Pooled> pooled;  // by the indices

  Results take(const Call& call, const Tensor* into) override {
    if (is_inside) return emit_past_taker(call, into);  // calls within a call are a part of it
    struct Inside {
      explicit Inside(bool& flag) : inside(flag) { inside = true; }
      ~Inside() { inside = false; }
      bool& inside;
    } guard{is_inside};
    const size_t now = at++;
    if (is_watching) return watch(call, into, now);
    settle(fused_result);
    if (is_on_track && (now >= known.size() || known[now].op != &call.op)) is_on_track = false;
    if (held != nullptr) {
      std::optional<Results> both = is_on_track ? within_both(call, into) : std::nullopt;
      held.reset();
      if (both) {
        ++fused;
        fused_result = std::exchange(held_result, {});
        return std::move(*both);
      }
      settle(held_result);
    }
    if (is_on_track && known[now].is_held && into == nullptr && !call[0].device().is_cuda()) {
      Holding holding;
      Results results = emit_past_taker(call, nullptr, &holding);
      held = std::move(holding.held);
      if (held != nullptr) held_result = results[0]->storage;
      return results;
    }
    Results results = emit_past_taker(call, into);
    if (is_on_track && known[now].is_noted && results.size() == 2 && results[1].defined())
      pooled[results[1]->storage.get()] = {results[0].detach(), results[0]->storage->changes(), call[0]->storage,
                                           call[0]->storage->changes()};
    return results;
  }

  // Computed, unless nobody can ask any more.
  static void settle(std::weak_ptr<Storage>& result) {
    if (const std::shared_ptr<Storage> storage = std::exchange(result, {}).lock()) storage->fill();
  }

  // The held call and this one at once, if they belong together.
  std::optional<Results> within_both(const Call& call, const Tensor* into) {
    const std::shared_ptr<Storage> result = held_result.lock();
    if (result == nullptr || call.inputs.empty() || !call[0].defined() || call[0]->storage != result || !is_whole(call[0]) ||
        (held->lanes > 1) != call[0].in_lanes())
      return std::nullopt;
    const bool in_place = into != nullptr;
    if (in_place && ((*into)->storage != result || !is_whole(*into))) return std::nullopt;
    if (call.op.is_activation != nullptr && held->op->activation != nullptr) {
      const Activation activation = call.op.is_activation(call.attributes);
      const Activation* own = held->op->activation(held->attributes.data());
      if (activation == Activation::none || own == nullptr || *own != Activation::none) return std::nullopt;
      LayerRun run(*held, activation, in_place);
      return emit_past_taker(call, into, &run);
    }
    if (in_place || !is(call.op, "relu_backward") || !is(*held->op, "max_pool_backward")) return std::nullopt;
    const auto entry = pooled.find(held->inputs[1]->storage.get());
    if (entry == pooled.end()) return std::nullopt;
    const Pooled& p = entry->second;
    const Tensor& y = call[1];
    if (y->storage != p.input || !is_whole(y) || (held->lanes > 1) != y.in_lanes() || p.result->storage->changes() != p.changes ||
        p.input->changes() != p.input_changes || p.result.shape().numel() != held->inputs[0].numel())
      return std::nullopt;
    const Tensor what = held->lanes > 1 ? to_lanes(p.result) : p.result;
    PoolingRun run(*held, call, what);
    return emit_past_taker(call, nullptr, &run);
  }
  static bool is_whole(const Tensor& t) {
    return t->offset == 0 && t.is_contiguous() && static_cast<size_t>(t.numel()) * itemsize(t.dtype()) == t->storage->nbytes();
  }

  Results watch(const Call& call, const Tensor* into, size_t now) {
    if (now >= 2) seen[now - 2].is_gone = seen[now - 2].results[0].expired();
    Results results = emit_past_taker(call, into);
    known.push_back({&call.op});
    Seen& s = seen.emplace_back();
    for (size_t i = 0; i < 2; ++i) {
      if (i < results.size() && results[i].defined()) s.results[i] = results[i]->storage;
      if (i < call.inputs.size() && call[i].defined()) s.inputs[i] = call[i]->storage;
    }
    s.takes_over = into != nullptr;
    // Only what has one result and changes nothing else may wait.
    if (call.op.activation != nullptr && call.op.updates == 0 && results.size() == 1) {
      std::vector<std::byte> copy = call.attributes_copy();
      const Activation* own = call.op.activation(copy.data());
      s.can_change = own != nullptr && *own == Activation::none;
    }
    s.is_large = !results.empty() && results[0].defined() && results[0].numel() >= kWorthHolding;
    s.is_activation = call.op.is_activation != nullptr && call.op.is_activation(call.attributes) != Activation::none;
    return results;
  }

  // From what was seen to what is known. Storages that are gone are told apart by their weak pointers.
  void learn() {
    const auto same = [](const std::weak_ptr<Storage>& a, const std::weak_ptr<Storage>& b) {
      return !a.owner_before(b) && !b.owner_before(a);
    };
    for (size_t i = seen.size() >= 2 ? seen.size() - 2 : 0; i < seen.size(); ++i) seen[i].is_gone = seen[i].results[0].expired();
    for (size_t i = 0; i + 1 < seen.size(); ++i) {
      const Seen &first = seen[i], &next = seen[i + 1];
      if (!same(first.results[0], next.inputs[0]) || !(first.is_gone || next.takes_over) || !first.is_large) continue;
      if (first.can_change && next.is_activation) known[i].is_held = true;
      if (!is(*known[i].op, "max_pool_backward") || !is(*known[i + 1].op, "relu_backward")) continue;
      for (size_t j = 0; j < i; ++j) {
        if (!same(seen[j].results[1], first.inputs[1]) || !same(seen[j].inputs[0], next.inputs[1])) continue;
        known[i].is_held = known[j].is_noted = true;
      }
    }
    seen.clear();
  }
};

Foresight::Foresight() : state_(std::make_unique<State>()) {}

Foresight::~Foresight() {
  if (!state_->is_taking()) return;
  try {
    end();
  } catch (...) {  // a destructor cannot say that a call it held back has failed; whoever asks for the values learns it
  }
}

bool Foresight::begin() {
  State& s = *state_;
  if (s.is_watching && s.times_watched >= kMostTimes) return false;
  if (has_run_recorder() || s.is_busy.exchange(true)) return false;
  CallTaker* const before = set_call_taker(&s);
  if (before != nullptr) {
    set_call_taker(before);
    s.is_busy = false;
    return false;
  }
  s.at = s.fused = 0;
  s.is_on_track = true;
  if (s.is_watching) {
    ++s.times_watched;
    s.known.clear();
  }
  return true;
}

void Foresight::end() {
  State& s = *state_;
  if (!s.is_taking()) throw Error("end: this thread is not between begin() and end() of this Foresight");
  set_call_taker(nullptr);
  s.held.reset();
  State::settle(s.held_result);
  State::settle(s.fused_result);
  s.pooled.clear();
  if (s.is_watching) s.learn();
  s.is_watching = !s.is_watching && (!s.is_on_track || s.at != s.known.size());
  s.is_busy = false;
}

size_t Foresight::fused() const { return state_->fused; }

}  // namespace cnnx
