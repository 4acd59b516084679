#include "core/node.h"

#include <atomic>
#include <cstring>

#include "core/copy.h"
#include "device/per_thread.h"

namespace cnnx {
namespace {

std::atomic<uint64_t> next_sequence{1};

Edge edge_to(const Tensor& input) {
  Edge edge;
  if (!input.defined()) return edge;
  edge.shape = input.shape();
  edge.options = input.options();
  edge.needed = input.requires_grad();
  if (!edge.needed) return edge;
  edge.node = input->grad_fn;
  edge.result = input->grad_result;
  if (edge.node == nullptr) edge.leaf = input.impl();
  return edge;
}

// The op of values that stand for others with their history.
constexpr OpDef kAlias{.name = "alias", .gradient = pass_on};

// What record() notes: a gradient written by the caller.
void run_function(const Backward& call, Grads& grads) {
  const Node& node = call.node();
  grads = node.function->gradient(call.grads(), Needs(node));
  if (grads.size() != node.edges.size())
    throw Error(message(node.name(), ": its gradient gave ", grads.size(), " tensors for ", node.edges.size(), " inputs"));
  for (size_t i = 0; i < grads.size(); ++i) {
    const Edge& edge = node.edges[i];
    if (!edge.needed || !grads[i].defined()) continue;
    if (!(grads[i].device() == edge.options.device))
      throw Error(message(node.name(), ": gradient ", i, " is on ", grads[i].device().str(), ", the input on ",
                          edge.options.device.str()));
    grads[i] = recorded_cast(grads[i], edge.options.dtype);
  }
}
constexpr OpDef kFunction{.name = "function", .gradient = run_function};

[[noreturn]] void throw_changed(const char* op, const Tensor& value, uint64_t version) {
  throw Error(message(op, ": a value of shape ", value.shape(),
                      " that the backward pass needs was changed in place after the op (version ", value.version(), ", expected ",
                      version, ")"));
}

}  // namespace

void set_pack_hook(PackHook hook) { per_thread<PackHook>() = std::move(hook); }

// What a packed value has to be again.
class SavedPlace {
 public:
  static SavedValue save(const Tensor& value, uint64_t bit) {
    SavedValue saved{value.detach(), value.version(), bit};
    const PackHook& set = per_thread<PackHook>();
    if (!set) return saved;
    const NoGrad unrecorded;
    const PackHook hook = set;  // which may set another
    saved.packed = hook(saved.value);
    if (saved.packed == nullptr) throw TypeError("set_pack_hook: the hook of saved tensors packed nothing");
    saved.packed->shape_ = value.shape();
    saved.packed->options_ = value.options();
    saved.value = {};
    return saved;
  }
  static Tensor value(const Node& node, const SavedValue& saved) {
    if (saved.packed == nullptr) {
      if (saved.value.version() != saved.version) throw_changed(node.name(), saved.value, saved.version);
      return saved.value;
    }
    const NoGrad unrecorded;
    const Tensor value = saved.packed->unpack();
    const Dims& shape = saved.packed->shape_;
    const TensorOptions& options = saved.packed->options_;
    if (!value.defined()) throw TypeError(message(node.name(), ": a hook of saved tensors unpacked no tensor"));
    if (!(value.shape() == shape))
      throw ShapeError(message(node.name(), ": a hook of saved tensors unpacked shape ", value.shape(), " for ", shape));
    if (value.dtype() != options.dtype || !(value.device() == options.device))
      throw TypeError(message(node.name(), ": a hook of saved tensors unpacked another dtype or device than was saved (",
                              name(value.dtype()), " for ", name(options.dtype), ")"));
    return value;
  }
};

const char* Node::name() const { return function != nullptr ? function->name.c_str() : op->name; }

void Node::free() {
  freed = true;
  function = nullptr;
  saved.clear();
  for (NodeResult& result : results) result.hooks = nullptr;
}

Node::~Node() {
  // A long chain of nodes would otherwise be destroyed by recursion as deep as the chain.
  InlineVector<std::shared_ptr<Node>, 4> orphans;
  auto take = [&orphans](Node& node) {
    node.function = nullptr;
    node.saved.clear();
    for (Edge& edge : node.edges)
      if (edge.node != nullptr) orphans.push_back(std::move(edge.node));
    node.edges.clear();
  };
  take(*this);
  while (!orphans.empty()) {
    std::shared_ptr<Node> node = std::move(orphans.back());
    orphans.pop_back();
    if (node.use_count() == 1) take(*node);
  }
}

namespace {

std::shared_ptr<Node> make_node(const OpDef& op, std::span<const Input> inputs) {
  auto node = std::make_shared<Node>(op);
  node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  node->edges.reserve(inputs.size());
  for (const Input& input : inputs) node->edges.push_back(edge_to(*input));
  return node;
}

}  // namespace

void set_result(const std::shared_ptr<Node>& node, uint32_t index, const Tensor& result) {
  forget_history(result);
  node->results[index].differentiable = true;
  node->results[index].tensor = result.impl();
  result->grad_fn = node;
  result->grad_result = index;
  result->requires_grad = true;
}

void note(const Call& call, std::span<const Tensor> inputs, const ResultSpecs& specs, const Results& results, uint64_t saves) {
  const std::shared_ptr<Node> node = make_node(call.op, call.inputs);
  std::memcpy(node->attributes, call.attributes, call.op.attributes.bytes);
  const auto keep = [&](const Tensor& t, uint64_t bit) {
    if ((saves & bit) != 0 && t.defined()) node->saved.push_back(SavedPlace::save(t, bit));
  };
  for (size_t i = 0; i < inputs.size(); ++i) keep(inputs[i], input_bit(i));
  for (size_t i = 0; i < results.size(); ++i) keep(results[i], result_bit(i));
  node->results.resize(results.size());
  for (size_t i = 0; i < results.size(); ++i)
    if (results[i].defined() && is_floating_point(results[i].dtype()) && (specs.empty() || specs[i].differentiable))
      set_result(node, static_cast<uint32_t>(i), results[i]);
}

void record_outputs(const char* name, const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs, GradsFn gradient,
                    const std::vector<Tensor>& saved) {
  if (!gradient) throw ValueError(message(name, ": there is no function of the gradient"));
  for (const Tensor& output : outputs) {
    check_defined(name, "an output", output);
    if (!is_floating_point(output.dtype())) refuse_dtype(name, output.dtype());
  }
  for (const Tensor& value : saved) check_defined(name, "a saved value", value);
  InlineVector<Input, 4> list;
  for (const Tensor& input : inputs) list.emplace_back(input);
  const std::shared_ptr<Node> node = make_node(kFunction, {list.data(), list.size()});
  node->function = std::make_unique<RecordedFunction>(RecordedFunction{name, std::move(gradient)});
  for (const Tensor& value : saved) {
    uint64_t bit = 0;
    for (size_t i = 0; i < std::min(outputs.size(), kMaskedResults); ++i)
      if (outputs[i].is_same(value)) bit = result_bit(i);
    for (size_t i = 0; i < std::min(inputs.size(), kMaskedInputs); ++i)
      if (inputs[i].is_same(value)) bit = input_bit(i);
    node->saved.push_back(SavedPlace::save(value, bit));
  }
  node->results.resize(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) set_result(node, static_cast<uint32_t>(i), outputs[i]);
}

Tensor record(const char* name, const Tensor& output, const std::vector<Tensor>& inputs, GradientFn gradient) {
  if (!gradient) throw ValueError(message(name, ": there is no function of the gradient"));
  record_outputs(name, {output}, inputs,
                 [gradient = std::move(gradient)](const Grads& grads, const Needs& needs) { return gradient(grads[0], needs); });
  return output;
}

bool Needs::operator[](size_t i) const { return node_.edges[i].needed; }

std::string grad_fn_name(const Tensor& tensor) {
  check_defined("grad_fn_name", "the tensor", tensor);
  return tensor.is_leaf() ? std::string() : tensor->grad_fn->name();
}

void forget_history(const Tensor& tensor) {
  check_defined("forget_history", "the tensor", tensor);
  if (tensor->grad_fn != nullptr) tensor->grad_fn->results[tensor->grad_result].tensor.reset();
  tensor->grad_fn = nullptr;
  tensor->requires_grad = false;
}

Tensor Saved::unpack(const char* op) const {
  if (value_.defined() && value_.version() != version_) throw_changed(op, value_, version_);
  return value_;
}

Tensor unpack(const Node& node, const SavedValue& saved) {
  const Tensor kept = SavedPlace::value(node, saved);
  if (!grad_enabled()) return kept;
  Tensor value = kept.detach();
  for (size_t i = 0; i < std::min(node.edges.size(), kMaskedInputs); ++i) {
    if (saved.bit != input_bit(i) || !node.edges[i].needed) continue;
    auto alias = std::make_shared<Node>(kAlias);
    alias->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
    alias->edges.push_back(node.edges[i]);
    alias->results.resize(1);
    set_result(alias, 0, value);
  }
  for (size_t i = 0; i < std::min(node.results.size(), kMaskedResults); ++i) {
    if (saved.bit != result_bit(i) || !node.results[i].differentiable) continue;
    value->grad_fn = const_cast<Node&>(node).shared_from_this();
    value->grad_result = static_cast<uint32_t>(i);
    value->requires_grad = true;
  }
  return value;
}

Tensor Backward::saved(uint64_t bit) const {
  for (const SavedValue& saved : node_.saved)
    if (saved.bit == bit) return unpack(node_, saved);
  return {};
}

Tensor Backward::sum_so_far(size_t input, std::initializer_list<Tensor> reads) const {
  const Edge& edge = node_.edges[input];
  if (!accumulates_ || grad_enabled() || edge.leaf == nullptr || edge.leaf->hooks != nullptr || edge.leaf->grad == nullptr)
    return {};
  const Tensor sum(edge.leaf->grad);
  const bool fits = sum.shape() == edge.shape && sum.dtype() == edge.options.dtype && sum.device() == edge.options.device;
  if (!fits || sum.requires_grad() || sum->storage->is_lanes() || sum->storage->read_only() || !sum.is_contiguous()) return {};
  for (const Tensor& read : reads)
    if (read.defined() && read->storage == sum->storage) return {};
  return sum;
}

Tensor Needs::saved(size_t k) const {
  if (k >= node_.saved.size())
    throw IndexError(message(node_.name(), ": saved(", k, ") of ", node_.saved.size(), " saved values"));
  return unpack(node_, node_.saved[k]);
}

void pass_on(const Backward& call, Grads& grads) { grads[0] = call.grad(); }

void gradient_by_itself(const Backward& call, Grads& grads) {
  const Tensor g = call.grad();
  const Input input(g);
  grads[0] = std::move(emit(Call{call.op(), call.node().attributes, {&input, 1}})[0]);
}

void differentiate(Formula formula, const Backward& call, Grads& grads) {
  const bool recording = grad_enabled();
  const Node& node = call.node();
  InlineVector<Tensor, 4> values;
  InlineVector<Input, 4> inputs;
  std::vector<Tensor> wanted, outputs, output_grads;
  values.reserve(node.edges.size());
  for (size_t i = 0; i < node.edges.size(); ++i) {
    Tensor& value = values.emplace_back(call.input(i));
    if (call.needs(i)) {
      if (!recording) value = value.detach().set_requires_grad(true);
      wanted.push_back(value);
    }
    inputs.emplace_back(value);
  }
  Results results;
  {
    const GradMode record_formula(true);
    formula(Call{*node.op, node.attributes, {inputs.data(), inputs.size()}}, results);
  }
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].defined() || !results[i].requires_grad() || !call.grad(i).defined()) continue;
    outputs.push_back(results[i]);
    output_grads.push_back(call.grad(i));
  }
  const std::vector<Tensor> found = grad(outputs, wanted, output_grads, false, true, recording);
  for (size_t i = 0, next = 0; i < node.edges.size(); ++i)
    if (call.needs(i)) grads[i] = found[next++];
}

}  // namespace cnnx
