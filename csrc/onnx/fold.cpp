// Batch normalisation behind a convolution is a scale and a shift of each channel: it becomes part of the weights.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "onnx/net.h"

namespace cnnx::onnx {
namespace {

using Step = OnnxNet::State::Step;

// Who computes a value and how often it is read.
struct Uses {
  explicit Uses(const OnnxNet::State& net) : maker(static_cast<size_t>(net.values)), count(maker.size()) {
    for (const Step& step : net.steps) {
      for (int value : step.outputs)
        if (value >= 0) maker[static_cast<size_t>(value)] = &step;
      for (int value : step.inputs)
        if (value >= 0) ++count[static_cast<size_t>(value)];
    }
    for (int value : net.results) ++count[static_cast<size_t>(value)];
  }
  std::vector<const Step*> maker;
  std::vector<int> count;
};

const Attribute* attribute(const Step& step, std::string_view name) {
  for (const Attribute& a : step.node.attributes)
    if (a.name == name) return &a;
  return nullptr;
}

bool is_plain(const Step& norm) {
  const Attribute *training = attribute(norm, "training_mode"), *spatial = attribute(norm, "spatial");
  if ((training != nullptr && training->integer != 0) || (spatial != nullptr && spatial->integer != 1)) return false;
  for (size_t i = 1; i < norm.outputs.size(); ++i)
    if (norm.outputs[i] >= 0) return false;
  return norm.inputs.size() == 5 && norm.outputs.size() >= 1 && norm.outputs[0] >= 0;
}

// The values of a float32 vector of `size` elements, if it is one that is known.
const float* floats(const std::vector<Tensor>& known, int value, int64_t size) {
  if (value < 0) return nullptr;
  const Tensor& t = known[static_cast<size_t>(value)];
  if (!t.defined() || t.dtype() != DType::float32 || t.ndim() != 1 || t.numel() != size || !t.is_contiguous()) return nullptr;
  return t.data<float>();
}

// The weight and bias with the normalisation in them, or nothing where something of it is not known beforehand.
std::vector<Tensor> folded(const Step& conv, const Step& norm, const std::vector<Tensor>& known) {
  if (conv.inputs.size() < 2 || conv.inputs[1] < 0) return {};
  const Tensor& weight = known[static_cast<size_t>(conv.inputs[1])];
  if (!weight.defined() || weight.dtype() != DType::float32 || weight.ndim() < 3 || !weight.is_contiguous() ||
      weight.numel() == 0)
    return {};
  const int64_t channels = weight.size(0), taps = weight.numel() / channels;
  const bool has_bias = conv.inputs.size() > 2 && conv.inputs[2] >= 0;
  const float* bias = has_bias ? floats(known, conv.inputs[2], channels) : nullptr;
  const float* numbers[4];  // scale, shift, mean, variance
  for (size_t i = 0; i < 4; ++i)
    if ((numbers[i] = floats(known, norm.inputs[i + 1], channels)) == nullptr) return {};
  if (has_bias && bias == nullptr) return {};
  const Attribute* epsilon = attribute(norm, "epsilon");
  if (epsilon != nullptr && epsilon->kind != Attribute::Kind::real) return {};  // it is refused where it runs
  const Tensor new_weight = Tensor::empty(weight.shape()), new_bias = Tensor::empty({channels});
  for (int64_t c = 0; c < channels; ++c) {
    const double factor = numbers[0][c] / std::sqrt(numbers[3][c] + (epsilon != nullptr ? epsilon->real : 1e-5));
    const float* from = weight.data<float>() + c * taps;
    float* to = new_weight.data<float>() + c * taps;
    for (int64_t i = 0; i < taps; ++i) to[i] = static_cast<float>(factor * from[i]);
    const double shift = bias != nullptr ? bias[c] : 0.0;
    new_bias.data<float>()[c] = static_cast<float>(numbers[1][c] + factor * (shift - numbers[2][c]));
  }
  return {new_weight, new_bias};
}

}  // namespace

std::shared_ptr<const OnnxNet::State> fold_batch_norms(const OnnxNet::State& net, Known& known) {
  static constexpr Op kKnown{.name = "known", .run = nullptr};  // its results are: it never runs
  const Uses uses(net);
  auto result = std::make_shared<OnnxNet::State>();
  result->inputs = net.inputs;
  result->outputs = net.outputs;
  result->weights = net.weights;
  result->own_weights = net.own_weights;
  result->is_constant = net.is_constant;
  result->results = net.results;
  result->values = net.values;
  std::vector<Step> steps;
  std::vector<Known::Step> known_steps;
  std::vector<size_t> place(net.steps.size());
  for (size_t at = 0; at < net.steps.size(); ++at) {
    const Step& step = net.steps[at];
    place[at] = steps.size();
    const int input = step.inputs.empty() ? -1 : step.inputs[0];
    const Step* conv = input >= 0 ? uses.maker[static_cast<size_t>(input)] : nullptr;
    const bool may = step.node.op == "BatchNormalization" && step.node.domain.empty() && is_plain(step) && conv != nullptr &&
                     conv->node.op == "Conv" && conv->node.domain.empty() && uses.count[static_cast<size_t>(input)] == 1;
    const std::vector<Tensor> numbers = may ? folded(*conv, step, known.values) : std::vector<Tensor>();
    if (numbers.empty()) {
      steps.push_back(step);
      known_steps.push_back(known.steps[at]);
      continue;
    }
    Step& wide = steps[place[static_cast<size_t>(conv - net.steps.data())]];
    wide.inputs = {conv->inputs[0], result->values, result->values + 1};
    // The normalisation's result, at the convolution's place: nobody reads it in between.
    wide.outputs[0] = step.outputs[0];
    // What is given comes before all else.
    result->steps.push_back(
        {.node = {}, .op = &kKnown, .inputs = {}, .outputs = {result->values, result->values + 1}, .ended = {}});
    for (const Tensor& t : numbers) known.values.push_back(t);
    result->values += 2;
  }
  known.steps.assign(result->steps.size(), {.is_fixed = true});
  std::ranges::move(steps, std::back_inserter(result->steps));
  std::ranges::move(known_steps, std::back_inserter(known.steps));
  return result;
}

}  // namespace cnnx::onnx
