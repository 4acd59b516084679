#include <algorithm>
#include <map>
#include <set>

#include "plan/block_run.h"
#include "plan/passes.h"
#include "plan/uses.h"

namespace cnnx {
namespace {

// Bytes that would pass between steps through memory which no near cache holds, from where on blocks pay.
constexpr int64_t kWorth = int64_t{256} << 10;

// Steps one behind the other that can run by blocks.
class Candidate {
 public:
  Candidate(const Program& program, BlockUnit unit) : program_(program), cut_{unit, 0} {}

  const std::vector<size_t>& steps() const { return steps_; }
  const BlockCut& cut() const { return cut_; }
  size_t size() const { return steps_.size(); }

  // Takes the step in, or leaves everything as it is.
  bool take(size_t index);
  // Whether a step behind these may as well run before them: they share nothing that either of them writes.
  bool is_apart_from(const Step& step) const;
  // Whether enough passes between its steps.
  bool pays() const { return size() > 1 && bytes_between_ >= kWorth; }

 private:
  struct Seen {
    bool is_written = false, is_shared = false;
    int64_t per_block = 0, byte_offset = 0;
  };
  bool fits(const std::map<size_t, Seen>& seen, const Value& v, Seen now) const;

  const Program& program_;
  BlockCut cut_;
  std::vector<size_t> steps_;
  std::map<size_t, Seen> seen_;  // by place_of()
  int64_t bytes_between_ = 0;    // of all blocks together, from a step to one behind it
};

// Nobody sees what all blocks write before the last block has, and each block of a value is one piece of memory, apart from the
// others.
bool Candidate::fits(const std::map<size_t, Seen>& seen, const Value& v, Seen now) const {
  const Block& block = program_.blocks[static_cast<size_t>(v.block)];
  if ((block.kept != nullptr || block.argument >= 0) && seen.contains(place_of(v) ^ 1)) return false;
  const auto before = seen.find(place_of(v));
  if (before == seen.end()) return true;
  const Seen& b = before->second;
  if (b.is_shared || now.is_shared) return b.is_shared && now.is_shared && !b.is_written && !now.is_written;
  return b.per_block == now.per_block && b.byte_offset == now.byte_offset;
}

bool Candidate::take(size_t index) {
  const Step& step = program_.steps[index];
  if (step.op == nullptr || step.op->by_image == nullptr || step.results.empty() || step.draw >= 0) return false;
  const ByImage& how = *step.op->by_image;
  if (cut_.unit == BlockUnit::element && !how.elements) return false;
  if (how.may != nullptr && !how.may(step.attributes.data())) return false;
  std::vector<std::byte> attributes = step.attributes;
  if (how.adds != nullptr && (*how.adds(attributes.data()) || step.lanes == 1)) return false;
  const Value& images = how.adds != nullptr ? step.inputs[0] : step.results[0];
  if (!images.defined() || images.shape.size() == 0) return false;
  BlockCut cut = cut_;
  if (steps_.empty()) {
    cut.total = cut.unit == BlockUnit::image ? images.shape[0]
                : images.is_lanes            ? program_.blocks[static_cast<size_t>(images.block)].lanes.numel()
                                             : images.shape.numel();
    if (cut.count() < 2) return false;
  }
  if (how.count != nullptr && cut.unit == BlockUnit::image) {
    const int64_t count = *how.count(attributes.data());
    if (count == 0 || count % cut.total != 0) return false;
  }
  std::map<size_t, Seen> seen = seen_;
  int64_t between = 0, of_block = 0, of_all = 0;
  const auto look = [&](const Value& v, bool is_shared, bool is_written) {
    if (!v.defined() || !v.has_data) return true;
    Seen now{is_written, is_shared, 0, v.byte_offset};
    if (is_shared && cut.unit == BlockUnit::element && v.shape.numel() != 1) return false;
    if (!is_shared) {
      const std::optional<int64_t> bytes = bytes_per_block(program_, step, v, cut);
      if (!bytes) return false;
      now.per_block = *bytes;
    }
    (is_shared ? of_all : of_block) += is_shared ? v.shape.numel() * static_cast<int64_t>(itemsize(v.dtype)) : now.per_block;
    if (!fits(seen, v, now)) return false;
    Seen& entry = seen.try_emplace(place_of(v), now).first->second;
    if (entry.is_written && !is_written && !is_shared) between += now.per_block * cut.count();
    entry.is_written |= is_written;
    return true;
  };
  for (size_t i = 0; i < step.inputs.size(); ++i)
    if (!look(step.inputs[i], is_shared_input(step, i), false)) return false;
  for (const Value& v : step.results)
    if (!look(v, sums(step), true)) return false;
  if (of_all > of_block) return false;  // weights are read, and their sums written, anew for each block
  steps_.push_back(index);
  seen_ = std::move(seen);
  cut_ = cut;
  bytes_between_ += between;
  return true;
}

bool Candidate::is_apart_from(const Step& step) const {
  if (step.op == nullptr) return step.grads >= 0;  // which memory .grad shows has nothing to do with what lies there
  const auto is_seen = [&](const Value& v, bool writes) {
    if (!v.defined()) return false;
    return std::ranges::any_of(seen_, [&](const auto& entry) {
      return static_cast<int>(entry.first / 2) == v.block && (writes || entry.second.is_written);
    });
  };
  for (size_t i = 0; i < step.inputs.size(); ++i)
    if (is_seen(step.inputs[i], step.changes(i))) return false;
  return std::ranges::none_of(step.results, [&](const Value& v) { return is_seen(v, true); });
}

// The memory that the candidate's steps alone use, from the first to the last, by place_of().
std::vector<bool> between(const Program& program, const Uses& uses, const Candidate& run) {
  const std::set<size_t> steps(run.steps().begin(), run.steps().end());
  std::vector<bool> result(2 * program.blocks.size(), false);
  for (size_t i : steps)
    for (const Value& v : program.steps[i].results) {
      if (!v.defined() || sums(program.steps[i])) continue;
      const Block& block = program.blocks[static_cast<size_t>(v.block)];
      const std::vector<Uses::Use>& all = uses.of(v);
      result[place_of(v)] = block.kept == nullptr && block.argument < 0 && all.front().writes &&
                            std::ranges::all_of(all, [&](const Uses::Use& u) { return steps.contains(u.step); });
    }
  for (const Value& v : program.results)
    if (v.defined()) result[place_of(v)] = false;
  return result;
}

}  // namespace

// Where steps behind one another work on images one by one, or element by element, and what passes between them would go through
// memory far away, a block of images goes through all of them before the next one does.
void run_by_blocks(Program& program) {
  const Uses uses(program);
  const auto constant = static_cast<std::ptrdiff_t>(program.constant_steps);
  std::vector<Step> steps(program.steps.begin(), program.steps.begin() + constant);
  for (size_t i = program.constant_steps; i < program.steps.size();) {
    std::optional<Candidate> best;
    std::vector<size_t> apart;  // steps in between, which can run before
    for (const BlockUnit unit : {BlockUnit::element, BlockUnit::image}) {
      Candidate run(program, unit);
      std::vector<size_t> others;
      for (size_t j = i; j < program.steps.size(); ++j) {
        if (run.take(j)) continue;
        if (run.size() == 0 || !run.is_apart_from(program.steps[j])) break;
        others.push_back(j);
      }
      if (!run.pays() || (best && run.size() <= best->size())) continue;
      while (!others.empty() && others.back() > run.steps().back()) others.pop_back();
      best.emplace(std::move(run));
      apart = std::move(others);
    }
    if (!best) {
      steps.push_back(program.steps[i++]);
      continue;
    }
    std::vector<Step> inner;
    for (size_t j : best->steps()) inner.push_back(program.steps[j]);
    for (size_t j : apart) steps.push_back(program.steps[j]);
    const auto run = std::make_shared<const BlockRun>(program, std::move(inner), best->cut(), between(program, uses, *best));
    steps.push_back(run->step());
    program.block_runs.push_back(run);
    i = best->steps().back() + 1;
  }
  program.steps = std::move(steps);
}

}  // namespace cnnx
