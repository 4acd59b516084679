#include "cnnx/autograd.h"

#include <algorithm>
#include <atomic>
#include <unordered_map>

#include "core/accumulate.h"

namespace cnnx {
namespace {

thread_local bool recording = true;
std::atomic<uint64_t> next_sequence{1}, next_hook{0};

struct BySequence {
  bool operator()(const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) const { return a->sequence < b->sequence; }
};

Tensor initial_gradient(const Tensor& root, const Tensor& grad_output) {
  if (!root.defined()) throw TypeError("backward: expected a tensor, got None");
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
  return grad_output.detach();
}

// One backward pass.
class Pass {
 public:
  // If `captured` is given, gradients of its keys are stored there and no leaf accumulates.
  Pass(bool retain_graph, std::unordered_map<TensorImpl*, Tensor>* captured) : retain_graph_(retain_graph), captured_(captured) {}

  void seed(const Tensor& root, const Tensor& gradient) {
    deliver(NodeInput{root.shape(), root->grad_fn, root.is_leaf() ? root.impl() : nullptr}, gradient);
  }

  void run() {
    NoGrad guard;
    while (!ready_.empty()) {
      std::shared_ptr<Node> node = std::move(ready_.back());
      ready_.pop_back();
      Tensor gradient = std::move(pending_[node.get()]);
      pending_.erase(node.get());
      if (node->freed)
        throw Error("backward: the graph was freed by an earlier backward pass; pass retain_graph=True to that one to keep it");
      if (node->hooks != nullptr) gradient = node->hooks->run(std::move(gradient));
      if (auto output = node->output.lock()) {
        if (captured_ != nullptr) {
          if (auto found = captured_->find(output.get()); found != captured_->end()) found->second = gradient;
        } else if (output->retains_grad) {
          accumulate_grad(Tensor(output), gradient);
        }
      }
      Grads grads = node->gradient(gradient, Needs{&node->needs});
      gradient = Tensor();
      for (size_t i = 0; i < node->inputs.size(); ++i)
        if (node->needs[i] && grads[i].defined()) {
          if (!(grads[i].shape() == node->inputs[i].shape))
            throw ShapeError(message(node->name, ": gradient of shape ", grads[i].shape(), " for input ", i, " of shape ",
                                     node->inputs[i].shape));
          deliver(node->inputs[i], std::move(grads[i]));
        }
      if (!retain_graph_) {
        node->gradient = nullptr;
        node->hooks = nullptr;
        node->freed = true;
      }
    }
    for (auto& [leaf, gradient] : hooked_) finish(leaf, leaf->hooks->run(std::move(gradient)));
  }

 private:
  void deliver(const NodeInput& input, Tensor gradient) {
    const std::shared_ptr<Node>& node = input.node;
    if (node == nullptr) {
      if (captured_ != nullptr && !captured_->contains(input.leaf.get())) return;
      if (input.leaf->hooks != nullptr) collect(input.leaf, std::move(gradient));
      else finish(input.leaf, std::move(gradient));
      return;
    }
    Tensor& slot = pending_[node.get()];
    if (slot.defined()) {
      slot = add_gradients(slot, gradient);
    } else {
      slot = std::move(gradient);
      ready_.insert(std::upper_bound(ready_.begin(), ready_.end(), node, BySequence{}), node);
    }
  }

