// How ONNX's ops are computed: by the library's own. Each ops_*.cpp lists those of one subject in a table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "onnx/model.h"

namespace cnnx::onnx {

// A node at work.
class NodeRun {
 public:
  NodeRun(const Node& node, int64_t opset, bool training, std::span<const Tensor> inputs, std::span<Tensor> outputs)
      : node(node), opset(opset), training(training), inputs_(inputs), outputs_(outputs) {}

  const Node& node;
  const int64_t opset;
  const bool training;

  // Input i; undefined where it is left out.
  size_t input_count() const { return inputs_.size(); }
  const Tensor& optional(size_t i) const;
  // The same, where there must be one.
  const Tensor& in(size_t i) const;
  bool has(size_t i) const { return optional(i).defined(); }
  // The numbers of an integer input (reads them: the net then depends on values, unless these are constants).
  std::vector<int64_t> integers(size_t i) const;
  double number(size_t i) const;  // of an input with one element

  // Attributes; the last argument is the default.
  const Attribute* attribute(std::string_view name) const;
  int64_t integer(std::string_view name, int64_t otherwise) const;
  double real(std::string_view name, double otherwise) const;
  std::string string(std::string_view name, const std::string& otherwise) const;
  std::optional<std::vector<int64_t>> integers(std::string_view name) const;
  std::optional<std::vector<double>> reals(std::string_view name) const;
  // The same that must be there.
  int64_t integer(std::string_view name) const;

  size_t output_count() const { return outputs_.size(); }
  bool wants(size_t i) const { return i < node.outputs.size() && !node.outputs[i].empty(); }
  void out(Tensor value) { out(0, std::move(value)); }
  void out(size_t i, Tensor value);

  // Errors that begin with the node's name.
  [[noreturn]] void fail(const std::string& what) const;         // ValueError
  [[noreturn]] void unsupported(const std::string& what) const;  // NotImplementedError

 private:
  std::span<const Tensor> inputs_;
  std::span<Tensor> outputs_;
};

struct Op {
  const char* name;
  // The opsets of ai.onnx that it is for, the last one included; 0: all that are.
  int64_t since, until;
  void (*run)(NodeRun& run);
  const char* attributes = "";  // the names of those that it knows, with spaces between; another one is an error
  // Whether its results come from the shape of its inputs alone, so that they are constants where shapes are.
  bool of_shapes = false;
  // Inputs that a fine-tuning changes, where they are weights: a bit for each. buffers: running statistics.
  uint32_t parameters = 0, buffers = 0;
};
inline constexpr int64_t kOldestOpset = 7, kNewestOpset = 25;

std::span<const Op> nn_ops();
std::span<const Op> math_ops();
std::span<const Op> shape_ops();
// The op of a node, for the model's opset; null if there is none.
const Op* find_op(const std::string& name, const std::string& domain, int64_t opset);

// A dimension as ONNX counts them, negative ones from the end.
int64_t normalized(const NodeRun& run, int64_t axis, int64_t ndim);

}  // namespace cnnx::onnx
