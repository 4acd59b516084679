#include "plan/program.h"

#include <algorithm>
#include <utility>

namespace cnnx {
namespace {

std::string str(const std::vector<Value>& values) {
  std::string text;
  for (const Value& o : values) text += (text.empty() ? "" : " ") + (o.defined() ? message("b", o.block) : std::string("-"));
  return text;
}

}  // namespace

Tensor as_tensor(const Value& v, std::shared_ptr<Storage> storage) {
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = std::move(storage);
  impl->shape = v.shape;
  impl->strides = v.strides;
  impl->offset = v.offset;
  impl->dtype = v.dtype;
  return Tensor(std::move(impl));
}

Tensor without_memory(const Value& v, const Block& block) {
  return as_tensor(v, Storage::in_form(v.is_lanes, block.plain_bytes, block.lanes, block.device));
}

// Bytes between attributes may be anything: what counts are those with names.
bool Step::operator==(const Step& other) const {
  const auto listed = [](const Step& s) {
    return s.op != nullptr && s.op->attributes.list != nullptr ? s.op->attributes.list(s.attributes.data()) : Attributes{};
  };
  return op == other.op && lanes == other.lanes && inputs == other.inputs && results == other.results && draw == other.draw &&
         live == other.live && grads == other.grads && (attributes == other.attributes || listed(*this) == listed(other));
}

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
    if (a.steps[i] != b.steps[i]) return message("step ", i, ": ", str(a.steps[i]), " has become ", str(b.steps[i]));
  if (a.steps.size() != b.steps.size()) return message(a.steps.size(), " steps have become ", b.steps.size());
  for (size_t i = 0; i < std::min(a.blocks.size(), b.blocks.size()); ++i) {
    const Block &x = a.blocks[i], &y = b.blocks[i];
    if (x.argument != y.argument || x.is_outside != y.is_outside || (x.is_outside && x.argument < 0 && x.kept != y.kept))
      return message("b", i, " is another tensor");
  }
  return a.results == b.results ? "" : "the results are others";
}

}  // namespace cnnx
