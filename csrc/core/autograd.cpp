#include "cnnx/autograd.h"

#include <algorithm>
#include <atomic>
#include <unordered_set>

#include "core/accumulate.h"
#include "core/node.h"

namespace cnnx {
namespace {

thread_local bool recording = true;
std::atomic<uint64_t> next_hook{0};

Tensor initial_gradient(const Tensor& root, const Tensor& grad_output) {
  check_defined("backward", "the tensor", root);
  if (!root.requires_grad()) throw Error("backward: the tensor does not require a gradient and has no grad_fn");
  if (!grad_output.defined()) {
    if (root.numel() != 1)
      throw Error(message("backward: a gradient can be left out only for a scalar, this has shape ", root.shape()));
    return Tensor::full(root.shape(), 1.0, root.options());
  }
  if (!(grad_output.shape() == root.shape()))
    throw ShapeError(message("backward: gradient of shape ", grad_output.shape(), " for a tensor of shape ", root.shape()));
  if (grad_output.dtype() != root.dtype())
    throw TypeError(message("backward: gradient is ", name(grad_output.dtype()), ", the tensor ", name(root.dtype())));
  check_same_device("backward", root, grad_output);
  return grad_output.requires_grad() ? grad_output : grad_output.detach();
}

// Where grad() puts the gradient of one tensor.
struct Captured {
  const Tensor& tensor;
  Tensor gradient;
  bool is_leaf(const TensorImpl* leaf) const { return tensor.impl().get() == leaf; }
  bool is_result(const Node* node, uint32_t index) const { return tensor->grad_fn.get() == node && tensor->grad_result == index; }
};

// One backward pass.
class Pass {
 public:
  // If `captured` is given, gradients of its tensors are stored there and no leaf accumulates.
  // With `create_graph` the pass is recorded itself.
  Pass(bool retain_graph, bool create_graph, std::vector<Captured>* captured)
      : retain_graph_(retain_graph), create_graph_(create_graph), captured_(captured) {}

  void seed(const Tensor& root, const Tensor& gradient) {
    Edge edge;
    edge.node = root->grad_fn;
    edge.result = root->grad_result;
    if (root.is_leaf()) edge.leaf = root.impl();
    deliver(edge, gradient);
  }

  void run() {
    const GradMode mode(create_graph_);
    if (captured_ != nullptr) find_needed();
    while (!ready_.empty()) {
      Ready ready = std::move(ready_.back());
      ready_.pop_back();
      run(*ready.node, std::move(ready.grads));
    }
    for (auto& [leaf, gradient] : hooked_) finish(leaf, leaf->hooks->run(std::move(gradient)));
  }

  // Of one of the captured tensors.
  Tensor gradient_of(const Tensor& tensor) const { return find(tensor.impl().get())->gradient; }

 private:
  // A node with the gradients that have arrived at its results.
  struct Ready {
    std::shared_ptr<Node> node;
    Grads grads;
  };

  void run(Node& node, Grads grads) {
    if (node.freed) throw Error("backward: the graph was freed by an earlier backward pass; with retain_graph that one keeps it");
    for (uint32_t i = 0; i < node.results.size(); ++i) {
      if (!grads[i].defined()) continue;
      const NodeResult& result = node.results[i];
      if (result.hooks != nullptr) grads[i] = result.hooks->run(std::move(grads[i]));
      if (captured_ != nullptr) {
        for (Captured& captured : *captured_)
          if (captured.is_result(&node, i)) captured.gradient = grads[i];
      } else if (auto tensor = result.tensor.lock(); tensor != nullptr && tensor->retains_grad) {
        accumulate_grad(Tensor(tensor), grads[i]);
      }
    }
    if (captured_ != nullptr && !needed_.contains(&node)) return;
    Grads inputs(node.edges.size());
    const Backward call(node, grads, captured_ == nullptr);
    node.op->gradient(call, inputs);
    grads.clear();
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Edge& edge = node.edges[i];
      if (!edge.needed || !inputs[i].defined() || call.added_to(i)) continue;
      if (!(inputs[i].shape() == edge.shape))
        throw ShapeError(
            message(node.name(), ": gradient of shape ", inputs[i].shape(), " for input ", i, " of shape ", edge.shape));
      deliver(edge, std::move(inputs[i]));
    }
    if (!retain_graph_) node.free();
  }

