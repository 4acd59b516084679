// An ONNX model as it stands in the file: https://onnx.ai/onnx/repo-docs/IR.html
#pragma once

#include <cstdint>
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
  std::string op, domain, name;
  std::vector<std::string> inputs, outputs;  // an empty name: left out
  std::vector<Attribute> attributes;
  std::string str() const;  // "Conv 'conv1'", or by its output
};

struct Model {
  int64_t opset = 0;  // of ai.onnx
  std::string producer;
  std::vector<std::pair<std::string, int64_t>> other_opsets;
  std::vector<Node> nodes;
  std::vector<std::pair<std::string, Tensor>> initializers;
  std::vector<OnnxValue> inputs, outputs;  // inputs without the initializers among them
};

// `folder`: where external data lies; empty: there may be none. Throws ValueError for what is no model, NotImplementedError for
// what it holds that cnnx has not (dtypes, sparse tensors), IoError for external data that cannot be read.
Model parse_model(const Source& source, const std::string& folder);

// A TensorProto.
Tensor parse_tensor(std::string_view bytes, const Source& source, const std::string& folder, std::string* name = nullptr);

// ONNX's number of an element type as a dtype; throws NotImplementedError naming it.
DType parse_dtype(int64_t type, const std::string& what);

}  // namespace cnnx::onnx
