// From the messages of a file to a net: names become numbers, and what cannot run is refused.
#include <algorithm>
#include <map>
#include <set>

#include "cnnx/error.h"
#include "onnx/net.h"

namespace cnnx::onnx {
namespace {

// Whether it is one of the names between spaces.
bool knows(const Op& op, const std::string& attribute) {
  for (std::string_view names = op.attributes; !names.empty();) {
    const size_t end = std::min(names.find(' '), names.size());
    if (names.substr(0, end) == attribute) return true;
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return false;
}

// An op's name as it is written where it is one: without quotes.
std::string shown(const std::string& name) {
  const bool is_name =
      !name.empty() && name.size() <= 80 && std::ranges::all_of(name, [](unsigned char c) { return c > ' ' && c < 0x7F; });
  return is_name ? name : quoted(name);
}

std::string joined(const std::set<std::string>& names) {
  constexpr size_t kMost = 100;
  std::string text;
  size_t count = 0;
  for (const std::string& name : names) {
    if (++count > kMost) return message(text, " and ", names.size() - kMost, " more");
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

// All that is missing, at once.
void check_missing(Model& model, const std::string& where) {
  std::set<std::string> ops, attributes;
  for (const Node& node : model.nodes) {
    const Op* op = find_op(node.op, node.domain, node.opset);
    if (op == nullptr) {
      ops.insert(shown(node.domain.empty() ? node.op : node.domain + "." + node.op));
      continue;
    }
    for (const Attribute& a : node.attributes) {
      if (!knows(*op, a.name)) attributes.insert(node.op + "." + shown(a.name));
      else if ((a.name == "to" || a.name == "dtype") && a.kind == Attribute::Kind::integer) model.missing.has(a.integer);
    }
  }
  std::string what;
  const auto name = [&](const char* kind, const std::set<std::string>& names, const std::string& behind = "") {
    if (!names.empty()) what += (what.empty() ? "" : "; ") + (kind + joined(names) + behind);
  };
  name("cnnx has no ", ops, message(" of opset ", model.opset));
  name("cnnx has no tensors of ", model.missing.dtypes);
  name("cnnx has no ", model.missing.kinds);
  name("attributes that cnnx does not know: ", attributes);
  if (!what.empty()) throw NotImplementedError(where + ": " + what);
}

// What the nodes Constant hold: in some files the weights.
void constants_to_weights(Model& model, const std::string& where) {
  std::erase_if(model.nodes, [&](const Node& node) {
    if (node.op != "Constant" || !node.domain.empty() || node.outputs.size() != 1) return false;
    if (node.attributes.size() != 1) throw ValueError(message(where, ": ", node.str(), " needs one attribute"));
    model.initializers.emplace_back(node.outputs[0], constant_value(node));
    return true;
  });
}

}  // namespace

std::shared_ptr<const OnnxNet::State> build_net(Model model, const std::string& where) {
  const auto invalid = [&](const std::string& what) { throw ValueError(message(where, ": ", what)); };
  inline_functions(model, where);
  for (const Node& node : model.nodes)
    if (node.domain.empty() && (node.opset < kOldestOpset || node.opset > kNewestOpset))
      throw NotImplementedError(message(where, ": opset ", node.opset, "; cnnx takes ", kOldestOpset, " to ", kNewestOpset));
  check_missing(model, where);
  constants_to_weights(model, where);

  auto net = std::make_shared<OnnxNet::State>();
  std::map<std::string, int> numbers;  // no choice of names makes it slow, as it would a hash table
  const auto define = [&](const std::string& name) {
    if (!numbers.emplace(name, net->values).second) invalid(quoted(name) + " is defined twice");
    return net->values++;
  };
  for (const OnnxValue& value : model.inputs) define(value.name);
  for (const auto& [name, tensor] : model.initializers) define(name);
  // Which weight a value is, perhaps in another form.
  std::unordered_map<int, size_t> weights;
  for (size_t i = 0; i < model.initializers.size(); ++i) weights.emplace(static_cast<int>(model.inputs.size() + i), i);
  std::set<size_t> parameters, buffers;
  for (Node& node : model.nodes) {
    OnnxNet::State::Step step{
        .node = {}, .op = find_op(node.op, node.domain, node.opset), .inputs = {}, .outputs = {}, .ended = {}};
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const std::string& name = node.inputs[i];
      const auto found = name.empty() ? numbers.end() : numbers.find(name);
      if (!name.empty() && found == numbers.end())
        invalid(message(node.str(), " reads ", quoted(name), ", which no node before it makes"));
      step.inputs.push_back(name.empty() ? -1 : found->second);
      const int value = step.inputs.back();
      const auto weight = weights.find(value);
      if (weight == weights.end() || i >= 32) continue;
      const Tensor& tensor = model.initializers[weight->second].second;
      if (!is_floating_point(tensor.dtype()) || tensor.numel() < (step.op->takes_numbers ? 2 : 1)) continue;
      if ((step.op->parameters >> i & 1) != 0) parameters.insert(weight->second);
      if ((step.op->buffers >> i & 1) != 0) buffers.insert(weight->second);
    }
    for (const std::string& name : node.outputs) step.outputs.push_back(name.empty() ? -1 : define(name));
    if (step.op->is_form && !step.inputs.empty() && !step.outputs.empty())
      if (const auto weight = weights.find(step.inputs[0]); weight != weights.end())
        weights.emplace(step.outputs[0], weight->second);
    step.node = std::move(node);
    net->steps.push_back(std::move(step));
  }
  for (const OnnxValue& value : model.outputs) {
    const auto found = numbers.find(value.name);
    if (found == numbers.end()) invalid("nothing makes the output " + quoted(value.name));
    net->results.push_back(found->second);
  }
  std::ranges::set_difference(parameters, buffers, std::back_inserter(net->parameters));
  net->buffers.assign(buffers.begin(), buffers.end());
  for (size_t i = 0; i < model.initializers.size(); ++i)
    net->is_constant.push_back(!parameters.contains(i) && !buffers.contains(i));

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
  for (const auto& [name, tensor] : net->weights) net->own_weights.push_back(tensor);
  return net;
}

}  // namespace cnnx::onnx
