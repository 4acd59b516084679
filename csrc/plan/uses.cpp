#include "plan/uses.h"

#include <algorithm>

namespace cnnx {

Uses::Uses(const Program& program) : program_(program), uses_(2 * program.blocks.size()) {
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    for (size_t k = 0; k < step.inputs.size(); ++k)
      if (const Value& v = step.inputs[k]; v.defined()) uses_[place_of(v)].push_back({i, step.changes(k)});
    for (const Value& v : step.results)
      if (v.defined()) uses_[place_of(v)].push_back({i, true});
  }
}

bool Uses::is_only_between(const Value& value, size_t maker, size_t reader) const {
  const Block& block = program_.blocks[static_cast<size_t>(value.block)];
  const std::vector<Use>& uses = of(value);
  return block.kept == nullptr && block.argument < 0 && uses_[place_of(value) ^ 1].empty() && uses.size() == 2 &&
         uses[0].step == maker && uses[0].writes && uses[1].step == reader && !uses[1].writes;
}

bool Uses::is_used_between(const Value& value, size_t after, size_t before) const {
  for (size_t i = after + 1; i < before; ++i)
    if (program_.steps[i].op == nullptr) return true;
  return std::ranges::any_of(of(value), [&](const Use& u) { return u.step > after && u.step < before; });
}

bool Uses::is_written_between(const Value& value, size_t after, size_t before) const {
  return std::ranges::any_of(of(value), [&](const Use& u) { return u.writes && u.step > after && u.step < before; });
}

size_t Uses::maker(const Value& value, size_t before) const {
  size_t found = program_.steps.size();
  for (const Use& u : of(value))
    if (u.writes && u.step < before) found = u.step;
  return found;
}

std::vector<bool> constant_blocks(const Program& program) {
  std::vector<bool> constant(program.blocks.size());
  if (std::ranges::any_of(program.steps, [](const Step& step) { return step.op == nullptr; })) return constant;
  for (size_t b = 0; b < constant.size(); ++b) {
    const Block& block = program.blocks[b];
    constant[b] = block.kept != nullptr && block.is_outside && block.argument < 0;
  }
  for (const Step& step : program.steps) {
    for (size_t k = 0; k < step.inputs.size(); ++k)
      if (step.inputs[k].defined() && step.changes(k)) constant[static_cast<size_t>(step.inputs[k].block)] = false;
    for (const Value& v : step.results)
      if (v.defined()) constant[static_cast<size_t>(v.block)] = false;
  }
  return constant;
}

bool are_same_elements(const Value& a, const Value& b) {
  if (!a.defined() || a.block != b.block || a.is_lanes != b.is_lanes || a.byte_offset != b.byte_offset || a.dtype != b.dtype ||
      a.shape.numel() != b.shape.numel())
    return false;
  return a.is_lanes || (are_contiguous(a.shape, a.strides) && are_contiguous(b.shape, b.strides));
}

void Edit::apply(Program& program) {
  std::vector<Step> steps;
  for (size_t i = 0; i < program.steps.size(); ++i) {
    if (const auto found = before.find(i); found != before.end()) steps.push_back(std::move(found->second));
    if (!gone[i]) steps.push_back(std::move(program.steps[i]));
  }
  program.steps = std::move(steps);
}

}  // namespace cnnx
