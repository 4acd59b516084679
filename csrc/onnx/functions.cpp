// Functions of a model's own: their nodes take the place of the nodes that call them.
#include <map>
#include <string_view>
#include <tuple>

#include "cnnx/error.h"
#include "onnx/model.h"

namespace cnnx::onnx {
namespace {

constexpr int kMostDepth = 64;
constexpr size_t kMostNodes = size_t{1} << 18, kMostBytes = size_t{1} << 28;
constexpr int64_t kMostCopies = int64_t{1} << 16;

// Roughly, of what a copy of a node takes.
size_t bytes_of(const Node& node) {
  size_t bytes = sizeof(Node) + node.name.size();
  for (const std::vector<std::string>* names : {&node.inputs, &node.outputs})
    for (const std::string& name : *names) bytes += sizeof(name) + name.size();
  for (const Attribute& a : node.attributes) {
    bytes += sizeof(a) + a.name.size() + a.string.size() + 8 * (a.reals.size() + a.integers.size());
    for (const std::string& text : a.strings) bytes += sizeof(text) + text.size();
  }
  return bytes;
}

class Inliner {
 public:
  Inliner(const std::vector<Function>& functions, const std::string& where) : where_(where) {
    for (const Function& f : functions) by_name_.try_emplace(std::tuple(f.domain, f.name, f.overload), f);
  }

  void add(Node node, int depth) {
    const auto found = by_name_.find(std::tuple(node.domain, node.op, node.overload));
    if (found == by_name_.end()) {
      if (nodes.size() >= kMostNodes) invalid(message("its functions make more than ", kMostNodes, " nodes"));
      nodes.push_back(std::move(node));
      return;
    }
    if (depth == kMostDepth) invalid("its functions call each other without end");
    expand(found->second, node, depth);
  }

  std::vector<Node> nodes;

 private:
  using Attributes = std::map<std::string_view, const Attribute*>;
  static Attributes named(const std::vector<Attribute>& attributes) {
    Attributes found;
    for (const Attribute& a : attributes) found.emplace(a.name, &a);
    return found;
  }

  // A function with its names in order: a call takes time for what it gives, not for all that it could.
  struct Known {
    explicit Known(const Function& f) : function(&f), defaults(named(f.defaults)) {
      for (size_t i = 0; i < f.inputs.size(); ++i) inputs[f.inputs[i]] = i;
      for (size_t i = 0; i < f.outputs.size(); ++i) outputs.emplace(f.outputs[i], i);
    }
    const Function* function;
    std::map<std::string_view, size_t> inputs, outputs;
    Attributes defaults;
  };

  [[noreturn]] void invalid(const std::string& what) const { throw ValueError(message(where_, ": ", what)); }

  void expand(const Known& known, const Node& call, int depth) {
    const Function& f = *known.function;
    if (call.inputs.size() > f.inputs.size() || call.outputs.size() > f.outputs.size())
      invalid(message(call.str(), " has more inputs or outputs than its function"));
    if (++copies_ > kMostCopies) invalid(message("its functions are called more than ", kMostCopies, " times"));
    const std::string prefix = message("function ", copies_, "/");
    const auto renamed = [&](const std::string& name) {
      if (name.empty()) return name;
      if (const auto input = known.inputs.find(name); input != known.inputs.end())
        return input->second < call.inputs.size() ? call.inputs[input->second] : std::string();
      const auto output = known.outputs.find(name);
      const bool is_given =
          output != known.outputs.end() && output->second < call.outputs.size() && !call.outputs[output->second].empty();
      return is_given ? call.outputs[output->second] : prefix + name;
    };
    for (size_t i = 0; i < call.outputs.size(); ++i) {
      if (call.outputs[i].empty() || !known.inputs.contains(f.outputs[i])) continue;
      nodes.push_back({.op = "Identity",
                       .domain = "",
                       .name = prefix,
                       .overload = "",
                       .inputs = {renamed(f.outputs[i])},
                       .outputs = {call.outputs[i]},
                       .attributes = {},
                       .opset = call.opset});
    }
    const Attributes given = named(call.attributes);
    for (const Node& original : f.nodes) {
      Node node = original;
      for (std::vector<std::string>* names : {&node.inputs, &node.outputs})
        for (std::string& name : *names) name = renamed(name);
      node.name = prefix + node.name;
      std::erase_if(node.attributes, [&](Attribute& a) { return !a.refers_to.empty() && !resolved(a, given, known.defaults); });
      bytes_ += bytes_of(node);
      if (bytes_ > kMostBytes) invalid(message("its functions take more than ", kMostBytes >> 20, " MiB"));
      add(std::move(node), depth + 1);
    }
  }

  // An attribute that is one of the call's, or has a default; else the node goes without it.
  static bool resolved(Attribute& a, const Attributes& given, const Attributes& defaults) {
    for (const Attributes* attributes : {&given, &defaults}) {
      const auto found = attributes->find(a.refers_to);
      if (found == attributes->end()) continue;
      std::string name = std::move(a.name);
      a = *found->second;
      a.name = std::move(name);
      return true;
    }
    return false;
  }

  std::map<std::tuple<std::string, std::string, std::string>, Known> by_name_;
  const std::string& where_;
  int64_t copies_ = 0;
  size_t bytes_ = 0;
};

}  // namespace

void inline_functions(Model& model, const std::string& where) {
  if (model.functions.empty()) return;
  Inliner inliner(model.functions, where);
  for (Node& node : model.nodes) inliner.add(std::move(node), 0);
  model.nodes = std::move(inliner.nodes);
  model.functions.clear();
}

}  // namespace cnnx::onnx