  void deliver(const Edge& edge, Tensor gradient) {
    if (edge.node == nullptr) {
      if (captured_ != nullptr && find(edge.leaf.get()) == nullptr) return;
      if (edge.leaf->hooks != nullptr) collect(edge.leaf, std::move(gradient));
      else finish(edge.leaf, std::move(gradient));
      return;
    }
    if (searched_ && !needed_.contains(edge.node.get()) && !is_captured(edge)) return;
    auto place = std::lower_bound(ready_.begin(), ready_.end(), edge.node->sequence,
                                  [](const Ready& ready, uint64_t sequence) { return ready.node->sequence < sequence; });
    if (place == ready_.end() || place->node != edge.node)
      place = ready_.insert(place, Ready{edge.node, Grads(edge.node->results.size())});
    Tensor& slot = place->grads[edge.result];
    slot = slot.defined() ? add_gradients(slot, gradient) : std::move(gradient);
  }

  // The nodes from which a captured tensor is reached: no others are run, and no others freed.
  void find_needed() {
    searched_ = true;
    std::vector<const Node*> nodes;
    std::unordered_set<const Node*> seen;
    const auto visit = [&](const Node* node) {
      if (node != nullptr && seen.insert(node).second) nodes.push_back(node);
    };
    for (const Ready& ready : ready_) visit(ready.node.get());
    for (size_t i = 0; i < nodes.size(); ++i)
      for (const Edge& edge : nodes[i]->edges) visit(edge.node.get());
    // What a node leads to was made before it.
    std::sort(nodes.begin(), nodes.end(), [](const Node* a, const Node* b) { return a->sequence < b->sequence; });
    for (const Node* node : nodes)
      for (const Edge& edge : node->edges)
        if (edge.needed &&
            (edge.node != nullptr ? needed_.contains(edge.node.get()) || is_captured(edge) : find(edge.leaf.get()) != nullptr))
          needed_.insert(node);
  }
  bool is_captured(const Edge& edge) const {
    return std::any_of(captured_->begin(), captured_->end(),
                       [&](const Captured& captured) { return captured.is_result(edge.node.get(), edge.result); });
  }

  Captured* find(const TensorImpl* leaf) const {
    for (Captured& captured : *captured_)
      if (captured.is_leaf(leaf)) return &captured;
    return nullptr;
  }

  void finish(const std::shared_ptr<TensorImpl>& leaf, Tensor gradient) {
    if (captured_ == nullptr) {
      accumulate_grad(Tensor(leaf), std::move(gradient));
      if (leaf->hooks == nullptr) return;
      const auto hooks = leaf->hooks->afterwards;  // a hook may remove itself
      for (const auto& [number, hook] : hooks) hook(Tensor(leaf));
      return;
    }
    Tensor& sum = find(leaf.get())->gradient;
    sum = sum.defined() ? add_gradients(sum, gradient) : gradient;
  }

  // Hooks of a leaf see the whole gradient, so it waits for the end of the pass.
  void collect(const std::shared_ptr<TensorImpl>& leaf, Tensor gradient) {
    for (auto& [other, sum] : hooked_)
      if (other == leaf) {
        sum = add_gradients(sum, gradient);
        return;
      }
    hooked_.emplace_back(leaf, std::move(gradient));
  }

  bool retain_graph_, create_graph_, searched_ = false;
  std::vector<Captured>* captured_;
  std::unordered_set<const Node*> needed_;
  std::vector<std::pair<std::shared_ptr<TensorImpl>, Tensor>> hooked_;
  std::vector<Ready> ready_;  // sorted by sequence, the next to run last
};

}  // namespace

bool grad_enabled() { return recording; }
void set_grad_enabled(bool enabled) { recording = enabled; }

