// From the messages of a file to a net: names become numbers, and what cannot run is refused.
#include <algorithm>
#include <set>
#include <sstream>

#include "cnnx/error.h"
#include "onnx/net.h"

namespace cnnx::onnx {
namespace {

bool knows(const Op& op, const std::string& attribute) {
  std::istringstream names(op.attributes);
  for (std::string name; names >> name;)
    if (name == attribute) return true;
  return false;
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// All that is missing, at once.
void check_ops(const Model& model, const std::string& file) {
  std::set<std::string> missing, strange;
  for (const Node& node : model.nodes) {
    const Op* op = find_op(node.op, node.domain, model.opset);
    if (op == nullptr) {
      missing.insert(node.domain.empty() ? node.op : node.domain + "." + node.op);
      continue;
    }
    for (const Attribute& a : node.attributes)
      if (!knows(*op, a.name)) strange.insert(node.op + "." + a.name);
  }
  if (!missing.empty())
    throw NotImplementedError(message("load_onnx: ", file, ": cnnx has no ", joined(missing), " of opset ", model.opset));
  if (!strange.empty())
    throw NotImplementedError(message("load_onnx: ", file, ": attributes that cnnx does not know: ", joined(strange)));
}

}  // namespace

std::shared_ptr<const OnnxNet::State> build_net(Model model, const std::string& file) {
  const auto invalid = [&](const std::string& what) { throw ValueError(message("load_onnx: ", file, ": ", what)); };
  if (model.opset < kOldestOpset || model.opset > kNewestOpset)
    throw NotImplementedError(
        message("load_onnx: ", file, ": opset ", model.opset, "; cnnx takes ", kOldestOpset, " to ", kNewestOpset));
  check_ops(model, file);

  auto net = std::make_shared<OnnxNet::State>();
  net->opset = model.opset;
  std::unordered_map<std::string, int> numbers;
  const auto define = [&](const std::string& name) {
    if (!numbers.emplace(name, net->values).second) invalid("'" + name + "' is defined twice");
    return net->values++;
  };
  for (const OnnxValue& value : model.inputs) define(value.name);
  for (const auto& [name, tensor] : model.initializers) define(name);
  const auto is_weight = [&](int value) {
    return value >= static_cast<int>(model.inputs.size()) &&
           value < static_cast<int>(model.inputs.size() + model.initializers.size());
  };
  std::set<size_t> parameters, buffers;
  std::vector<int> last_use;
  for (Node& node : model.nodes) {
    OnnxNet::State::Step step{
        .node = {}, .op = find_op(node.op, node.domain, model.opset), .inputs = {}, .outputs = {}, .ended = {}};
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const std::string& name = node.inputs[i];
      const auto found = name.empty() ? numbers.end() : numbers.find(name);
      if (!name.empty() && found == numbers.end())
        invalid(message(node.str(), " reads '", name, "', which no node before it makes"));
      step.inputs.push_back(name.empty() ? -1 : found->second);
      const int value = step.inputs.back();
      if (value < 0 || !is_weight(value) || i >= 32) continue;
      const size_t weight = static_cast<size_t>(value) - model.inputs.size();
      const Tensor& tensor = model.initializers[weight].second;
      if (!is_floating_point(tensor.dtype()) || tensor.ndim() == 0) continue;
      if ((step.op->parameters >> i & 1) != 0) parameters.insert(weight);
      if ((step.op->buffers >> i & 1) != 0) buffers.insert(weight);
    }
    for (const std::string& name : node.outputs) step.outputs.push_back(name.empty() ? -1 : define(name));
    step.node = std::move(node);
    net->steps.push_back(std::move(step));
  }
  for (const OnnxValue& value : model.outputs) {
    const auto found = numbers.find(value.name);
    if (found == numbers.end()) invalid("nothing makes the output '" + value.name + "'");
    net->results.push_back(found->second);
  }
  std::ranges::set_difference(parameters, buffers, std::back_inserter(net->parameters));
  net->buffers.assign(buffers.begin(), buffers.end());

  std::vector<bool> is_needed(static_cast<size_t>(net->values), false);
  for (int value : net->results) is_needed[static_cast<size_t>(value)] = true;
  for (auto step = net->steps.rbegin(); step != net->steps.rend(); ++step)
    for (const std::vector<int>* list : {&step->outputs, &step->inputs})
      for (int value : *list) {
        if (value < 0 || is_needed[static_cast<size_t>(value)]) continue;
        is_needed[static_cast<size_t>(value)] = true;
        step->ended.push_back(value);
      }
  net->inputs = std::move(model.inputs);
  net->outputs = std::move(model.outputs);
  net->weights = std::move(model.initializers);
  return net;
}

}  // namespace cnnx::onnx
