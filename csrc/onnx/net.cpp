#include "onnx/net.h"

#include <utility>

#include "cnnx/autograd.h"
#include "cnnx/error.h"
#include "cnnx/ops/view.h"
#include "cnnx/session.h"
#include "core/op.h"
#include "io/file.h"

namespace cnnx {
namespace {

constexpr size_t kMostPlans = 16;  // then all are made anew: inputs may be of ever new sizes

std::vector<Tensor> own_weights(const OnnxNet::State& net) {
  std::vector<Tensor> weights;
  weights.reserve(net.weights.size());
  for (const auto& [name, tensor] : net.weights) weights.push_back(tensor);
  return weights;
}

OnnxNet from_source(const onnx::Source& source, const std::string& folder) {
  return OnnxNet(onnx::build_net(onnx::parse_model(source, folder), source.name));
}

}  // namespace

OnnxNet load_onnx(const std::string& path) {
  const InputFile file(path);
  std::string bytes(static_cast<size_t>(file.size()), '\0');
  file.read(0, bytes.data(), bytes.size());
  const size_t slash = path.rfind('/');
  return from_source({path, bytes}, slash == std::string::npos ? "." : path.substr(0, slash + 1));
}

OnnxNet parse_onnx(const void* data, size_t size, const std::string& file) {
  return from_source({file, {static_cast<const char*>(data), size}}, "");
}

const std::vector<OnnxValue>& OnnxNet::inputs() const { return state_->inputs; }
const std::vector<OnnxValue>& OnnxNet::outputs() const { return state_->outputs; }
const std::vector<std::pair<std::string, Tensor>>& OnnxNet::weights() const { return state_->weights; }
const std::vector<size_t>& OnnxNet::parameters() const { return state_->parameters; }
const std::vector<size_t>& OnnxNet::buffers() const { return state_->buffers; }

std::vector<Tensor> OnnxNet::run(const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights, bool training) const {
  onnx::check_inputs(*state_, inputs);
  if (weights.size() != state_->weights.size())
    throw ValueError(message("onnx: the net has ", state_->weights.size(), " weights, got ", weights.size()));
  return onnx::evaluate(*state_, {.inputs = inputs, .weights = weights, .training = training});
}

std::vector<Tensor> OnnxNet::operator()(const std::vector<Tensor>& inputs) const {
  onnx::check_inputs(*state_, inputs);
  const std::vector<Tensor> weights = own_weights(*state_);
  const auto eager = [&] { return onnx::evaluate(*state_, {.inputs = inputs, .weights = weights}); };
  if (is_noting() || are_calls_watched() || needs_grad(inputs) || needs_grad(weights)) return eager();

  const NoGrad guard;
  const std::string key = signature(inputs);
  std::shared_ptr<Plan> plan;
  {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->plans.find(key);
    if (found != state_->plans.end()) {
      if (found->second.is_refused) return eager();
      plan = found->second.plan;
    }
  }
  if (plan != nullptr)
    if (auto results = plan->try_replay(inputs)) return *std::move(results);
  // A first pass finds the constants; the second is noted.
  State::Planned planned;
  planned.fixed.resize(static_cast<size_t>(state_->values));
  onnx::evaluate(*state_, {.inputs = inputs, .weights = weights, .found = &planned.fixed});
  planned.plan = std::make_shared<Plan>();
  planned.plan->begin(inputs);
  std::vector<Tensor> results;
  try {
    results = onnx::evaluate(*state_, {.inputs = inputs, .weights = weights, .known = &planned.fixed});
  } catch (...) {
    planned.plan->abandon();
    throw;
  }
  planned.is_refused = !planned.plan->end(results).empty();
  if (planned.is_refused) planned.plan = nullptr;
  for (Tensor& t : results) t = clone(t);  // their memory is the plan's
  const std::lock_guard lock(state_->mutex);
  if (state_->plans.size() >= kMostPlans) state_->plans.clear();
  state_->plans[key] = std::move(planned);
  return results;
}

Tensor OnnxNet::operator()(const Tensor& input) const {
  if (state_->inputs.size() != 1 || state_->outputs.size() != 1) {
    throw ValueError(message("onnx: the net has ", state_->inputs.size(), " inputs and ", state_->outputs.size(),
                             " outputs; call it with a list of tensors"));
  }
  return (*this)(std::vector<Tensor>{input})[0];
}

namespace {

std::vector<InputSpec> input_specs(const OnnxNet& net, const SessionOptions& options) {
  std::vector<InputSpec> specs;
  const std::vector<OnnxValue>& inputs = net.inputs();
  if (!options.shapes.empty() && options.shapes.size() != inputs.size())
    throw ValueError(message("Session: the net has ", inputs.size(), " inputs, got ", options.shapes.size(), " shapes"));
  if (options.batch < 1) throw ValueError(message("Session: a batch of ", options.batch));
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!options.shapes.empty()) {
      specs.push_back({options.shapes[i], inputs[i].dtype});
      continue;
    }
    Dims shape;
    if (!inputs[i].has_shape)
      throw ValueError(message("Session: the net does not say the shape of '", inputs[i].name, "'; give shapes"));
    for (size_t d = 0; d < inputs[i].shape.size(); ++d) {
      const int64_t extent = inputs[i].shape[d];
      if (extent < 0 && d > 0)
        throw ValueError(message("Session: extent ", d, " of '", inputs[i].name, "' is free; give shapes"));
      shape.push_back(extent < 0 ? options.batch : extent);
    }
    specs.push_back({shape, inputs[i].dtype});
  }
  return specs;
}

// The net with what comes from its weights alone computed at the first call.
TensorFunction with_fixed(const OnnxNet::State* net) {
  return [net, fixed = std::make_shared<std::vector<Tensor>>()](const std::vector<Tensor>& inputs) {
    const std::vector<Tensor> weights = own_weights(*net);
    if (fixed->empty()) {
      fixed->resize(static_cast<size_t>(net->values));
      return onnx::evaluate(*net, {.inputs = inputs, .weights = weights, .found = fixed.get(), .weights_too = true});
    }
    return onnx::evaluate(*net, {.inputs = inputs, .weights = weights, .known = fixed.get(), .weights_too = true});
  };
}

}  // namespace

Session::Session(const OnnxNet& net, const SessionOptions& options)
    : Session(with_fixed(net.state_.get()), input_specs(net, options), options) {}

}  // namespace cnnx
