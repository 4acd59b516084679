#include "plan/recorder.h"

#include <unordered_set>

namespace cnnx {

void Recorder::refuse(const std::string& why) {
  if (refused.empty()) refused = why;
}

void Recorder::start(const std::vector<Tensor>& arguments, const std::vector<Tensor>& leaves) {
  for (const Tensor& t : arguments) {
    if (t.requires_grad()) refuse("an argument requires a gradient");
    if (seen_.contains(t->storage.get())) refuse("two arguments share memory");
    const int block = block_of(t, false);
    program.blocks[static_cast<size_t>(block)].argument = static_cast<int>(argument_offsets_.size());
    argument_offsets_.push_back(t->offset * static_cast<int64_t>(itemsize(t.dtype())));
  }
  for (const Tensor& leaf : leaves) meet(leaf);
  first_draw_ = random_state();
}

// A tensor that was there before, and is no argument.
void Recorder::meet(const Tensor& t) {
  if (!t.defined()) return;
  const auto seen = seen_.find(t->storage.get());
  if (seen != seen_.end()) {
    const Block& block = program.blocks[static_cast<size_t>(seen->second.block)];
    if (block.argument >= 0 || block.kept == nullptr) return;
  }
  if (!t.is_leaf() || !outside_of_.try_emplace(t.impl().get(), outside.size()).second) return;
  if (t->hooks != nullptr) refuse("a hook on a gradient would have to be called");
  outside.push_back({t.impl(), t->storage, t->storage->is_lanes(), t.requires_grad(), t->grad, nullptr});
}

int Recorder::block_of(const Tensor& t, bool is_fresh) {
  const std::shared_ptr<Storage>& storage = t->storage;
  const auto [entry, is_new] = seen_.try_emplace(storage.get());
  if (is_new) {
    entry->second = {static_cast<int>(program.blocks.size()), storage, storage->version()};
    Block& block = program.blocks.emplace_back();
    block.device = storage->device();
    block.plain_bytes = storage->nbytes();
    block.lanes = storage->lanes_shape();
    block.lanes_bytes = static_cast<size_t>(block.lanes.numel()) * sizeof(float);
    if (!is_fresh) block.kept = storage;
  }
  return entry->second.block;
}

Value Recorder::value(const Tensor& t, const void* data, bool is_fresh) {
  Value result;
  if (!t.defined()) return result;
  result.block = block_of(t, is_fresh);
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
    if (before % size != 0 || result.offset < 0 || result.byte_offset < 0) refuse("an argument is read outside of its elements");
  }
  return result;
}

void Recorder::ran(const Run& r) {
  const OpDef& op = r.call.op;
  if (op.borrows) return refuse(message(op.name, " works on what lives as long as its call"));
  if (r.queue.device >= 0) return refuse(message(op.name, " runs on a device; there a CUDA graph takes down what runs"));
  Step step;
  step.op = &op;
  const auto* attributes = static_cast<const std::byte*>(r.call.attributes);
  step.attributes.assign(attributes, attributes + op.attributes.bytes);
  step.lanes = r.lanes;
  for (size_t i = 0; i < r.inputs.size(); ++i) step.inputs.push_back(value(r.inputs[i], r.input_data[i], false));
  for (size_t i = 0; i < r.results.size(); ++i) {
    const Tensor& t = r.results[i];
    // What nobody else holds was made for this run.
    const bool is_fresh = t.defined() && t.impl().use_count() == 1 && t->storage.use_count() == 1;
    step.results.push_back(value(t, r.result_data[i], is_fresh));
  }
  for (const Input& input : r.call.inputs) meet(*input);
  if (&op == &kUnpack) {
    const Block& block = program.blocks[static_cast<size_t>(step.inputs[0].block)];
    if (block.kept != nullptr) return;  // it is plain from now on, or another argument is unpacked before a replay
    step.results = step.inputs;         // by now it is plain: that is the result
    step.inputs[0].is_lanes = true;
  }
  if (op.key != nullptr) {
    const RandomState& key = *op.key(step.attributes.data());
    if (key.seed != first_draw_.seed || key.calls < first_draw_.calls)
      refuse(message(op.name, " draws from a generator of its own"));
    step.draw = static_cast<int64_t>(key.calls - first_draw_.calls);
  }
  program.steps.push_back(std::move(step));
}

void Recorder::viewed(const Call& call) {
  for (const Input& input : call.inputs) meet(*input);
}

void Recorder::read(const Tensor&) { refuse("values of a tensor are read or written outside its operations"); }

int Recorder::add_live_work() {
  program.steps.emplace_back().live = live_work_;
  return live_work_++;
}

void Recorder::finish(const std::vector<Tensor>& results) {
  for (const Tensor& t : results) program.results.push_back(value(t, nullptr, false));
  const RandomState now = random_state();
  std::unordered_set<int64_t> drawn;
  for (const Step& step : program.steps)
    if (step.draw >= 0) drawn.insert(step.draw);
  if (now.seed != first_draw_.seed) return refuse("random numbers are seeded anew");
  draws = now.calls - first_draw_.calls;
  if (drawn.size() != draws) return refuse("random numbers are drawn by what cannot draw them again");
  // What is still there others hold.
  for (const auto& [address, seen] : seen_) {
    Block& block = program.blocks[static_cast<size_t>(seen.block)];
    const bool was_there = block.kept != nullptr;
    if (!was_there) block.kept = seen.storage.lock();
    if (was_there && address->version() != seen.version) changed.push_back(seen.block);
  }
  for (Outside& t : outside) {
    t.last_grad = t.impl->grad;
    t.reads_grad = t.first_grad != nullptr && seen_.contains(t.first_grad->storage.get());
  }
}

}  // namespace cnnx
