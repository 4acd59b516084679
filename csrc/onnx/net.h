// A net of ONNX ops: what OnnxNet holds.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cnnx/onnx.h"
#include "cnnx/plan.h"
#include "onnx/kept.h"
#include "onnx/ops.h"

namespace cnnx {

namespace onnx {
struct Known;
}

struct OnnxNet::State {
  struct Step {
    onnx::Node node;
    const onnx::Op* op;
    std::vector<int> inputs, outputs;  // values; -1: left out
    std::vector<int> ended;            // values that no later step reads
  };
  // Values are numbered: the inputs, the weights, then what steps compute.
  std::vector<OnnxValue> inputs, outputs;
  std::vector<std::pair<std::string, Tensor>> weights;
  std::vector<Tensor> own_weights;  // the same without their names
  std::vector<size_t> parameters, buffers;
  std::vector<bool> is_constant;  // weights that are neither
  std::vector<Step> steps;
  std::vector<int> results;  // values
  int values = 0;

  // Plans for inputs of one kind. Each has memory of its own, and one run at a time: calls on several threads take one each.
  struct Plans {
    std::mutex mutex;
    std::vector<std::unique_ptr<Plan>> idle;
    std::atomic<bool> is_refused{false};
  };
  mutable std::mutex mutex;  // of what follows
  mutable onnx::Kept<std::shared_ptr<Plans>> plans;
  // What passes found: for those that are noted within other plans, op by op.
  mutable onnx::Kept<std::shared_ptr<const onnx::Known>> constants;
};

namespace onnx {

// Throws what load_onnx throws, in messages that begin with `where`.
std::shared_ptr<const OnnxNet::State> build_net(Model model, const std::string& where);

// The most that what comes from constants alone may take, one value and all of them at a time, in bytes: a file must not take
// memory as it pleases.
inline constexpr size_t kMostConstantBytes = size_t{1} << 31;

// What a node makes that is known without running it.
Tensor constant_value(const Node& node);

// What a pass found that comes from shapes and constants alone, so that a later one for inputs of the same shapes need not
// compute it. Values by number, those that another step or a caller reads; by step whether it need not run, and the tables
// that it made if it must (NodeRun::once).
struct Known {
  struct Step {
    bool is_fixed = false;
    std::vector<Tensor> tables = {};
  };
  std::vector<Tensor> values;
  std::vector<Step> steps;
};

// One pass. weights_too: parameters and buffers are constants as well.
struct Pass {
  std::span<const Tensor> inputs, weights;
  bool training = false;
  const Known* known = nullptr;
  Known* found = nullptr;
  bool weights_too = false;
  // Where inputs lie on a device: what steps there took from the host, kept for the next pass.
  Moved* moved = nullptr;
};
std::vector<Tensor> evaluate(const OnnxNet::State& net, const Pass& pass);

// The net for a Session: batch normalisation behind convolutions is in their weights. known: what comes from constants
// and weights alone, those themselves among them; what is new is put behind them.
std::shared_ptr<const OnnxNet::State> fold_batch_norms(const OnnxNet::State& net, Known& known);

// Throws unless the tensors are what the net takes.
void check_inputs(const OnnxNet::State& net, std::span<const Tensor> inputs);

}  // namespace onnx
}  // namespace cnnx
