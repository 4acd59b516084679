#include "plan/program.h"

namespace cnnx {
namespace {

std::string str(const std::vector<Value>& values) {
  std::string text;
  for (const Value& o : values) text += (text.empty() ? "" : " ") + (o.defined() ? message("b", o.block) : std::string("-"));
  return text;
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

}  // namespace cnnx
