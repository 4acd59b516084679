#include "onnx/net.h"

#include <algorithm>
#include <utility>

#include "cnnx/autocast.h"
#include "cnnx/autograd.h"
#include "cnnx/error.h"
#include "cnnx/ops/view.h"
#include "cnnx/session.h"
#include "core/op.h"
#include "io/file.h"

namespace cnnx {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 31;
constexpr size_t kMostPlans = 16;  // then all are made anew: inputs may be of ever new sizes

std::vector<Tensor> own_weights(const OnnxNet::State& net) {
  std::vector<Tensor> weights;
  weights.reserve(net.weights.size());
  for (const auto& [name, tensor] : net.weights) weights.push_back(tensor);
  return weights;
}

// Which tensors they are: a plan runs with those that it was noted with.
std::string places(const std::vector<Tensor>& weights) {
  std::string bytes;
  bytes.reserve(weights.size() * 3 * sizeof(uint64_t));
  for (const Tensor& t : weights)
    for (const uint64_t number :
         {reinterpret_cast<uint64_t>(t.impl().get()), t->storage->number(), static_cast<uint64_t>(t->offset)})
      bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
  return bytes;
}

OnnxNet from_source(const onnx::Source& source, onnx::Folder folder) {
  return OnnxNet(onnx::build_net(onnx::parse_model(source, folder), source.name));
}

}  // namespace

OnnxNet load_onnx(const std::string& path) try {
  const InputFile file(path);
  if (file.size() > kMostBytes) throw ValueError(message("load_onnx: ", path, ": larger than the 2 GiB that protobuf allows"));
  std::string bytes(static_cast<size_t>(file.size()), '\0');
  file.read(0, bytes.data(), bytes.size());
  const size_t slash = path.rfind('/');
  return from_source({"load_onnx: " + path, bytes}, {.path = slash == std::string::npos ? "." : path.substr(0, slash + 1)});
} catch (const IoError& error) {  // of a file, which does not know who reads it
  const std::string what = error.what();
  throw IoError(what.starts_with("load_onnx: ") ? what : "load_onnx: " + what, error.code);
}

OnnxNet parse_onnx(const void* data, size_t size, const std::string& file) {
  return from_source({"load_onnx: " + file, {static_cast<const char*>(data), size}}, {});
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
  if (training) return onnx::evaluate(*state_, {.inputs = inputs, .weights = weights, .training = true});
  return planned(inputs, weights);
}

std::vector<Tensor> OnnxNet::operator()(const std::vector<Tensor>& inputs) const {
  onnx::check_inputs(*state_, inputs);
  return planned(inputs, own_weights(*state_));
}

std::vector<Tensor> OnnxNet::planned(const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights) const {
  const auto eager = [&] { return onnx::evaluate(*state_, {.inputs = inputs, .weights = weights}); };
  if (is_noting() || are_calls_watched() || is_autocast_enabled() || needs_grad(inputs) || needs_grad(weights)) return eager();

  const NoGrad guard;
  const std::string key = signature(inputs) + places(weights);
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
  onnx::Known constants;
  onnx::evaluate(*state_, {.inputs = inputs, .weights = weights, .found = &constants});
  planned.plan = std::make_shared<Plan>();
  planned.plan->begin(inputs);
  std::vector<Tensor> results;
  try {
    results = onnx::evaluate(*state_, {.inputs = inputs, .weights = weights, .known = &constants});
  } catch (...) {
    planned.plan->abandon();
    throw;
  }
  planned.is_refused = !planned.plan->end(results).empty() || planned.plan->is_on_device();
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
      throw ValueError(message("Session: the net does not say the shape of ", onnx::quoted(inputs[i].name), "; give shapes"));
    for (size_t d = 0; d < inputs[i].shape.size(); ++d) {
      const int64_t extent = inputs[i].shape[d];
      if (extent < 0 && d > 0)
        throw ValueError(message("Session: extent ", d, " of ", onnx::quoted(inputs[i].name), " is free; give shapes"));
      shape.push_back(extent < 0 ? options.batch : extent);
    }
    specs.push_back({shape, inputs[i].dtype});
  }
  return specs;
}

// The net with what comes from its weights alone computed at the first call.
class Fixed {
 public:
  Fixed(std::shared_ptr<const OnnxNet::State> net, const SessionOptions& options)
      : net_(std::move(net)),
        weights_(own_weights(*net_)),
        fold_(options.fold_batch_norm),
        on_device_(options.device.is_cuda()) {}

  std::vector<Tensor> operator()(const std::vector<Tensor>& inputs) {
    onnx::Moved* const moved = on_device_ ? &moved_ : nullptr;
    const auto pass = [&](const onnx::Known* known, onnx::Known* found) {
      return onnx::evaluate(
          *net_, {.inputs = inputs, .weights = weights_, .known = known, .found = found, .weights_too = true, .moved = moved});
    };
    if (!known_.values.empty()) return pass(&known_, nullptr);
    onnx::check_inputs(*net_, inputs);
    onnx::Known found;
    std::vector<Tensor> results = pass(nullptr, &found);
    known_ = std::move(found);
    if (!fold_) return results;
    std::ranges::copy(weights_, known_.values.begin() + static_cast<std::ptrdiff_t>(inputs.size()));
    net_ = onnx::fold_batch_norms(*net_, known_);
    return pass(&known_, nullptr);
  }

 private:
  std::shared_ptr<const OnnxNet::State> net_;
  std::vector<Tensor> weights_;
  onnx::Known known_;
  bool fold_, on_device_;
  onnx::Moved moved_;
};

}  // namespace

Session::Session(const OnnxNet& net, const SessionOptions& options)
    : Session(
          [fixed = std::make_shared<Fixed>(net.state_, options)](const std::vector<Tensor>& inputs) { return (*fixed)(inputs); },
          input_specs(net, options), {.threads = options.threads, .device = options.device}) {}

}  // namespace cnnx
