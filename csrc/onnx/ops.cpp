#include "onnx/ops.h"

#include <algorithm>

#include "cnnx/error.h"
#include "cnnx/ops/view.h"

namespace cnnx::onnx {
namespace {

template <class Use>
void each_table(const Use& use) {
  for (const std::span<const Op>& table : {nn_ops(), math_ops(), shape_ops()}) use(table);
}

}  // namespace

const Op* find_op(const std::string& name, const std::string& domain, int64_t opset) {
  const Op* found = nullptr;
  if (!domain.empty()) return found;
  each_table([&](std::span<const Op> table) {
    for (const Op& op : table)
      if (name == op.name && op.since <= opset && (op.until == 0 || opset <= op.until)) found = &op;
  });
  return found;
}

const Tensor& NodeRun::optional(size_t i) const {
  static const Tensor none;
  return i < inputs_.size() ? inputs_[i] : none;
}

const Tensor& NodeRun::in(size_t i) const {
  const Tensor& t = optional(i);
  if (!t.defined()) fail(message("input ", i, " is missing"));
  return t;
}

std::vector<int64_t> NodeRun::integers(size_t i) const {
  const Tensor& t = in(i);
  if (is_floating_point(t.dtype()) || t.ndim() > 1) fail(message("input ", i, " must be a list of integers"));
  const Tensor values = to(make_contiguous(to(t, DType::int64)), Device{});
  const int64_t* data = values.data<int64_t>();
  return {data, data + values.numel()};
}

double NodeRun::number(size_t i) const {
  if (in(i).numel() != 1) fail(message("input ", i, " must be one number, got shape ", in(i).shape()));
  return in(i).item();
}

const Attribute* NodeRun::attribute(std::string_view name) const {
  const auto found = std::ranges::find(node.attributes, name, &Attribute::name);
  return found == node.attributes.end() ? nullptr : &*found;
}

namespace {
const Attribute* of_kind(const NodeRun& run, std::string_view name, Attribute::Kind kind) {
  const Attribute* a = run.attribute(name);
  if (a != nullptr && a->kind != kind) run.fail(message("attribute '", std::string(name), "' is of another type"));
  return a;
}
}  // namespace

int64_t NodeRun::integer(std::string_view name, int64_t otherwise) const {
  const Attribute* a = of_kind(*this, name, Attribute::Kind::integer);
  return a != nullptr ? a->integer : otherwise;
}

int64_t NodeRun::integer(std::string_view name) const {
  if (attribute(name) == nullptr) fail(message("attribute '", std::string(name), "' is missing"));
  return integer(name, 0);
}

double NodeRun::real(std::string_view name, double otherwise) const {
  const Attribute* a = of_kind(*this, name, Attribute::Kind::real);
  return a != nullptr ? a->real : otherwise;
}

std::string NodeRun::string(std::string_view name, const std::string& otherwise) const {
  const Attribute* a = of_kind(*this, name, Attribute::Kind::string);
  return a != nullptr ? a->string : otherwise;
}

std::optional<std::vector<int64_t>> NodeRun::integers(std::string_view name) const {
  const Attribute* a = of_kind(*this, name, Attribute::Kind::integers);
  return a != nullptr ? std::optional(a->integers) : std::nullopt;
}

std::optional<std::vector<double>> NodeRun::reals(std::string_view name) const {
  const Attribute* a = of_kind(*this, name, Attribute::Kind::reals);
  return a != nullptr ? std::optional(a->reals) : std::nullopt;
}

void NodeRun::out(size_t i, Tensor value) {
  if (i < outputs_.size()) outputs_[i] = std::move(value);
}

void NodeRun::fail(const std::string& what) const { throw ValueError(message("onnx: ", node.str(), ": ", what)); }
void NodeRun::unsupported(const std::string& what) const { throw NotImplementedError(message("onnx: ", node.str(), ": ", what)); }

int64_t normalized(const NodeRun& run, int64_t axis, int64_t ndim) {
  if (axis < -ndim || axis >= ndim) run.fail(message("axis ", axis, " of ", ndim, " dimensions"));
  return axis < 0 ? axis + ndim : axis;
}

}  // namespace cnnx::onnx

namespace cnnx {

std::vector<std::string> onnx_ops() {
  std::vector<std::string> names;
  for (const std::span<const onnx::Op>& table : {onnx::nn_ops(), onnx::math_ops(), onnx::shape_ops()})
    for (const onnx::Op& op : table) names.emplace_back(op.name);
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace cnnx
