// A net, node by node.
#include <algorithm>
#include <map>
#include <optional>

#include "cnnx/error.h"
#include "core/memory_limit.h"
#include "onnx/net.h"

namespace cnnx::onnx {

void check_inputs(const OnnxNet::State& net, std::span<const Tensor> inputs) {
  if (inputs.size() != net.inputs.size())
    throw ValueError(message("onnx: the net has ", net.inputs.size(), " inputs, got ", inputs.size()));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const OnnxValue& wanted = net.inputs[i];
    const std::string what = "onnx: input " + quoted(wanted.name);
    if (!inputs[i].defined()) throw ValueError(what + " is undefined");
    if (inputs[i].dtype() != wanted.dtype)
      throw TypeError(message(what, " is of ", name(wanted.dtype), ", got ", name(inputs[i].dtype())));
    const Dims& shape = inputs[i].shape();
    if (!wanted.has_shape) continue;
    bool fits = shape.size() == static_cast<int>(wanted.shape.size());
    for (int d = 0; fits && d < shape.size(); ++d)
      fits = wanted.shape[static_cast<size_t>(d)] < 0 || wanted.shape[static_cast<size_t>(d)] == shape[d];
    if (fits) continue;
    std::string text;
    for (size_t d = 0; d < wanted.shape.size(); ++d) {
      text += text.empty() ? "" : ", ";
      text += wanted.shape[d] >= 0 ? message(wanted.shape[d]) : wanted.extents[d].empty() ? "?" : wanted.extents[d];
    }
    throw ShapeError(message(what, " has the shape (", text, "), got ", shape));
  }
}

namespace {

// The library's errors do not know of the node.
template <class E>
[[noreturn]] void named(const Node& node, const E& error) {
  const std::string what = error.what();
  throw E(what.rfind("onnx: ", 0) == 0 ? what : message("onnx: ", node.str(), ": ", what));
}

void run_node(const Op& op, NodeRun& run, bool fixed) {
  std::optional<MemoryLimit> limit;
  if (fixed) limit.emplace(kMostConstantBytes);
  try {
    op.run(run);
  } catch (const ShapeError& error) {
    named(run.node, error);
  } catch (const ValueError& error) {
    named(run.node, error);
  } catch (const TypeError& error) {
    named(run.node, error);
  } catch (const IndexError& error) {
    named(run.node, error);
  } catch (const NotImplementedError& error) {
    named(run.node, error);
  } catch (const Error& error) {
    named(run.node, error);
  }
}

// What the constants that a pass computes take at a time; what shares memory counts once, and that of weights not.
class ConstantBytes {
 public:
  void add(const Node& node, const Tensor& made, std::span<const Tensor> from) {
    const Storage* storage = made->storage.get();
    const auto shares = [&](const Tensor& t) { return t.defined() && t->storage.get() == storage; };
    if (!holders_.contains(storage) && std::ranges::any_of(from, shares)) return;  // a weight in another form
    if (holders_[storage]++ > 0) return;
    sum_ += storage->nbytes();
    if (sum_ > kMostConstantBytes)
      throw ValueError(message("onnx: ", node.str(), ": constants take more than ", kMostConstantBytes >> 20, " MiB"));
  }
  void share(const Tensor& t) {
    if (const auto found = holders_.find(t->storage.get()); found != holders_.end()) ++found->second;
  }
  void release(const Tensor& t) {
    const auto found = holders_.find(t->storage.get());
    if (found == holders_.end() || --found->second > 0) return;
    sum_ -= found->first->nbytes();
    holders_.erase(found);
  }

 private:
  std::map<const Storage*, int64_t> holders_;
  size_t sum_ = 0;
};

}  // namespace

std::vector<Tensor> evaluate(const OnnxNet::State& net, const Pass& pass) {
  std::vector<Tensor> values(static_cast<size_t>(net.values));
  std::vector<bool> is_fixed(values.size(), false);
  if (pass.found != nullptr)
    *pass.found = {.values = std::vector<Tensor>(values.size()), .steps = std::vector<Known::Step>(net.steps.size())};
  size_t number = 0;
  for (const Tensor& t : pass.inputs) values[number++] = t;
  for (const Tensor& t : pass.weights) {
    is_fixed[number] = pass.weights_too || net.is_constant[number - pass.inputs.size()];
    values[number++] = t;
  }
  ConstantBytes constants;
  const auto keep = [&](int value) {
    if (pass.found == nullptr || value < 0 || !is_fixed[static_cast<size_t>(value)]) return;
    Tensor& kept = pass.found->values[static_cast<size_t>(value)];
    if (kept.defined()) return;
    kept = values[static_cast<size_t>(value)];
    constants.share(kept);
  };
  std::vector<Tensor> inputs, outputs;
  for (size_t at = 0; at < net.steps.size(); ++at) {
    const OnnxNet::State::Step& step = net.steps[at];
    bool fixed = true;
    uint64_t fixed_inputs = 0;
    inputs.clear();
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      const int value = step.inputs[i];
      inputs.push_back(value < 0 ? Tensor() : values[static_cast<size_t>(value)]);
      const bool is_it = value < 0 || is_fixed[static_cast<size_t>(value)];
      if (is_it && i < 64) fixed_inputs |= uint64_t{1} << i;
      fixed = fixed && is_it;
    }
    fixed = (fixed || step.op->of_shapes) && !(pass.training && step.op->draws);
    const bool is_known = pass.known != nullptr && pass.known->steps[at].is_fixed;
    if (pass.found != nullptr) pass.found->steps[at].is_fixed = fixed;
    if (!fixed && !is_known)
      for (int value : step.inputs) keep(value);
    outputs.assign(step.outputs.size(), {});
    if (is_known) {
      for (size_t i = 0; i < outputs.size(); ++i)
        if (step.outputs[i] >= 0) outputs[i] = pass.known->values[static_cast<size_t>(step.outputs[i])];  // or nobody reads it
    } else {
      const Tables tables{.known = pass.known != nullptr ? &pass.known->steps[at].tables : nullptr,
                          .found = pass.found != nullptr ? &pass.found->steps[at].tables : nullptr,
                          .moved = pass.moved};
      NodeRun run(step.node, pass.training, inputs, outputs, fixed_inputs, tables);
      run_node(*step.op, run, fixed);
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (step.outputs[i] < 0) continue;
      const auto value = static_cast<size_t>(step.outputs[i]);
      if (!is_known && !outputs[i].defined()) throw NotImplementedError(message("onnx: ", step.node.str(), ": output ", i));
      if (fixed && !is_known) constants.add(step.node, outputs[i], inputs);
      values[value] = std::move(outputs[i]);
      is_fixed[value] = fixed;
    }
    for (int value : step.ended) {
      Tensor& last = values[static_cast<size_t>(value)];
      if (last.defined()) constants.release(last);
      last = {};
    }
  }
  std::vector<Tensor> results;
  for (int value : net.results) {
    keep(value);
    results.push_back(values[static_cast<size_t>(value)]);
  }
  return results;
}

}  // namespace cnnx::onnx
