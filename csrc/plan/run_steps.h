// The steps of a bound program, one after the other or side by side.
#pragma once

#include "core/op.h"
#include "device/parallel.h"
#include "plan/bound.h"

namespace cnnx {

// Runs a group's steps, each part on a thread.
void run_side_by_side(const SideBySide& group, const std::vector<BoundStep>& steps, const Queue& queue);

// Runs them all, the constant ones only where what they made may be out of date. visit(step) is called before each of the others,
// and does what one without an op stands for.
template <class Visit>
void run_steps(BoundProgram& bound, const Queue& queue, const Visit& visit) {
  const std::vector<BoundStep>& steps = bound.steps();
  auto group = bound.side_by_side().begin();
  const auto last_group = bound.side_by_side().end();
  const int threads = are_calls_watched() ? 1 : threads_here();
  if (!bound.are_constants_current()) bound.run_constants(queue);
  for (size_t i = bound.program().constant_steps; i < steps.size(); ++i) {
    while (group != last_group && group->first < i) ++group;
    if (group != last_group && group->first == i && group->suits(threads)) {
      for (size_t j = group->first; j < group->last; ++j) visit(*steps[j].step);
      run_side_by_side(*group, steps, queue);
      i = group->last - 1;
      continue;
    }
    visit(*steps[i].step);
    if (steps[i].step->op != nullptr) steps[i].run(queue);
  }
}

}  // namespace cnnx
