// Nets from ONNX files.
//
//   cnnx::OnnxNet net = cnnx::load_onnx("net.onnx");
//   cnnx::Tensor scores = net(images);
//
// The reader is cnnx's own. It takes opsets 7 to 28 of the domain ai.onnx; an op that it lacks is named when the file is loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// An input or output of a net.
struct OnnxValue {
  std::string name;
  DType dtype = DType::float32;
  bool has_shape = false;
  std::vector<int64_t> shape;        // -1: any extent
  std::vector<std::string> extents;  // the names of those that are free; else empty
};

class OnnxNet {
 public:
  struct State;
  explicit OnnxNet(std::shared_ptr<const State> state);  // throws ValueError for null

  const std::vector<OnnxValue>& inputs() const;
  const std::vector<OnnxValue>& outputs() const;
  // The initializers by their names, in the file's order; a copy of the net shares them.
  const std::vector<std::pair<std::string, Tensor>>& weights() const;
  // Those that a fine-tuning would change, as places among the weights; and those of running statistics.
  const std::vector<size_t>& parameters() const;
  const std::vector<size_t>& buffers() const;

  // The outputs for these inputs, in the order of inputs() and outputs(). What has run with such shapes runs again as a plan,
  // unless gradients are recorded; calls on several threads at once take a plan each, with memory of its own, which is kept.
  // Throws ShapeError or TypeError for inputs that do not fit.
  std::vector<Tensor> operator()(const std::vector<Tensor>& inputs) const;
  // Of a net with one input and one output.
  Tensor operator()(const Tensor& input) const;

  // The same with other weights, of which those that are neither parameters nor buffers must be the net's. training: dropout
  // drops, batch normalisation uses the batch's statistics and moves the running ones; op by op.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights, bool training = false) const;

 private:
  friend class Session;
  std::vector<Tensor> planned(const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights) const;
  const std::shared_ptr<const State>& shared() const;  // throws if it was moved from
  const State& state() const { return *shared(); }
  std::shared_ptr<const State> state_;
};

// Throws IoError if the file cannot be read, ValueError with the byte offset if it is no ONNX model, NotImplementedError with all
// the ops, element types and attributes that cnnx lacks. External data is read from files beside it, and from nowhere else.
OnnxNet load_onnx(const std::string& path);
// The same from memory; `file` is the name used in errors. External data is refused; ValueError for null with a size.
OnnxNet parse_onnx(const void* data, size_t size, const std::string& file);

// The names of the ONNX ops that load_onnx takes.
std::vector<std::string> onnx_ops();

}  // namespace cnnx CNNX_API
