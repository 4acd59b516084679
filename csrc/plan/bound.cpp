#include "plan/bound.h"

#include <algorithm>

#include "device/allocator.h"
#include "plan/block_run.h"
#include "plan/memory.h"

namespace cnnx {
namespace {

template <class T>
T* moved(void* base, int64_t bytes) {
  return base == nullptr ? nullptr : reinterpret_cast<T*>(static_cast<std::byte*>(base) + bytes);
}

}  // namespace

void BoundStep::run(const Queue& queue) const {
  const Call call{*step->op, step->attributes.data(), seen_as};
  run_again({call, queue, step->lanes, inputs, results, input_data, result_data});
}

BoundProgram::BoundProgram(Program program)
    : program_(std::move(program)), forms_(program_.blocks.size()), side_by_side_(find_side_by_side(program_)) {
  place_blocks();
  for (size_t b = 0; b < program_.blocks.size(); ++b) {
    const int argument = program_.blocks[b].argument;
    if (argument < 0) continue;
    argument_blocks_.resize(std::max(argument_blocks_.size(), static_cast<size_t>(argument) + 1), -1);
    argument_blocks_[static_cast<size_t>(argument)] = static_cast<int>(b);
  }
  argument_addresses_.resize(argument_blocks_.size());
  steps_.reserve(program_.steps.size());
  for (const Step& step : program_.steps) {
    BoundStep& bound = steps_.emplace_back();
    bound.step = &step;
    bind(bound.inputs, bound.input_data, step.inputs);
    bind(bound.results, bound.result_data, step.results);
    bound.seen_as.assign(bound.inputs.begin(), bound.inputs.end());
  }
  for (const Value& value : program_.results) results_.push_back(tensor(value));
  for (size_t i = 0; i < program_.constant_steps; ++i)
    for (const Value& v : program_.steps[i].inputs) {
      if (!v.defined()) continue;
      const std::shared_ptr<Storage>& kept = program_.blocks[static_cast<size_t>(v.block)].kept;
      if (kept != nullptr && std::ranges::find(constants_, kept, &Constant::storage) == constants_.end())
        constants_.push_back({kept, 0});
    }
}

bool BoundProgram::are_constants_current() const {
  return program_.constant_steps == 0 || (have_constants_ && std::ranges::all_of(constants_, [](const Constant& c) {
                                            return c.storage->is_private() && c.storage->changes() == c.changes;
                                          }));
}

void BoundProgram::run_constants(const Queue& queue) {
  have_constants_ = false;
  for (Constant& c : constants_) c.changes = c.storage->changes();
  for (size_t i = 0; i < program_.constant_steps; ++i) steps_[i].run(queue);
  have_constants_ = true;
}

size_t BoundProgram::bytes() const {
  size_t scratch = 0;
  for (const auto& run : program_.block_runs) scratch = std::max(scratch, run->bytes());
  return bytes_ + scratch;
}

BoundProgram::~BoundProgram() {
  if (memory_ != nullptr) host_pool().free(memory_, bytes_);
}

// What no one else holds gets a place in one piece of memory. Steps that may run at the same time use theirs from the first of
// them to the last, and what constant steps make stays.
void BoundProgram::place_blocks() {
  struct Room {
    size_t block;
    bool is_lanes;
  };
  std::vector<Lifetime> lifetimes;
  std::vector<Room> rooms;
  std::vector<int64_t> room_of[2];
  for (auto& list : room_of) list.assign(program_.blocks.size(), -1);
  auto group = side_by_side_.begin();
  for (size_t i = 0; i < program_.steps.size(); ++i) {
    while (group != side_by_side_.end() && group->last <= i) ++group;
    const bool in_group = group != side_by_side_.end() && group->first <= i;
    const bool stays = i < program_.constant_steps;
    const size_t begin = stays ? 0 : in_group ? group->first : i;
    const size_t end = stays ? program_.steps.size() - 1 : in_group ? group->last - 1 : i;
    const auto use = [&](const Value& o) {
      if (!o.defined()) return;
      const auto b = static_cast<size_t>(o.block);
      const Block& block = program_.blocks[b];
      if (block.kept != nullptr) return;
      int64_t& room = room_of[o.is_lanes][b];
      if (room < 0) {
        room = static_cast<int64_t>(rooms.size());
        rooms.push_back({b, o.is_lanes});
        lifetimes.push_back({o.is_lanes ? block.lanes_bytes : block.plain_bytes, begin, end});
      }
      Lifetime& lifetime = lifetimes[static_cast<size_t>(room)];
      lifetime.last = std::max(lifetime.last, end);
    };
    for (const Value& o : program_.steps[i].inputs) use(o);
    for (const Value& o : program_.steps[i].results) use(o);
  }
  bytes_ = place(lifetimes);
  if (bytes_ > 0) memory_ = host_pool().allocate(bytes_);
  for (size_t i = 0; i < rooms.size(); ++i) {
    void* const at = moved<void>(memory_, static_cast<int64_t>(lifetimes[i].offset));
    Forms& forms = forms_[rooms[i].block];
    if (rooms[i].is_lanes) forms.lanes = static_cast<float*>(at);
    else forms.plain = at;
  }
  for (size_t b = 0; b < program_.blocks.size(); ++b) {
    const Block& block = program_.blocks[b];
    if (block.kept != nullptr && block.argument < 0) {
      forms_[b].plain = block.kept->plain();
      forms_[b].lanes = block.kept->lanes();
    }
  }
}

Tensor BoundProgram::tensor(const Value& o) {
  if (!o.defined()) return {};
  Forms& forms = forms_[static_cast<size_t>(o.block)];
  const Block& block = program_.blocks[static_cast<size_t>(o.block)];
  std::shared_ptr<Storage>& storage = forms.storages[o.is_lanes];
  if (storage == nullptr) {
    storage = Storage::in_form(o.is_lanes, block.plain_bytes, block.lanes, block.device);
    storage->show(forms.plain, forms.lanes);
  }
  return as_tensor(o, storage);
}

void BoundProgram::bind(std::vector<Tensor>& tensors, std::vector<void*>& data, const std::vector<Value>& values) {
  data.resize(values.size(), nullptr);
  for (size_t i = 0; i < values.size(); ++i) {
    const Value& o = values[i];
    tensors.push_back(tensor(o));
    if (!o.has_data) continue;
    const int argument = program_.blocks[static_cast<size_t>(o.block)].argument;
    if (argument >= 0) {
      argument_addresses_[static_cast<size_t>(argument)].push_back({&data[i], o.byte_offset, o.is_lanes});
      continue;
    }
    const Forms& forms = forms_[static_cast<size_t>(o.block)];
    data[i] = moved<void>(o.is_lanes ? static_cast<void*>(forms.lanes) : forms.plain, o.byte_offset);
  }
}

void BoundProgram::bind(const std::vector<Tensor>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (argument_blocks_[i] < 0) continue;
    const Tensor& t = arguments[i];
    Forms& forms = forms_[static_cast<size_t>(argument_blocks_[i])];
    if (forms.storages[0] != nullptr && t->storage->is_lanes()) unpack(t);
    forms.plain = moved<void>(t->storage->plain(), t->offset * static_cast<int64_t>(itemsize(t.dtype())));
    forms.lanes = t->storage->lanes();
    for (const std::shared_ptr<Storage>& storage : forms.storages)
      if (storage != nullptr) storage->show(forms.plain, forms.lanes);
    for (const Address& a : argument_addresses_[i])
      *a.where = moved<void>(a.is_lanes ? static_cast<void*>(forms.lanes) : forms.plain, a.byte_offset);
  }
}

}  // namespace cnnx
