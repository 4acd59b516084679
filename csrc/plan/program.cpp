#include "plan/program.h"

#include <algorithm>

namespace cnnx {
namespace {

std::string str(const std::vector<Value>& values) {
  std::string text;
  for (const Value& o : values) text += (text.empty() ? "" : " ") + (o.defined() ? message("b", o.block) : std::string("-"));
  return text;
}

bool are_equal(const std::vector<Value>& a, const std::vector<Value>& b) {
  return std::ranges::equal(a, b, [](const Value& x, const Value& y) {
    return x.block == y.block && x.is_lanes == y.is_lanes && x.has_data == y.has_data && x.byte_offset == y.byte_offset &&
           x.shape == y.shape && x.strides == y.strides && x.offset == y.offset && x.dtype == y.dtype;
  });
}

bool are_equal(const Step& a, const Step& b) {
  return a.op == b.op && a.attributes == b.attributes && a.lanes == b.lanes && a.draw == b.draw && a.live == b.live &&
         a.grads == b.grads && are_equal(a.inputs, b.inputs) && are_equal(a.results, b.results);
}

}  // namespace

std::string str(const Step& step) {
  if (step.op == nullptr) return step.live >= 0 ? message("live ", step.live) : message("grads ", step.grads);
  return message(step.op->name, "(", str(step.inputs), ") -> ", str(step.results));
}

std::string str(const Program& program) {
  std::string text;
  for (const Step& step : program.steps)
    if (step.grads < 0) text += str(step) + "\n";
  return text;
}

std::string difference(const Program& a, const Program& b) {
  for (size_t i = 0; i < std::min(a.steps.size(), b.steps.size()); ++i)
    if (!are_equal(a.steps[i], b.steps[i])) return message("step ", i, ": ", str(a.steps[i]), " has become ", str(b.steps[i]));
  if (a.steps.size() != b.steps.size()) return message(a.steps.size(), " steps have become ", b.steps.size());
  for (size_t i = 0; i < std::min(a.blocks.size(), b.blocks.size()); ++i) {
    const Block &x = a.blocks[i], &y = b.blocks[i];
    if (x.argument != y.argument || x.is_outside != y.is_outside || (x.is_outside && x.argument < 0 && x.kept != y.kept))
      return message("b", i, " is another tensor");
  }
  return are_equal(a.results, b.results) ? "" : "the results are others";
}

}  // namespace cnnx
