// Reverse-mode differentiation over a dynamic graph.
//
// The library's own ops say their gradients where they say everything else (core/op.h). A function of one's own calls record()
// with a closure that maps the gradient of its result to the gradients of its inputs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/inline_vector.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

using Grads = InlineVector<Tensor, 4>;  // one per input of the op; undefined where not needed
class Needs {                           // which inputs of the op need a gradient
 public:
  explicit Needs(const Node& node) : node_(node) {}
  bool operator[](size_t i) const;
  // What record_outputs() was to save, the k-th of it: with its history while that is recorded. Throws if it was changed in place
  // since.
  Tensor saved(size_t k) const;

 private:
  const Node& node_;
};
using GradientFn = std::function<Grads(const Tensor& grad_output, const Needs& needs)>;

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

bool grad_enabled();  // per thread
void set_grad_enabled(bool enabled);
class GradMode {  // sets recording in a scope
 public:
  explicit GradMode(bool enabled) : previous_(grad_enabled()) { set_grad_enabled(enabled); }
  ~GradMode() { set_grad_enabled(previous_); }
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool previous_;
};
struct NoGrad : GradMode {  // disables recording in a scope
  NoGrad() : GradMode(false) {}
};

// True if recording is on and any of the (possibly undefined) tensors requires a gradient.
bool needs_grad(std::initializer_list<Tensor> inputs);
bool needs_grad(const std::vector<Tensor>& inputs);

// What made the tensor, "conv2d"; empty for a leaf.
std::string grad_fn_name(const Tensor& tensor);
// Makes it a leaf that requires no gradient.
void forget_history(const Tensor& tensor);

// Attaches the history of `output`, a fresh result of the op `name`. Call it only if needs_grad(inputs). Returns output.
Tensor record(const char* name, const Tensor& output, const std::vector<Tensor>& inputs, GradientFn gradient);

// The same for an op with several results, whose closure is called once: `gradient` gets the gradients of all outputs, undefined
// for those that nothing came back from. An output may be an input that was changed in place. `saved`: values for needs.saved();
// inputs and outputs (the first 40 and 24) keep their history.
using GradsFn = std::function<Grads(const Grads& grad_outputs, const Needs& needs)>;
void record_outputs(const char* name, const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs, GradsFn gradient,
                    const std::vector<Tensor>& saved = {});

// What a hook made of a value that was to be saved for the backward pass, and is kept in its place.
class PackedValue {
 public:
  virtual ~PackedValue() = default;
  virtual Tensor unpack() = 0;  // the value again, of the same shape, dtype and device

 private:
  friend class SavedPlace;
  Dims shape_;
  TensorOptions options_;
};
// Sees, on the calling thread, every value that a call saves for its gradient. An empty function: none.
using PackHook = std::function<std::shared_ptr<PackedValue>(const Tensor& value)>;
void set_pack_hook(PackHook hook);

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

// Adds to the .grad of every leaf below `root`. `grad_output` may be undefined for a scalar root. With `create_graph` the
// gradients have a history themselves, and the graph is retained: a leaf and its .grad then keep each other alive until that is
// cleared.
void backward(const Tensor& root, const Tensor& grad_output = {}, bool retain_graph = false, bool create_graph = false);
// The gradients of the outputs' weighted sum with respect to `inputs`; accumulates nowhere. Inputs that were not reached give an
// undefined tensor if allow_unused, else an Error.
std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& grad_outputs = {}, bool retain_graph = false, bool allow_unused = false,
                         bool create_graph = false);

}  // namespace cnnx CNNX_API
