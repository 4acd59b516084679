// An ONNX model as it stands in the file: https://onnx.ai/onnx/repo-docs/IR.html
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cnnx/onnx.h"
#include "cnnx/tensor.h"
#include "onnx/wire.h"

namespace cnnx::onnx {

struct Attribute {
  enum class Kind { real = 1, integer = 2, string = 3, tensor = 4, graph = 5, reals = 6, integers = 7, strings = 8, other = 0 };
  std::string name;
  std::string refers_to;  // within a function: the attribute of the call whose value it has
  Kind kind = Kind::other;
  double real = 0;
  int64_t integer = 0;
  std::string string;
  Tensor tensor;
  std::vector<double> reals;
  std::vector<int64_t> integers;
  std::vector<std::string> strings;
};

struct Node {
  std::string op, domain, name, overload;
  std::vector<std::string> inputs, outputs;  // an empty name: left out
  std::vector<Attribute> attributes;
  int64_t opset = 0;        // of ai.onnx, by which it is read
  std::string str() const;  // "Conv 'conv1'", or by its output
};

struct Function {
  std::string domain, name, overload;
  std::vector<std::string> inputs, outputs;
  std::vector<Attribute> defaults;
  std::vector<Node> nodes;
};

// What a model holds that cnnx has not, besides operators: named all at once.
struct Missing {
  std::set<std::string> dtypes = {}, kinds = {};  // "int8"; "sequences"
  bool has(int64_t type);                         // whether cnnx has this element type, by ONNX's number; else notes it
};

struct Model {
  int64_t opset = 0;  // of ai.onnx
  Missing missing;
  std::vector<Node> nodes;
  std::vector<Function> functions;
  std::vector<std::pair<std::string, Tensor>> initializers;
  std::vector<OnnxValue> inputs, outputs;  // inputs without the initializers among them
};

// Where external data lies, and what was read of it: a small model must not have a large file read for each of its tensors.
struct Folder {
  std::string path;  // empty: there may be none
  std::set<std::string> files = {};
  uint64_t there = 0, taken = 0;  // bytes
  Missing missing = {};
};

// Throws ValueError for what is no model, IoError for external data that cannot be read. What is missing stands in the model,
// with something in its place.
Model parse_model(const Source& source, Folder& folder);

// Puts the nodes of functions in the place of those that call them. Throws ValueError for functions that call each other in a
// circle, or that make nodes without measure.
void inline_functions(Model& model, const std::string& where);

// A TensorProto.
Tensor parse_tensor(std::string_view bytes, const Source& source, Folder& folder, std::string* name = nullptr);

// ONNX's number of an element type as a dtype, if cnnx has it; its name.
std::optional<DType> dtype_of(int64_t type);
std::string dtype_name(int64_t type);

}  // namespace cnnx::onnx
