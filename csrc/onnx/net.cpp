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

// What comes from constants and shapes is the same for all inputs of a signature.
std::string constants_key(const OnnxNet::State& net, const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights,
                          bool training) {
  std::vector<Tensor> constants;
  for (size_t i = 0; i < weights.size(); ++i)
    if (net.is_constant[i]) constants.push_back(weights[i]);
  return signature(inputs) + places(constants) + (training ? "training" : "");
}

std::shared_ptr<const onnx::Known> known_constants(const OnnxNet::State& net, const std::string& key) {
  const std::lock_guard lock(net.mutex);
  const auto found = net.constants.find(key);
  return found != net.constants.end() ? found->second : nullptr;
}

// A pass that finds them.
std::shared_ptr<const onnx::Known> find_constants(const OnnxNet::State& net, const std::string& key, onnx::Pass pass,
                                                  std::vector<Tensor>& results) {
  const auto found = std::make_shared<onnx::Known>();
  pass.found = found.get();
  results = onnx::evaluate(net, pass);
  const std::lock_guard lock(net.mutex);
  if (net.constants.size() >= kMostPlans) net.constants.clear();
  net.constants[key] = found;
  return found;
}

// Op by op. What is known beforehand is not computed again, so that a plan that is being noted does not see it.
std::vector<Tensor> op_by_op(const OnnxNet::State& net, const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights,
                             bool training) {
  onnx::Pass pass{.inputs = inputs, .weights = weights, .training = training};
  bool is_plain = are_calls_watched() || is_autocast_enabled();
  for (size_t i = 0; !is_plain && i < weights.size(); ++i) is_plain = net.is_constant[i] && needs_grad({weights[i]});
  if (is_plain) return onnx::evaluate(net, pass);
  const std::string key = constants_key(net, inputs, weights, training);
  const std::shared_ptr<const onnx::Known> known = known_constants(net, key);
  pass.known = known.get();
  if (known != nullptr || is_noting()) return onnx::evaluate(net, pass);
  std::vector<Tensor> results;
  find_constants(net, key, pass, results);
  return results;
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
  if (data == nullptr && size > 0) throw ValueError(message("load_onnx: ", file, ": ", size, " bytes at a null pointer"));
  return from_source({"load_onnx: " + file, {static_cast<const char*>(data), size}}, {});
}

OnnxNet::OnnxNet(std::shared_ptr<const State> state) : state_(std::move(state)) {
  if (state_ == nullptr) throw ValueError("onnx: a net of nothing");
}

const std::shared_ptr<const OnnxNet::State>& OnnxNet::shared() const {
  if (state_ == nullptr) throw Error("onnx: the net was moved to another one");
  return state_;
}

const std::vector<OnnxValue>& OnnxNet::inputs() const { return state().inputs; }
const std::vector<OnnxValue>& OnnxNet::outputs() const { return state().outputs; }
const std::vector<std::pair<std::string, Tensor>>& OnnxNet::weights() const { return state().weights; }
const std::vector<size_t>& OnnxNet::parameters() const { return state().parameters; }
const std::vector<size_t>& OnnxNet::buffers() const { return state().buffers; }

std::vector<Tensor> OnnxNet::run(const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights, bool training) const {
  onnx::check_inputs(state(), inputs);
  if (weights.size() != state().weights.size())
    throw ValueError(message("onnx: the net has ", state().weights.size(), " weights, got ", weights.size()));
  if (training) return op_by_op(state(), inputs, weights, true);
  return planned(inputs, weights);
}

std::vector<Tensor> OnnxNet::operator()(const std::vector<Tensor>& inputs) const {
  onnx::check_inputs(state(), inputs);
  return planned(inputs, own_weights(state()));
}

std::vector<Tensor> OnnxNet::planned(const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights) const {
  const auto eager = [&] { return op_by_op(state(), inputs, weights, false); };
  if (is_noting() || are_calls_watched() || is_autocast_enabled() || needs_grad(inputs) || needs_grad(weights)) return eager();

  const NoGrad guard;
  const std::string key = signature(inputs) + places(weights);
  State::Planned known;
  {
    const std::lock_guard lock(state().mutex);
    const auto found = state().plans.find(key);
    if (found != state().plans.end()) known = found->second;
  }
  if (known.is_refused) return eager();  // which takes the mutex itself
  if (known.plan != nullptr)
    if (auto results = known.plan->try_replay(inputs)) return *std::move(results);
  // A first pass finds the constants; the second is noted.
  State::Planned planned;
  const std::string of_constants = constants_key(state(), inputs, weights, false);
  std::shared_ptr<const onnx::Known> constants = known_constants(state(), of_constants);
  std::vector<Tensor> results;
  if (constants == nullptr) constants = find_constants(state(), of_constants, {.inputs = inputs, .weights = weights}, results);
  planned.plan = std::make_shared<Plan>();
  planned.plan->begin(inputs);
  try {
    results = onnx::evaluate(state(), {.inputs = inputs, .weights = weights, .known = constants.get()});
  } catch (...) {
    planned.plan->abandon();
    throw;
  }
  planned.is_refused = !planned.plan->end(results).empty() || planned.plan->is_on_device();
  if (planned.is_refused) planned.plan = nullptr;
  for (Tensor& t : results) t = clone(t);  // their memory is the plan's
  const std::lock_guard lock(state().mutex);
  if (state().plans.size() >= kMostPlans) state().plans.clear();
  state().plans[key] = std::move(planned);
  return results;
}

Tensor OnnxNet::operator()(const Tensor& input) const {
  if (state().inputs.size() != 1 || state().outputs.size() != 1) {
    throw ValueError(message("onnx: the net has ", state().inputs.size(), " inputs and ", state().outputs.size(),
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
    : Session([fixed = std::make_shared<Fixed>(net.shared(), options)](
                  const std::vector<Tensor>& inputs) { return (*fixed)(inputs); },
              input_specs(net, options), {.threads = options.threads, .device = options.device}) {}

}  // namespace cnnx