bool needs_grad(std::initializer_list<Tensor> inputs) {
  return recording && std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) { return t.defined() && t.requires_grad(); });
}
bool needs_grad(const std::vector<Tensor>& inputs) {
  return recording && std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) { return t.defined() && t.requires_grad(); });
}

Tensor GradHooks::run(Tensor gradient) const {
  const auto hooks = functions;  // a hook may remove itself
  for (const auto& [number, hook] : hooks) {
    Tensor changed = hook(gradient);
    if (!changed.defined()) continue;
    if (!(changed.shape() == gradient.shape()))
      throw ShapeError(message("hook: gave a gradient of shape ", changed.shape(), " for one of shape ", gradient.shape()));
    if (changed.dtype() != gradient.dtype())
      throw TypeError(message("hook: gave a gradient of ", name(changed.dtype()), " for one of ", name(gradient.dtype())));
    gradient = std::move(changed);
  }
  return gradient;
}

void HookHandle::remove() const {
  if (auto found = hooks.lock()) {
    found->functions.erase(number);
    found->afterwards.erase(number);
  }
}

HookHandle register_hook(const Tensor& tensor, GradHook hook) {
  check_defined("register_hook", "the tensor", tensor);
  if (!hook) throw ValueError("register_hook: the hook is empty");
  if (!tensor.requires_grad()) throw Error("register_hook: the tensor does not require a gradient");
  std::shared_ptr<GradHooks>& hooks = tensor.is_leaf() ? tensor->hooks : tensor->grad_fn->results[tensor->grad_result].hooks;
  if (hooks == nullptr) hooks = std::make_shared<GradHooks>();
  const uint64_t number = next_hook.fetch_add(1, std::memory_order_relaxed);
  hooks->functions.emplace(number, std::move(hook));
  return {hooks, number};
}

HookHandle register_post_accumulate_grad_hook(const Tensor& leaf, LeafHook hook) {
  check_defined("register_post_accumulate_grad_hook", "the leaf", leaf);
  if (!hook) throw ValueError("register_post_accumulate_grad_hook: the hook is empty");
  if (!leaf.requires_grad()) throw Error("register_post_accumulate_grad_hook: the tensor does not require a gradient");
  if (!leaf.is_leaf()) throw Error("register_post_accumulate_grad_hook: cannot be registered on a non-leaf tensor");
  if (leaf->hooks == nullptr) leaf->hooks = std::make_shared<GradHooks>();
  const uint64_t number = next_hook.fetch_add(1, std::memory_order_relaxed);
  leaf->hooks->afterwards.emplace(number, std::move(hook));
  return {leaf->hooks, number};
}

void backward(const Tensor& root, const Tensor& grad_output, bool retain_graph, bool create_graph) {
  Pass pass(retain_graph || create_graph, create_graph, nullptr);
  pass.seed(root, initial_gradient(root, grad_output));
  pass.run();
}

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& grad_outputs, bool retain_graph, bool allow_unused, bool create_graph) {
  if (!grad_outputs.empty() && grad_outputs.size() != outputs.size())
    throw ValueError(message("grad: ", grad_outputs.size(), " grad_outputs for ", outputs.size(), " outputs"));
  std::vector<Captured> captured;
  for (const Tensor& input : inputs) {
    check_defined("grad", "one of the inputs", input);
    if (!input.requires_grad()) throw Error("grad: one of the inputs does not require a gradient");
    captured.push_back({input, {}});
  }
  Pass pass(retain_graph || create_graph, create_graph, &captured);
  for (size_t i = 0; i < outputs.size(); ++i) {
    check_defined("grad", "one of the outputs", outputs[i]);
    pass.seed(outputs[i], initial_gradient(outputs[i], grad_outputs.empty() ? Tensor() : grad_outputs[i]));
  }
  pass.run();
  std::vector<Tensor> result;
  for (auto& [input, gradient] : captured) {
    if (!gradient.defined()) gradient = pass.gradient_of(input);  // one that is asked for twice
    if (!gradient.defined() && !allow_unused)
      throw Error("grad: one of the inputs was not used in the graph; with allow_unused it has no gradient");
    result.push_back(gradient);
  }
  return result;
}

}  // namespace cnnx
