// The graph behind autograd: a node for each recorded call.
#pragma once

#include <memory>
#include <string>

#include "core/op.h"

namespace cnnx {

// Where the gradient of an input goes, and what the input was. Only a leaf is saved alive; a result lives on through its node.
struct Edge {
  std::shared_ptr<Node> node;        // the input's grad_fn when the call was made
  std::shared_ptr<TensorImpl> leaf;  // the input itself if it is a leaf that requires a gradient
  uint32_t result = 0;               // which of the node's results the input was
  bool needed = false;
  Dims shape;
  TensorOptions options;
};

// A value saved for the backward pass: an alias without history, so no reference cycle arises.
struct SavedValue {
  Tensor value;
  uint64_t version = 0;
  uint64_t bit = 0;                               // input_bit(i) or result_bit(i); 0: it was neither, and has no history
  std::shared_ptr<PackedValue> packed = nullptr;  // in the value's place, if a hook made it
};

// A gradient written by the caller, of what record() notes.
struct RecordedFunction {
  std::string name;
  GradsFn gradient;
};

// One result: its hooks, and the tensor itself for retain_grad.
struct NodeResult {
  bool differentiable = false;
  std::shared_ptr<GradHooks> hooks;
  std::weak_ptr<TensorImpl> tensor;
};

struct Node : std::enable_shared_from_this<Node> {
  explicit Node(const OpDef& op) : op(&op) {}
  ~Node();
  const char* name() const;
  // Lets go of what the gradient needs.
  void free();

  const OpDef* op;
  uint64_t sequence = 0;  // creation order; the backward pass runs from high to low
  bool freed = false;
  InlineVector<Edge, 3> edges;
  InlineVector<NodeResult, 1> results;
  InlineVector<SavedValue, 3> saved;
  std::unique_ptr<RecordedFunction> function;  // of what record() notes
  alignas(std::max_align_t) std::byte attributes[kAttributeBytes];
};

// Makes a node for the call and the results the node's. `inputs` are the call's, where the op reads them; `saves` says
// which of them and of the results the gradient reads.
void note(const Call& call, std::span<const Tensor> inputs, const ResultSpecs& specs, const Results& results, uint64_t saves);

// A value as it was saved, with its history while that is recorded; throws if it was changed in place since.
Tensor unpack(const Node& node, const SavedValue& saved);

// Makes `result` the node's: its former node, if it was changed in place, forgets it.
void set_result(const std::shared_ptr<Node>& node, uint32_t index, const Tensor& result);

// A recorded call in the backward pass.
class Backward {
 public:
  Backward(const Node& node, const Grads& grads, bool accumulates) : node_(node), grads_(grads), accumulates_(accumulates) {}
  // The gradient of a result; undefined if nothing came back to it.
  const Tensor& grad(size_t result = 0) const { return grads_[result]; }
  const Grads& grads() const { return grads_; }
  const Node& node() const { return node_; }
  const OpDef& op() const { return *node_.op; }
  bool needs(size_t input) const { return node_.edges[input].needed; }
  const Dims& shape(size_t input) const { return node_.edges[input].shape; }
  const TensorOptions& options(size_t input) const { return node_.edges[input].options; }
  template <class A>
  const A& as() const {
    return *reinterpret_cast<const A*>(node_.attributes);
  }
  // What the call saved, with its history while that is recorded; throws if it was changed in place since. Undefined if it was
  // left out.
  Tensor input(size_t i) const { return saved(input_bit(i)); }
  Tensor result(size_t i = 0) const { return saved(result_bit(i)); }
  // The gradients that the leaves among inputs first, first + 1, ... have already, for a call that adds to them in place (and
  // reads only `reads` beside): its results are then what the op's gradient returns. All are undefined unless each of the inputs
  // that needs a gradient is such a leaf.
  template <size_t kCount>
  std::array<Tensor, kCount> sums_so_far(size_t first, std::initializer_list<Tensor> reads) const {
    std::array<Tensor, kCount> sums;
    for (size_t i = 0; i < kCount; ++i)
      if (needs(first + i) && !(sums[i] = sum_so_far(first + i, reads)).defined()) return {};
    for (size_t i = 0; i < kCount; ++i)
      if (sums[i].defined()) added_to_ |= input_bit(first + i);
    return sums;
  }
  bool added_to(size_t input) const { return (added_to_ & input_bit(input)) != 0; }

 private:
  Tensor saved(uint64_t bit) const;
  Tensor sum_so_far(size_t input, std::initializer_list<Tensor> reads) const;
  const Node& node_;
  const Grads& grads_;
  bool accumulates_;               // whether gradients of leaves end in their .grad
  mutable uint64_t added_to_ = 0;  // whose sums so far were handed out
};

// For ops whose gradient is that of a formula: other ops that compute the same results from the same inputs, all of which the op
// saves. So a kernel that fuses a gradient is differentiated again without a kernel for that.
using Formula = void (*)(const Call& call, Results& results);
void differentiate(Formula formula, const Backward& call, Grads& grads);
template <Formula formula>
void gradient_of(const Backward& call, Grads& grads) {
  differentiate(formula, call, grads);
}
// Of an op that only moves its one input; of one that is its own adjoint.
void pass_on(const Backward& call, Grads& grads);
void gradient_by_itself(const Backward& call, Grads& grads);
// For `saves`: all inputs; of an op that is linear in each of two, those that the gradients of the others read.
inline uint64_t saves_inputs(const Call& call, uint64_t) { return input_bit(call.inputs.size()) - 1; }
inline uint64_t saves_other_input(const Call&, uint64_t needs) {
  return ((needs & input_bit(0)) != 0 ? input_bit(1) : 0) | ((needs & input_bit(1)) != 0 ? input_bit(0) : 0);
}

}  // namespace cnnx
