#include <algorithm>
#include <utility>

#include "plan/passes.h"
#include "plan/uses.h"

namespace cnnx {

void hoist_constants(Program& program) {
  const Uses uses(program);
  std::vector<bool> constant = constant_blocks(program);
  std::vector<bool> hoisted(program.steps.size());
  // What a step makes is constant, too, if nothing else ever writes there and nobody else holds it.
  const auto is_own = [&](const Value& v) {
    if (!v.defined()) return true;
    Value other = v;
    other.is_lanes = !v.is_lanes;
    const auto writes = [](const std::vector<Uses::Use>& all) { return std::ranges::count_if(all, &Uses::Use::writes); };
    return program.blocks[static_cast<size_t>(v.block)].kept == nullptr && writes(uses.of(v)) + writes(uses.of(other)) == 1;
  };
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    if (step.op == nullptr || step.op->key != nullptr || step.op->updates != 0 || step.inputs.empty()) continue;
    hoisted[i] = std::ranges::all_of(step.inputs,
                                     [&](const Value& v) { return !v.defined() || constant[static_cast<size_t>(v.block)]; }) &&
                 std::ranges::all_of(step.results, is_own);
    if (!hoisted[i]) continue;
    for (const Value& v : step.results)
      if (v.defined()) constant[static_cast<size_t>(v.block)] = true;
  }
  std::vector<Step> steps;
  steps.reserve(program.steps.size());
  for (const bool first : {true, false})
    for (size_t i = 0; i < hoisted.size(); ++i)
      if (hoisted[i] == first) steps.push_back(std::move(program.steps[i]));
  program.constant_steps = static_cast<size_t>(std::ranges::count(hoisted, true));
  program.steps = std::move(steps);
}

}  // namespace cnnx
