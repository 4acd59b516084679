#include "plan/block_run.h"

#include <algorithm>
#include <cstring>

#include "cnnx/threads.h"
#include "device/parallel.h"
#include "kernels/dispatch.h"
#include "plan/memory.h"

namespace cnnx {
namespace {

// Of the scratch: kernels have the others.
constexpr int kBetween = Queue::kScratchSlots - 1, kSlices = Queue::kScratchSlots - 2;
constexpr int64_t kMostSums = int64_t{8} << 20;  // bytes of sums of blocks that are kept apart

// Whether threads that take whole blocks are all busy until nearly the end; else they share out each step of a block.
bool shares_out(int64_t blocks, int threads) {
  const int64_t rounds = (blocks + threads - 1) / threads;
  return threads > 1 && 10 * blocks >= 9 * rounds * threads;
}

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// What is no float32 lies in lanes as a row of numbers.
bool is_row_in_lanes(const Step& step, const Value& v) { return step.lanes > 1 && !v.is_lanes && v.dtype != DType::float32; }

Attributes listing(const void* attributes) {
  const BlockRun& run = **static_cast<const BlockRun* const*>(attributes);
  std::string names;
  for (const Step& step : run.steps()) names += (names.empty() ? "" : " ") + std::string(step.op->name);
  return {{"steps", names}, {"block", run.cut().size()}};
}

}  // namespace

bool is_shared_input(const Step& step, size_t input) {
  const Value& v = step.inputs[input];
  if (!v.defined() || (step.op->by_image->shared >> std::min<size_t>(input, 63) & 1) != 0) return true;
  // An operand that is broadcast over dimension 0.
  const Dims& all = step.results[0].shape;
  return step.op->by_image->elements && !(v.shape == all) && (v.shape.size() < all.size() || v.shape[0] == 1);
}

std::optional<int64_t> bytes_per_block(const Program& program, const Step& step, const Value& v, const BlockCut& cut) {
  const LanesShape& lanes = program.blocks[static_cast<size_t>(v.block)].lanes;
  const auto size = static_cast<int64_t>(itemsize(v.dtype));
  if (cut.unit == BlockUnit::element) {
    const bool fits = v.is_lanes ? v.byte_offset == 0 && lanes.numel() == cut.total
                                 : v.shape.numel() == cut.total && are_contiguous(v.shape, v.strides);
    return fits ? std::optional(cut.size() * size) : std::nullopt;
  }
  const int64_t groups = (cut.total + lane_count() - 1) / lane_count();  // of images in lanes
  if (v.is_lanes) {
    if (v.byte_offset != 0 || lanes.batch != cut.total || v.shape.size() == 0 || v.shape[0] != cut.total) return {};
    return lanes.numel() / groups * (cut.size() / lane_count()) * size;
  }
  if (is_row_in_lanes(step, v)) {
    if (v.shape.size() != 1 || v.shape[0] % (groups * lane_count()) != 0) return {};
    return v.shape[0] / groups * (cut.size() / lane_count()) * size;
  }
  if (v.shape.size() == 0 || v.shape[0] != cut.total || !are_contiguous(v.shape, v.strides)) return {};
  return v.shape.numel() / cut.total * cut.size() * size;
}

BlockRun::BlockRun(const Program& program, std::vector<Step> steps, const BlockCut& cut, const std::vector<bool>& is_between)
    : steps_(std::move(steps)), cut_(cut), offsets_(2 * program.blocks.size(), 0) {
  name_ = message("by_blocks(", steps_.size(), ")");
  def_.name = name_.c_str();
  def_.runs_others = true;
  def_.attributes = {sizeof(const BlockRun*), listing};
  def_.run = [](const Run& r) { r.as<const BlockRun*>()->run(r); };
  place_between(program, is_between);
  for (const Step& step : steps_) {
    std::vector<Operand>& operands = operands_.emplace_back();
    for (size_t i = 0; i < step.inputs.size(); ++i)
      operands.push_back(operand(program, step, step.inputs[i], is_shared_input(step, i), inputs_, is_between));
    for (const Value& v : step.results) operands.push_back(operand(program, step, v, sums(step), results_, is_between));
  }
  for (int64_t size : {cut_.count() > 1 ? cut_.size() : cut_.last_size(), cut_.last_size()}) {
    std::vector<Bound>& steps_of_size = bound_.emplace_back();
    for (const Step& step : steps_) steps_of_size.push_back(bind(program, step, size));
  }
  for (size_t i = 0; i < steps_.size(); ++i) {
    double all = 0;
    for (size_t part : {0, 1}) {
      const Bound& b = bound_[part][i];
      const Call call{*steps_[i].op, b.attributes.data(), b.seen_as};
      const double one = steps_[i].op->flops != nullptr ? steps_[i].op->flops(call) : static_cast<double>(b.results[0].numel());
      all += one * (part == 0 ? static_cast<double>(cut_.count() - 1) : 1.0);
    }
    flops_ += all;
  }
}

// What lies between has room for the largest block, and lives from its first step to its last.
void BlockRun::place_between(const Program& program, const std::vector<bool>& is_between) {
  std::vector<Lifetime> lifetimes;
  std::vector<int64_t> life_of(offsets_.size(), -1);
  const int64_t most = round_up(std::max(cut_.size(), cut_.last_size()), lane_count());
  for (size_t i = 0; i < steps_.size(); ++i) {
    const auto use = [&](const Value& v) {
      if (!v.defined() || !is_between[place_of(v)]) return;
      int64_t& life = life_of[place_of(v)];
      if (life < 0) {
        life = static_cast<int64_t>(lifetimes.size());
        const int64_t bytes = *bytes_per_block(program, steps_[i], v, cut_);
        lifetimes.push_back({static_cast<size_t>(round_up(bytes * most, cut_.size()) / cut_.size()), i, i});
      }
      lifetimes[static_cast<size_t>(life)].last = i;
    };
    for (const Value& v : steps_[i].inputs) use(v);
    for (const Value& v : steps_[i].results) use(v);
  }
  between_bytes_ = static_cast<int64_t>(place(lifetimes));
  for (size_t p = 0; p < life_of.size(); ++p)
    if (life_of[p] >= 0) offsets_[p] = static_cast<int64_t>(lifetimes[static_cast<size_t>(life_of[p])].offset);
}

BlockRun::Operand BlockRun::operand(const Program& program, const Step& step, const Value& v, bool is_shared,
                                    std::vector<Value>& outside, const std::vector<bool>& is_between) {
  if (!v.defined() || !v.has_data) return {};
  if (is_between[place_of(v)]) return {Operand::In::between, 0, offsets_[place_of(v)], 0};
  const auto found = std::ranges::find(outside, v);
  const auto index = static_cast<size_t>(found - outside.begin());
  if (found == outside.end()) outside.push_back(v);
  if (&outside == &inputs_) return {Operand::In::inputs, index, 0, is_shared ? 0 : *bytes_per_block(program, step, v, cut_)};
  if (!is_shared) return {Operand::In::results, index, 0, *bytes_per_block(program, step, v, cut_)};
  sums_.push_back({index, v.shape.numel(), sum_bytes_});
  sum_bytes_ += round_up(v.shape.numel() * static_cast<int64_t>(sizeof(float)), 64);
  return {Operand::In::sums, index, sums_.back().offset, 0};
}

// The value as a step sees a block of it.
Tensor BlockRun::tensor(const Program& program, const Step& step, const Value& value, bool is_shared, int64_t size) const {
  if (!value.defined()) return {};
  Value v = value;
  Block block = program.blocks[static_cast<size_t>(v.block)];
  if (!is_shared && cut_.unit == BlockUnit::element) {
    v.shape = {size};
    v.strides = {1};
    v.is_lanes = false;
  } else if (!is_shared) {
    const int64_t in_lanes = round_up(size, lane_count()), all_in_lanes = round_up(cut_.total, lane_count());
    v.shape[0] = is_row_in_lanes(step, v) ? v.shape[0] / all_in_lanes * in_lanes : size;
    block.lanes.batch = size;
  }
  block.plain_bytes = static_cast<size_t>(v.shape.numel()) * itemsize(v.dtype);
  v.offset = 0;
  return without_memory(v, block);
}

BlockRun::Bound BlockRun::bind(const Program& program, const Step& step, int64_t size) const {
  Bound b;
  const ByImage& how = *step.op->by_image;
  b.lanes = cut_.unit == BlockUnit::element ? 1 : step.lanes;
  b.attributes = step.attributes;
  if (how.count != nullptr && cut_.unit == BlockUnit::image) {
    int64_t& count = *how.count(b.attributes.data());
    count = count / cut_.total * size;
  }
  b.later_attributes = b.attributes;
  if (how.adds != nullptr) *how.adds(b.later_attributes.data()) = true;
  for (size_t i = 0; i < step.inputs.size(); ++i)
    b.inputs.push_back(tensor(program, step, step.inputs[i], is_shared_input(step, i), size));
  for (const Value& v : step.results) b.results.push_back(tensor(program, step, v, sums(step), size));
  b.seen_as.assign(b.inputs.begin(), b.inputs.end());
  return b;
}

Step BlockRun::step() const {
  Step whole;
  whole.op = &def_;
  const BlockRun* self = this;
  whole.attributes.resize(sizeof(self));
  std::memcpy(whole.attributes.data(), &self, sizeof(self));
  whole.inputs = inputs_;
  whole.results = results_;
  return whole;
}

// With `slices`, the sums of each block for itself go there.
void BlockRun::run_block(const Run& r, int64_t block, std::byte* between, std::byte* slices) const {
  const std::vector<Bound>& steps = bound_[block + 1 == cut_.count() ? 1 : 0];
  for (size_t i = 0; i < steps.size(); ++i) {
    const Bound& b = steps[i];
    InlineVector<void*, 12> data;
    for (const Operand& o : operands_[i]) {
      std::byte* base = nullptr;
      switch (o.in) {
        case Operand::In::nothing: break;
        case Operand::In::inputs: base = static_cast<std::byte*>(r.input_data[o.index]); break;
        case Operand::In::results: base = static_cast<std::byte*>(r.result_data[o.index]); break;
        case Operand::In::between: base = between + o.offset; break;
        case Operand::In::sums:
          base = slices != nullptr ? slices + block * sum_bytes_ + o.offset : static_cast<std::byte*>(r.result_data[o.index]);
          break;
      }
      data.push_back(base == nullptr ? nullptr : base + block * o.per_block);
    }
    const bool is_later = block > 0 && slices == nullptr;
    const Call call{*steps_[i].op, (is_later ? b.later_attributes : b.attributes).data(), b.seen_as};
    run_again({call,
               r.queue,
               b.lanes,
               b.inputs,
               b.results,
               {data.data(), b.inputs.size()},
               {data.data() + b.inputs.size(), b.results.size()}});
  }
}

// Adds up the blocks' sums in their order, as one block after the other adds its own.
void BlockRun::add_slices(const Run& r, const std::byte* slices) const {
  for (const Sum& sum : sums_) {
    auto* to = static_cast<float*>(r.result_data[sum.result]);
    for (int64_t block = 0; block < cut_.count(); ++block) {
      const auto* from = reinterpret_cast<const float*>(slices + block * sum_bytes_ + sum.offset);
      for (int64_t i = 0; i < sum.count; ++i) to[i] = block == 0 ? from[i] : to[i] + from[i];
    }
  }
}

// Threads take whole blocks where that keeps all of them busy, else they share out each step of a block. Blocks of elements are
// too small for that. Who watches sees the steps one after the other.
void BlockRun::run(const Run& r) const {
  const int64_t blocks = cut_.count();
  const bool shared =
      cut_.unit == BlockUnit::element || (shares_out(blocks, get_num_threads()) && blocks * sum_bytes_ <= kMostSums);
  const auto between = [&] { return static_cast<std::byte*>(r.queue.scratch(kBetween, bytes())); };
  if (!shared || are_calls_watched()) {
    for (int64_t block = 0; block < blocks; ++block) run_block(r, block, between(), nullptr);
    return;
  }
  auto* slices =
      sums_.empty() ? nullptr : static_cast<std::byte*>(r.queue.scratch(kSlices, static_cast<size_t>(blocks * sum_bytes_)));
  const double elements = static_cast<double>(cut_.size() * static_cast<int64_t>(steps_.size()));
  parallel_for(blocks, elements / 4 + flops_ / static_cast<double>(blocks) / 64,
               [&](int64_t block) { run_block(r, block, between(), slices); });
  if (slices != nullptr) add_slices(r, slices);
}

}  // namespace cnnx
