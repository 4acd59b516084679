#include "onnx/ops.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "cnnx/error.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "core/memory_limit.h"
#include "onnx/net.h"

namespace cnnx::onnx {
namespace {

const std::vector<std::span<const Op>>& tables() {
  static const std::vector<std::span<const Op>> all = {
      activation_ops(), constant_ops(), conv_ops(),     element_ops(), index_ops(), join_ops(),
      loss_ops(),       ml_ops(),       nn_ops(),       norm_ops(),    pool_ops(),  product_ops(),
      recurrent_ops(),  reduce_ops(),   resample_ops(), scatter_ops(), shape_ops()};
  return all;
}

using ByName = std::unordered_map<std::string_view, std::vector<const Op*>>;

const ByName& by_name() {
  static const ByName names = [] {
    ByName found;
    for (const std::span<const Op>& table : tables())
      for (const Op& op : table) found[op.name].push_back(&op);
    return found;
  }();
  return names;
}

}  // namespace

const Op* find_op(const std::string& name, const std::string& domain, int64_t opset) {
  const auto found = by_name().find(name);
  if (found == by_name().end()) return nullptr;
  for (const Op* op : found->second)
    if (domain == op->domain && op->since <= opset && (op->until == 0 || opset <= op->until)) return op;
  return nullptr;
}

const Tensor& Moved::at(const Tensor& tensor, Device device) {
  const auto [entry, is_new] = tensors.try_emplace(tensor.impl().get());
  if (is_new) entry->second = {tensor, to(tensor, device)};
  return entry->second.second;
}

NodeRun::NodeRun(const Node& node, bool training, std::span<Tensor> inputs, std::span<Tensor> outputs, uint64_t fixed,
                 const Tables& tables)
    : node(node), opset(node.opset), training(training), inputs_(inputs), outputs_(outputs), fixed_(fixed), tables_(tables) {
  for (const Tensor& t : inputs)
    if (t.defined() && t.device().is_cuda()) device_ = t.device();
}

const Tensor& NodeRun::optional(size_t i) const {
  static const Tensor none;
  if (!has(i)) return none;
  if (!device_.is_cuda() || inputs_[i].device().is_cuda()) return inputs_[i];
  if (tables_.moved != nullptr) return tables_.moved->at(inputs_[i], device_);  // numbers are still read where they are
  return inputs_[i] = to(inputs_[i], device_);
}

Tensor NodeRun::once(const std::function<Tensor()>& make) {
  if (tables_.known != nullptr) return tables_.known->at(made_++);
  const MemoryLimit limit(kMostConstantBytes);
  const Tensor made = to(make(), device_);
  if (tables_.found != nullptr) tables_.found->push_back(made);
  return made;
}

const Tensor& NodeRun::given(size_t i) const {
  if (!has(i)) fail(message("input ", i, " is missing"));
  return inputs_[i];
}

const Tensor& NodeRun::in(size_t i) const {
  given(i);
  return optional(i);
}

// Constants are read where they lie, so that a plan does not take it for a course that depends on values.
template <class T>
std::vector<T> NodeRun::values_of(size_t i) const {
  const Tensor& t = given(i);
  if (t.ndim() > 1) fail(message("input ", i, " must be a list of numbers, got shape ", t.shape()));
  const Tensor there = is_fixed(i) && !t.device().is_cuda() ? t : to(make_contiguous(t.plain()), Device{});
  const int64_t step = there.ndim() == 1 ? there.strides()[0] : 0;
  std::vector<T> values(static_cast<size_t>(there.numel()));
  dispatch(there.dtype(), [&]<class U>(U) {
    const U* data = is_fixed(i) ? there.pointer<U>() : there.data<U>();
    for (size_t k = 0; k < values.size(); ++k) values[k] = static_cast<T>(data[static_cast<int64_t>(k) * step]);
  });
  return values;
}

std::vector<int64_t> NodeRun::integers(size_t i) const {
  if (is_floating_point(given(i).dtype())) fail(message("input ", i, " must be a list of integers"));
  return values_of<int64_t>(i);
}

std::vector<double> NodeRun::reals(size_t i) const { return values_of<double>(i); }

double NodeRun::number(size_t i) const {
  const std::vector<double> values = given(i).numel() == 1 && given(i).ndim() < 2 ? reals(i) : std::vector<double>();
  if (values.empty()) fail(message("input ", i, " must be one number, got shape ", given(i).shape()));
  return values[0];
}

int64_t NodeRun::whole(size_t i) const {
  const double value = number(i);
  if (is_floating_point(given(i).dtype())) {
    if (!(std::abs(value) < 0x1p53)) fail(message("input ", i, " is ", value));
    return static_cast<int64_t>(value);
  }
  return values_of<int64_t>(i)[0];
}

std::optional<std::vector<int64_t>> NodeRun::integers(std::string_view name, size_t i) const {
  if (attribute(name) != nullptr) return integers(name);
  return has(i) ? std::optional(integers(i)) : std::nullopt;
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

DType NodeRun::dtype(std::string_view name) const {
  const int64_t type = integer(name);
  const std::optional<DType> found = dtype_of(type);
  if (!found) unsupported("cnnx has no tensors of " + dtype_name(type));
  return *found;
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

std::string NodeRun::word(std::string_view name, const std::string& otherwise,
                          std::initializer_list<std::string_view> known) const {
  std::string given = string(name, otherwise);
  if (std::ranges::find(known, given) == known.end())
    unsupported(message("attribute '", std::string(name), "' of ", quoted(given)));
  return given;
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

std::optional<std::vector<int64_t>> axes_of(const NodeRun& run, size_t i, int64_t ndim) {
  std::optional<std::vector<int64_t>> axes = run.integers("axes", i);
  if (axes)
    for (int64_t& axis : *axes) axis = normalized(run, axis, ndim);
  return axes;
}

Tensor integers_tensor(const std::vector<int64_t>& values) {
  const Tensor result = Tensor::empty({static_cast<int64_t>(values.size())}, {DType::int64});
  if (!values.empty()) std::copy(values.begin(), values.end(), result.pointer<int64_t>());
  return result;
}

Tensor from_the_front(const Tensor& index, int64_t extent) {
  const Tensor wide = to(index, DType::int64);
  return where(lt(wide, 0), add(wide, extent), wide);
}

}  // namespace cnnx::onnx

namespace cnnx {

std::vector<std::string> onnx_ops() {
  std::vector<std::string> names;
  for (const std::span<const onnx::Op>& table : onnx::tables())
    for (const onnx::Op& op : table) names.emplace_back(op.name);
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace cnnx
