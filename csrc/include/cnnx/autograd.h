// Reverse-mode differentiation over a dynamic graph.
//
// An op computes its result and calls record() with a closure that maps the gradient of the result to the gradients of its
// inputs, so forward and gradient stand side by side. Every recorded op has one differentiable result.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cnnx/tensor.h"

namespace cnnx {

using Grads = std::vector<Tensor>;  // one per input of the op; undefined where not needed
struct Needs {                      // which inputs of the op need a gradient
  const std::vector<bool>* mask;
  bool operator[](size_t i) const { return (*mask)[i]; }
};
using GradientFn = std::function<Grads(const Tensor& grad_output, const Needs& needs)>;

// Where the gradient of one input goes. Only a leaf is kept alive; a result lives on through its node alone.
struct NodeInput {
  Dims shape;
  std::shared_ptr<Node> node;        // the input's grad_fn at record time
  std::shared_ptr<TensorImpl> leaf;  // the input itself if it is a leaf that requires a gradient
};

// Functions that look at a gradient on its way, in the order they were added; one that gives a tensor replaces it.
using GradHook = std::function<Tensor(const Tensor& gradient)>;
using LeafHook = std::function<void(const Tensor& leaf)>;
struct GradHooks {
  std::map<uint64_t, GradHook> functions;   // by number
  std::map<uint64_t, LeafHook> afterwards;  // when a pass has added to a leaf's .grad
  Tensor run(Tensor gradient) const;
};
// What removes a hook again. It keeps nothing alive.
struct HookHandle {
  std::weak_ptr<GradHooks> hooks;
  uint64_t number;
  void remove() const;
};
// For the gradient of a tensor that requires one: of a leaf once per pass, when it is complete.
HookHandle register_hook(const Tensor& tensor, GradHook hook);
// For a leaf, called once per backward pass after its .grad has got all that the pass adds.
HookHandle register_post_accumulate_grad_hook(const Tensor& leaf, LeafHook hook);

struct Node {
  ~Node();
  std::string name;       // "conv2d"; Python shows it as grad_fn
  uint64_t sequence = 0;  // creation order; the backward pass runs from high to low
  std::vector<NodeInput> inputs;
  std::vector<bool> needs;
  GradientFn gradient;  // emptied when the graph is freed
  bool freed = false;
  std::shared_ptr<GradHooks> hooks;  // on the gradient of the output
  std::weak_ptr<TensorImpl> output;  // for retain_grad
};

bool grad_enabled();  // per thread
void set_grad_enabled(bool enabled);
struct NoGrad {  // disables recording in a scope
  NoGrad() : previous(grad_enabled()) { set_grad_enabled(false); }
  ~NoGrad() { set_grad_enabled(previous); }
  bool previous;
};

// True if recording is on and any of the (possibly undefined) tensors requires a gradient.
bool needs_grad(std::initializer_list<Tensor> inputs);
bool needs_grad(const std::vector<Tensor>& inputs);

// Attaches the history of `output`, a fresh result of the op `name`. Call it only if needs_grad(inputs). Returns output.
Tensor record(const char* name, const Tensor& output, const std::vector<Tensor>& inputs, GradientFn gradient);

// The same for an op with several results, whose closure is called once: `gradient` gets the gradients of all outputs, undefined
// for those that nothing came back from. An output may be an input that was changed in place.
using GradsFn = std::function<Grads(const Grads& grad_outputs, const Needs& needs)>;
void record_outputs(const char* name, const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs, GradsFn gradient);

// A value kept for the backward pass. unpack() throws if it was changed in place since. Outputs may be saved too: what is
// kept is a detached alias, so no reference cycle arises.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& value) : value_(value.defined() ? value.detach() : value) {
    if (value_.defined()) version_ = value_.version();
  }
  Tensor unpack(const char* op) const;

 private:
  Tensor value_;
  uint64_t version_ = 0;
};

// Adds to the .grad of every leaf below `root`. `grad_output` may be undefined for a scalar root.
void backward(const Tensor& root, const Tensor& grad_output = {}, bool retain_graph = false);
// The gradients of the outputs' weighted sum with respect to `inputs`; accumulates nowhere. Inputs that were not reached give an
// undefined tensor if allow_unused, else an Error.
std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& grad_outputs = {}, bool retain_graph = false, bool allow_unused = false);

}  // namespace cnnx
