// A net, node by node.
#include "cnnx/error.h"
#include "onnx/net.h"

namespace cnnx::onnx {

void check_inputs(const OnnxNet::State& net, std::span<const Tensor> inputs) {
  if (inputs.size() != net.inputs.size())
    throw ValueError(message("onnx: the net has ", net.inputs.size(), " inputs, got ", inputs.size()));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const OnnxValue& wanted = net.inputs[i];
    const std::string what = "onnx: input '" + wanted.name + "'";
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

std::vector<Tensor> evaluate(const OnnxNet::State& net, const Pass& pass) {
  std::vector<Tensor> values(static_cast<size_t>(net.values));
  std::vector<bool> is_fixed(values.size(), false);
  size_t number = 0;
  for (const Tensor& t : pass.inputs) values[number++] = t;
  for (const Tensor& t : pass.weights) {
    is_fixed[number] = pass.weights_too || !is_floating_point(t.dtype());
    values[number++] = t;
  }
  std::vector<Tensor> inputs, outputs;
  for (const OnnxNet::State::Step& step : net.steps) {
    bool fixed = true;
    inputs.clear();
    for (int value : step.inputs) {
      inputs.push_back(value < 0 ? Tensor() : values[static_cast<size_t>(value)]);
      fixed = fixed && (value < 0 || is_fixed[static_cast<size_t>(value)]);
    }
    fixed = fixed || step.op->of_shapes;
    outputs.assign(step.outputs.size(), {});
    bool is_known = pass.known != nullptr && !step.outputs.empty();
    for (size_t i = 0; is_known && i < outputs.size(); ++i) {
      if (step.outputs[i] < 0) continue;
      outputs[i] = (*pass.known)[static_cast<size_t>(step.outputs[i])];
      is_known = outputs[i].defined();
    }
    if (!is_known) {
      NodeRun run(step.node, net.opset, pass.training, inputs, outputs);
      try {
        step.op->run(run);
      } catch (const ShapeError& error) {  // of the library's op, which does not know of the node
        throw ShapeError(message("onnx: ", step.node.str(), ": ", std::string(error.what())));
      }
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (step.outputs[i] < 0) continue;
      const auto value = static_cast<size_t>(step.outputs[i]);
      if (!outputs[i].defined()) throw NotImplementedError(message("onnx: ", step.node.str(), ": output ", i));
      values[value] = std::move(outputs[i]);
      is_fixed[value] = fixed;
      if (fixed && pass.found != nullptr) (*pass.found)[value] = values[value];
    }
    for (int value : step.ended) values[static_cast<size_t>(value)] = {};
  }
  std::vector<Tensor> results;
  for (int value : net.results) results.push_back(values[static_cast<size_t>(value)]);
  return results;
}

}  // namespace cnnx::onnx
