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

namespace {

Attributes listed(const Step& s) {
  return s.op != nullptr && s.op->attributes.list != nullptr ? s.op->attributes.list(s.attributes.data()) : Attributes{};
}

// What two steps of one op differ in, of what has a name.
std::string difference(const Step& a, const Step& b) {
  const Attributes before = listed(a), now = listed(b);
  Attributes was, is;
  for (size_t i = 0; i < std::min(before.size(), now.size()); ++i) {
    if (before[i] == now[i]) continue;
    was.push_back(before[i]);
    is.push_back(now[i]);
  }
  return was.empty() ? "" : message(": ", cnnx::str(was), " has become ", cnnx::str(is));
}

}  // namespace

// Bytes between attributes may be anything: what counts are those with names.
bool Step::operator==(const Step& other) const {
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
    if (const std::string was = str(a.steps[i]), is = str(b.steps[i]); was != is)
      return message("step ", i, ": ", was, " has become ", is);
    else if (a.steps[i] != b.steps[i]) return message("step ", i, ", ", was, difference(a.steps[i], b.steps[i]));
  if (a.steps.size() != b.steps.size()) return message(a.steps.size(), " steps have become ", b.steps.size());
  for (size_t i = 0; i < std::min(a.blocks.size(), b.blocks.size()); ++i) {
    const Block &x = a.blocks[i], &y = b.blocks[i];
    if (x.argument != y.argument || x.is_outside != y.is_outside || (x.is_outside && x.argument < 0 && x.kept != y.kept))
      return message("b", i, " is another tensor");
  }
  return a.results == b.results ? "" : "the results are others";
}

}  // namespace cnnx
