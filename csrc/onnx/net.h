// A net of ONNX ops: what OnnxNet holds.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "cnnx/onnx.h"
#include "cnnx/plan.h"
#include "onnx/ops.h"

namespace cnnx {

struct OnnxNet::State {
  struct Step {
    onnx::Node node;
    const onnx::Op* op;
    std::vector<int> inputs, outputs;  // values; -1: left out
    std::vector<int> ended;            // values that no later step reads
  };
  // Values are numbered: the inputs, the weights, then what steps compute.
  int64_t opset = 0;
  std::vector<OnnxValue> inputs, outputs;
  std::vector<std::pair<std::string, Tensor>> weights;
  std::vector<size_t> parameters, buffers;
  std::vector<Step> steps;
  std::vector<int> results;  // values
  int values = 0;

  // Plans of operator(), by the signature of their inputs.
  struct Planned {
    std::vector<Tensor> fixed;
    std::shared_ptr<Plan> plan;
    bool is_refused = false;
  };
  mutable std::mutex mutex;
  mutable std::unordered_map<std::string, Planned> plans;
};

namespace onnx {

// Throws what load_onnx throws.
std::shared_ptr<const OnnxNet::State> build_net(Model model, const std::string& file);

// One pass. known: values that need not be computed again, by number. found: where those go that come from shapes and constants
// alone and, if `weights_too`, from weights.
struct Pass {
  std::span<const Tensor> inputs, weights;
  bool training = false;
  const std::vector<Tensor>* known = nullptr;
  std::vector<Tensor>* found = nullptr;
  bool weights_too = false;
};
std::vector<Tensor> evaluate(const OnnxNet::State& net, const Pass& pass);

// Throws unless the tensors are what the net takes.
void check_inputs(const OnnxNet::State& net, std::span<const Tensor> inputs);

}  // namespace onnx
}  // namespace cnnx
