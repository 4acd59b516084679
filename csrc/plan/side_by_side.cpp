#include "plan/side_by_side.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

namespace cnnx {
namespace {

// Nanoseconds: a step that takes longer is worth sharing out itself, and parts that take less together are not worth a thread.
constexpr double kMost = 300e3, kLeast = 10e3;
constexpr size_t kMostSteps = 16;

// Of a step on one thread, by what it computes and what it moves.
double cost_of(const Program& program, const Step& step) {
  double bytes = 0;
  std::vector<Tensor> inputs;
  for (const std::vector<Value>* values : {&step.inputs, &step.results})
    for (const Value& v : *values) {
      if (values == &step.inputs) inputs.emplace_back();
      if (!v.defined()) continue;
      bytes += static_cast<double>(v.shape.numel()) * static_cast<double>(itemsize(v.dtype));
      if (values == &step.inputs) inputs.back() = without_memory(v, program.blocks[static_cast<size_t>(v.block)]);
    }
  if (step.op->flops == nullptr) return bytes / 30;
  const std::vector<Input> seen_as(inputs.begin(), inputs.end());
  return bytes / 30 + step.op->flops({*step.op, step.attributes.data(), seen_as}) / 50;
}

// Parts of a run of steps, which grows.
class Parts {
 public:
  explicit Parts(const Program& program) : program_(program) {}

  // Takes the step in, unless it is none of an op or too large.
  bool take(size_t index);
  SideBySide side_by_side(size_t first) const;

 private:
  struct Seen {
    int block;
    bool is_written;
    size_t part;
  };
  size_t root(size_t part) const {
    while (joined_[part] != part) part = joined_[part];
    return part;
  }

  const Program& program_;
  std::vector<size_t> joined_;  // by part: the part that it became one with, or itself
  std::vector<size_t> steps_, part_of_;
  std::vector<double> costs_;
  std::vector<Seen> seen_;
};

bool Parts::take(size_t index) {
  const Step& step = program_.steps[index];
  if (step.op == nullptr || step.op->runs_others) return false;
  const double cost = cost_of(program_, step);
  if (cost > kMost) return false;
  const size_t part = joined_.size();
  joined_.push_back(part);
  const auto look = [&](const Value& v, bool writes) {
    if (!v.defined()) return;
    for (const Seen& s : seen_)
      if (s.block == v.block && (s.is_written || writes)) joined_[root(s.part)] = root(part);
    seen_.push_back({v.block, writes, part});
  };
  for (size_t i = 0; i < step.inputs.size(); ++i) look(step.inputs[i], step.changes(i));
  for (const Value& v : step.results) look(v, true);
  steps_.push_back(index);
  part_of_.push_back(part);
  costs_.push_back(cost);
  return true;
}

SideBySide Parts::side_by_side(size_t first) const {
  SideBySide result{first, first + steps_.size(), {}, {}, {}};
  std::vector<size_t> number(joined_.size(), joined_.size());
  for (size_t i = 0; i < steps_.size(); ++i) {
    size_t& n = number[root(part_of_[i])];
    if (n == joined_.size()) {
      n = result.parts.size();
      result.parts.emplace_back();
      result.costs.push_back(0);
    }
    result.parts[n].push_back(steps_[i]);
    result.costs[n] += costs_[i];
  }
  return result;
}

bool keeps_busy(std::vector<double> costs, size_t threads) {
  std::vector<double> loads(threads, 0.0);
  std::ranges::sort(costs, std::greater());
  for (double cost : costs) *std::ranges::min_element(loads) += cost;
  const double total = std::accumulate(costs.begin(), costs.end(), 0.0);
  return total >= kLeast && total >= 0.8 * *std::ranges::max_element(loads) * static_cast<double>(threads);
}

}  // namespace

std::vector<SideBySide> find_side_by_side(const Program& program) {
  std::vector<SideBySide> found;
  for (size_t i = program.constant_steps; i < program.steps.size();) {
    std::optional<SideBySide> best;
    Parts parts(program);
    for (size_t j = i; j < program.steps.size() && j < i + kMostSteps && parts.take(j); ++j) {
      SideBySide all = parts.side_by_side(i);
      if (keeps_busy(all.costs, 2)) best = std::move(all);
    }
    i = best ? best->last : i + 1;
    if (!best) continue;
    for (size_t threads = 0; threads <= best->parts.size(); ++threads)
      best->suited.push_back(threads > 1 && keeps_busy(best->costs, threads));
    found.push_back(std::move(*best));
  }
  return found;
}

}  // namespace cnnx
