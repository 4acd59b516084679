// Functions of a model's own: their nodes take the place of the nodes that call them.
#include <algorithm>
#include <map>
#include <tuple>

#include "cnnx/error.h"
#include "onnx/model.h"

namespace cnnx::onnx {
namespace {

constexpr int kMostDepth = 64;
constexpr size_t kMostNodes = size_t{1} << 18;

class Inliner {
 public:
  Inliner(const std::vector<Function>& functions, const std::string& file) : file_(file) {
    for (const Function& f : functions) by_name_.emplace(std::tuple(f.domain, f.name, f.overload), &f);
  }

  void add(Node node, int depth) {
    const auto found = by_name_.find(std::tuple(node.domain, node.op, node.overload));
    if (found == by_name_.end()) {
      if (nodes.size() >= kMostNodes) invalid(message("its functions make more than ", kMostNodes, " nodes"));
      nodes.push_back(std::move(node));
      return;
    }
    if (depth == kMostDepth) invalid("its functions call each other without end");
    expand(*found->second, node, depth);
  }

  std::vector<Node> nodes;

 private:
  [[noreturn]] void invalid(const std::string& what) const { throw ValueError(message("load_onnx: ", file_, ": ", what)); }

  void expand(const Function& f, const Node& call, int depth) {
    if (call.inputs.size() > f.inputs.size() || call.outputs.size() > f.outputs.size())
      invalid(message(call.str(), " has more inputs or outputs than its function"));
    const std::string prefix = message("function ", ++copies_, "/");
    std::map<std::string, std::string> names;
    for (size_t i = 0; i < f.inputs.size(); ++i) names[f.inputs[i]] = i < call.inputs.size() ? call.inputs[i] : "";
    for (size_t i = 0; i < call.outputs.size(); ++i) {
      if (call.outputs[i].empty()) continue;
      const auto input = names.find(f.outputs[i]);
      if (input == names.end()) names[f.outputs[i]] = call.outputs[i];
      else
        nodes.push_back({.op = "Identity",
                         .domain = "",
                         .name = prefix,
                         .overload = "",
                         .inputs = {input->second},
                         .outputs = {call.outputs[i]},
                         .attributes = {},
                         .opset = call.opset});
    }
    const auto renamed = [&](std::string& name) {
      if (name.empty()) return;
      const auto found = names.find(name);
      name = found != names.end() ? found->second : prefix + name;
    };
    for (Node node : f.nodes) {
      std::ranges::for_each(node.inputs, renamed);
      std::ranges::for_each(node.outputs, renamed);
      node.name = prefix + node.name;
      std::erase_if(node.attributes, [&](Attribute& a) { return !a.refers_to.empty() && !resolved(a, f, call); });
      add(std::move(node), depth + 1);
    }
  }

  // An attribute that is one of the call's, or has a default; else the node goes without it.
  static bool resolved(Attribute& a, const Function& f, const Node& call) {
    for (const std::vector<Attribute>* given : {&call.attributes, &f.defaults}) {
      const auto found = std::ranges::find(*given, a.refers_to, &Attribute::name);
      if (found == given->end()) continue;
      std::string name = std::move(a.name);
      a = *found;
      a.name = std::move(name);
      return true;
    }
    return false;
  }

  std::map<std::tuple<std::string, std::string, std::string>, const Function*> by_name_;
  const std::string& file_;
  int64_t copies_ = 0;
};

}  // namespace

void inline_functions(Model& model, const std::string& file) {
  if (model.functions.empty()) return;
  Inliner inliner(model.functions, file);
  for (Node& node : model.nodes) inliner.add(std::move(node), 0);
  model.nodes = std::move(inliner.nodes);
  model.functions.clear();
}

}  // namespace cnnx::onnx
