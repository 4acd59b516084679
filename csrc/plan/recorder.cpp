#include "plan/recorder.h"

#include <unordered_set>

#include "cnnx/plan.h"
#include "core/node.h"

namespace cnnx {

std::string (*where_it_runs)() = nullptr;

void Recorder::refuse(const std::string& why) {
  if (refused.empty()) refused = why;
}

void Recorder::refuse_here(const std::string& why) {
  if (!refused.empty()) return;
  const std::string where = where_it_runs != nullptr ? where_it_runs() : std::string();
  refused = where.empty() ? why : message(why, " (", where, ")");
}

void Recorder::start(const std::vector<Tensor>& arguments, const std::vector<Tensor>& leaves) {
  for (const Tensor& t : arguments) {
    if (t.requires_grad()) refuse("an argument requires a gradient");
    if (seen_.contains(t->storage.get())) refuse("two arguments share memory");
    const int block = block_of(t, false, false);
    program.blocks[static_cast<size_t>(block)].argument = static_cast<int>(argument_offsets_.size());
    argument_offsets_.push_back(t->offset * static_cast<int64_t>(itemsize(t.dtype())));
  }
  for (const Tensor& leaf : leaves) meet(leaf);
  seed_ = random_state().seed;
  first_storage_ = Storage::next_number();
}

// Null unless it is a leaf that was there before, and no argument.
Recorder::Outside* Recorder::meet(const Tensor& t) {
  if (!t.defined()) return nullptr;
  const auto seen = seen_.find(t->storage.get());
  if (seen != seen_.end()) {
    const Block& block = program.blocks[static_cast<size_t>(seen->second.block)];
    if (block.argument >= 0 || block.kept == nullptr) return nullptr;
  }
  if (!t.is_leaf()) return nullptr;
  const auto [entry, is_new] = outside_of_.try_emplace(t.impl().get(), outside.size());
  if (is_new) {
    if (t->hooks != nullptr) refuse("a hook on a gradient would have to be called");
    outside.push_back({t.impl(), t->storage, t.shape(), t.strides(), t->offset, t->storage->is_lanes(), t.requires_grad(),
                       t->grad != nullptr, t->grad, t->grad});
  }
  return &outside[entry->second];
}

void Recorder::touches_grad(const Tensor& tensor) {
  if (Outside* met = meet(tensor)) met->grad_counts = true;
}

void Recorder::draws(const Generator& generator, const RandomState& first, uint64_t count) {
  if (!generator.is_same(default_generator())) return refuse_here("random numbers are drawn from a generator of its own");
  if (first.seed != seed_) return refuse_here("random numbers are seeded anew");
  for (uint64_t i = 0; i < count; ++i) draw_of_[first.calls + i] = static_cast<int64_t>(draw_count++);
}

// Where gradients are others than at the last look: a step of its own.
void Recorder::note_grads() {
  GradChanges changes;
  for (Outside& t : outside) {
    const std::shared_ptr<TensorImpl>& now = t.impl->grad;
    if (now == t.last_grad) continue;
    t.last_grad = now;
    t.grad_counts = true;
    changes.push_back({t.impl, now, now != nullptr ? now->storage : nullptr, now == t.first_grad});
  }
  if (changes.empty()) return;
  program.steps.emplace_back().grads = static_cast<int>(grads.size());
  grads.push_back(std::move(changes));
}

int Recorder::block_of(const Tensor& t, bool is_fresh, bool is_read) {
  const std::shared_ptr<Storage>& storage = t->storage;
  const auto [entry, is_new] = seen_.try_emplace(storage.get());
  if (is_new) {
    entry->second = {static_cast<int>(program.blocks.size()), storage, storage->changes()};
    Block& block = program.blocks.emplace_back();
    block.device = storage->device();
    block.plain_bytes = storage->nbytes();
    block.lanes = storage->lanes_shape();
    block.lanes_bytes = static_cast<size_t>(block.lanes.numel()) * sizeof(float);
    if (!is_fresh) block.kept = storage;
    block.is_outside = !is_fresh;
    const bool has_values = storage->nbytes() > 0;  // what has none no step has made
    if (is_read && has_values && storage->number() >= first_storage_) refuse_here("values of a tensor come from outside");
  }
  return entry->second.block;
}

Value Recorder::value(const Tensor& t, const void* data, bool is_fresh, bool is_read) {
  Value result;
  if (!t.defined()) return result;
  result.block = block_of(t, is_fresh, is_read);
  result.is_lanes = t->storage->is_lanes();
  result.shape = t.shape();
  result.strides = t.strides();
  result.offset = t->offset;
  result.dtype = t.dtype();
  result.has_data = data != nullptr;
  if (result.has_data) {
    const void* base = result.is_lanes ? t->storage->lanes() : t->storage->plain();
    result.byte_offset = static_cast<const std::byte*>(data) - static_cast<const std::byte*>(base);
  }
  // An argument begins with its own first element, wherever that lies in another's memory.
  if (const int argument = program.blocks[static_cast<size_t>(result.block)].argument; argument >= 0) {
    const int64_t before = argument_offsets_[static_cast<size_t>(argument)];
    const auto size = static_cast<int64_t>(itemsize(t.dtype()));
    result.offset -= before / size;
    if (result.has_data) result.byte_offset -= before;
    if (before % size != 0 || result.offset < 0 || result.byte_offset < 0)
      refuse_here("an argument is read outside of its elements");
  }
  return result;
}

void Recorder::ran(const Run& r) {
  note_grads();
  const OpDef& op = r.call.op;
  if (op.borrows) return refuse_here(message(op.name, " works on what lives as long as its call"));
  (r.queue.device >= 0 ? ran_on_device : ran_on_cpu) = true;
  Step step;
  step.op = &op;
  step.attributes = r.call.attributes_copy();
  step.lanes = r.lanes;
  for (size_t i = 0; i < r.inputs.size(); ++i)
    step.inputs.push_back(value(r.inputs[i], r.input_data[i], false, r.input_data[i] != nullptr));
  for (size_t i = 0; i < r.results.size(); ++i) {
    const Tensor& t = r.results[i];
    // What nobody else holds was made for this run.
    const bool is_fresh = t.defined() && t.impl().use_count() == 1 && t->storage.use_count() == 1;
    step.results.push_back(value(t, r.result_data[i], is_fresh, false));
  }
  for (const Input& input : r.call.inputs) meet(*input);
  if (&op == &kUnpack) {
    const Block& block = program.blocks[static_cast<size_t>(step.inputs[0].block)];
    if (block.kept != nullptr) return;  // it is plain from now on, or another argument is unpacked before a replay
    step.op = &kUnpackInto;
    step.lanes = lane_count();
    step.inputs[0].has_data = true;
    step.results = step.inputs;  // by now it is plain: that is the result
    step.inputs[0].is_lanes = true;
  }
  if (op.key != nullptr) {
    const RandomState key = *op.key(step.attributes.data());
    const auto draw = draw_of_.find(key.calls);
    if (key.seed != seed_ || draw == draw_of_.end()) refuse_here(message(op.name, " draws from a generator of its own"));
    else step.draw = draw->second;
    *op.key(step.attributes.data()) = {};  // a replay has its own
  }
  program.steps.push_back(std::move(step));
}

void Recorder::viewed(const Call& call) {
  for (const Input& input : call.inputs) meet(*input);
}

void Recorder::read(const Tensor&) { refuse_here("values of a tensor are read or written outside its operations"); }

int Recorder::add_live_work() {
  note_grads();
  program.steps.emplace_back().live = live_work_;
  return live_work_++;
}

void Recorder::ended_live_work() {
  for (Outside& t : outside) t.last_grad = t.impl->grad;
}

void Recorder::finish(const std::vector<Tensor>& results) {
  note_grads();
  for (const Tensor& t : results)
    if (t->grad_fn != nullptr && !t->grad_fn->freed)
      refuse("gradients could go through a result: backward() belongs inside, or no_grad() around the call");
  for (const Tensor& t : results) program.results.push_back(value(t, nullptr, false, true));
  std::unordered_set<int64_t> drawn;
  for (const Step& step : program.steps)
    if (step.draw >= 0) drawn.insert(step.draw);
  if (ran_on_device && ran_on_cpu) return refuse("it runs on the CPU and on a device");
  if (random_state().seed != seed_) return refuse("random numbers are seeded anew");
  if (drawn.size() != draw_count) return refuse("random numbers are drawn by what cannot draw them again");
  // What is still there others hold.
  for (const auto& [address, seen] : seen_) {
    Block& block = program.blocks[static_cast<size_t>(seen.block)];
    const bool was_there = block.kept != nullptr;
    if (!was_there) block.kept = seen.storage.lock();
    if (was_there && address->changes() != seen.changes) changed.push_back(seen.block);
  }
  for (Outside& t : outside) {
    if (t.first_grad != nullptr && !seen_.contains(t.first_grad->storage.get())) t.first_grad.reset();
    t.last_grad.reset();
  }
}

}  // namespace cnnx