  void finish(const std::shared_ptr<TensorImpl>& leaf, Tensor gradient) {
    if (captured_ == nullptr) {
      accumulate_grad(Tensor(leaf), std::move(gradient));
      if (leaf->hooks == nullptr) return;
      const auto hooks = leaf->hooks->afterwards;  // a hook may remove itself
      for (const auto& [number, hook] : hooks) hook(Tensor(leaf));
      return;
    }
    Tensor& sum = captured_->at(leaf.get());
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

  bool retain_graph_;
  std::unordered_map<TensorImpl*, Tensor>* captured_;
  std::vector<std::pair<std::shared_ptr<TensorImpl>, Tensor>> hooked_;
  std::unordered_map<Node*, Tensor> pending_;
  std::vector<std::shared_ptr<Node>> ready_;  // sorted by sequence, the next to run last
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

Node::~Node() {
  // A long chain of nodes would otherwise be destroyed by recursion as deep as the chain.
  std::vector<std::shared_ptr<Node>> orphans;
  auto take = [&orphans](Node& node) {
    node.gradient = nullptr;
    for (NodeInput& input : node.inputs)
      if (input.node != nullptr) orphans.push_back(std::move(input.node));
    node.inputs.clear();
  };
  take(*this);
  while (!orphans.empty()) {
    std::shared_ptr<Node> node = std::move(orphans.back());
    orphans.pop_back();
    if (node.use_count() == 1) take(*node);
  }
}

Tensor record(const char* name, const Tensor& output, const std::vector<Tensor>& inputs, GradientFn gradient) {
  auto node = std::make_shared<Node>();
  node->name = name;
  node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  node->needs.reserve(inputs.size());
  node->inputs.reserve(inputs.size());
  for (const Tensor& input : inputs) {
    bool needed = input.defined() && input.requires_grad();
    node->needs.push_back(needed);
    node->inputs.push_back(needed ? NodeInput{input.shape(), input->grad_fn, input.is_leaf() ? input.impl() : nullptr}
                                  : NodeInput{});
  }
  node->gradient = std::move(gradient);
  node->output = output.impl();
  output->grad_fn = std::move(node);
  output->requires_grad = true;
  return output;
}

void record_outputs(const char* name, const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs, GradsFn gradient) {
  if (outputs.size() == 1) {
    record(name, outputs[0], inputs,
           [gradient = std::move(gradient)](const Tensor& g, const Needs& needs) { return gradient({g}, needs); });
    return;
  }
  // A node has one output. So the outputs' nodes leave their gradients in `arrived` and pass a token on to one node below them,
  // which was made before and so runs after all of them.
  auto arrived = std::make_shared<Grads>(outputs.size());
  Tensor token = Tensor::zeros({});
  record(name, token, inputs, [gradient = std::move(gradient), arrived](const Tensor&, const Needs& needs) {
    Grads grads = std::move(*arrived);
    arrived->assign(grads.size(), Tensor());
    return gradient(grads, needs);
  });
  for (size_t i = 0; i < outputs.size(); ++i)
    record(name, outputs[i], {token}, [arrived, i](const Tensor& g, const Needs&) {
      (*arrived)[i] = g;
      return Grads{Tensor::zeros({})};
    });
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
  if (!tensor.requires_grad()) throw Error("register_hook: the tensor does not require a gradient");
  std::shared_ptr<GradHooks>& hooks = tensor.is_leaf() ? tensor->hooks : tensor->grad_fn->hooks;
  if (hooks == nullptr) hooks = std::make_shared<GradHooks>();
  const uint64_t number = next_hook.fetch_add(1, std::memory_order_relaxed);
  hooks->functions.emplace(number, std::move(hook));
  return {hooks, number};
}

HookHandle register_post_accumulate_grad_hook(const Tensor& leaf, LeafHook hook) {
  if (!leaf.requires_grad()) throw Error("register_post_accumulate_grad_hook: the tensor does not require a gradient");
  if (!leaf.is_leaf()) throw Error("register_post_accumulate_grad_hook: cannot be registered on a non-leaf tensor");
  if (leaf->hooks == nullptr) leaf->hooks = std::make_shared<GradHooks>();
  const uint64_t number = next_hook.fetch_add(1, std::memory_order_relaxed);
  leaf->hooks->afterwards.emplace(number, std::move(hook));
  return {leaf->hooks, number};
}

Tensor Saved::unpack(const char* op) const {
  if (value_.defined() && value_.version() != version_)
    throw Error(message(op, ": a value of shape ", value_.shape(),
                        " that the backward pass needs was changed in place after the op (version ", value_.version(),
                        ", expected ", version_, ")"));
  return value_;
}

void backward(const Tensor& root, const Tensor& grad_output, bool retain_graph) {
  Pass pass(retain_graph, nullptr);
  pass.seed(root, initial_gradient(root, grad_output));
  pass.run();
}

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& grad_outputs, bool retain_graph, bool allow_unused) {
  if (!grad_outputs.empty() && grad_outputs.size() != outputs.size())
    throw ValueError(message("grad: ", grad_outputs.size(), " grad_outputs for ", outputs.size(), " outputs"));
  std::unordered_map<TensorImpl*, Tensor> captured;
  for (const Tensor& input : inputs) {
    if (!input.defined()) throw TypeError("grad: one of the inputs is None");
    if (!input.requires_grad()) throw Error("grad: one of the inputs does not require a gradient");
    captured.emplace(input.impl().get(), Tensor());
  }
  Pass pass(retain_graph, &captured);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].defined()) throw TypeError("grad: one of the outputs is None");
    pass.seed(outputs[i], initial_gradient(outputs[i], grad_outputs.empty() ? Tensor() : grad_outputs[i]));
  }
  pass.run();
  std::vector<Tensor> result;
  for (const Tensor& input : inputs) {
    Tensor& gradient = captured[input.impl().get()];
    if (!gradient.defined() && !allow_unused)
      throw Error("grad: one of the inputs was not used in the graph; pass allow_unused=True to get None for it");
    result.push_back(gradient);
  }
  return result;
}

}  // namespace cnnx
