#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/norm.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/floats.h"
#include "core/node.h"

namespace cnnx {
namespace {

void check(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight, const Tensor& bias,
           bool training) {
  if (input.ndim() < 2) throw ShapeError(message("batch_norm: input must be (N, C, ...), got ", input.shape()));
  check_floating("batch_norm", input);
  const Dims channels{input.size(1)};
  check_parameter("batch_norm", "running_mean", running_mean, channels, input);
  check_parameter("batch_norm", "running_var", running_var, channels, input);
  check_parameter("batch_norm", "weight", weight, channels, input);
  check_parameter("batch_norm", "bias", bias, channels, input);
  if (!training && !(running_mean.defined() && running_var.defined()))
    throw Error("batch_norm: running_mean and running_var must be given when not training");
}

ChannelShape shape_of(const Tensor& input) {
  ChannelShape s{input.size(0), input.size(1), 1, 1};
  for (int i = 2; i < input.ndim(); ++i) s.spatial *= input.size(i);
  return s;
}

// A running statistic while a batch moves it: the tensor itself, or a contiguous copy that is written back.
class Kept {
 public:
  explicit Kept(const Tensor& kept) : kept_(kept) {
    if (!kept.defined()) return;
    if (kept->storage->read_only()) throw Error("batch_norm: the tensor shares memory that is read-only");
    moved_ = contiguous(kept);
  }
  const Tensor& tensor() const { return moved_; }
  void store() const {
    if (!moved_.defined()) return;
    if (moved_.is_same(kept_)) kept_.bump_version();
    else copy_into(kept_, moved_);
  }

 private:
  const Tensor& kept_;
  Tensor moved_;
};

// The attributes of a normalisation and of its gradients.
struct BatchNormCall {
  ChannelShape shape;  // lanes: 1, the call decides
  double eps, momentum;
  bool training, cumulative;
  bool wants[3];  // of the gradients of input, weight and bias
};
CNNX_FIELDS(BatchNormCall, shape, eps, momentum, training, cumulative, wants)

// Inputs: input, weight, bias, mean and variance (the running ones; a training batch moves them), the number of batches.
enum : size_t { kX, kWeight, kBias, kMean, kVariance, kBatches };
// Results beside the normalised input: mean and 1 / standard deviation, by channel.
enum : size_t { kY, kUsedMean, kInvStd };

bool lanes(const Call& call) { return lanes_for_images(call[0]); }

void infer(const Call& call, ResultSpecs& results) {
  const BatchNormCall& c = call.as<BatchNormCall>();
  const DType dtype = call[kX].dtype();
  results.push_back({call[kX].shape(), dtype, Place::call});
  results.push_back({{c.shape.channels}, dtype, Place::row_major, c.training, false});
  results.push_back({{c.shape.channels}, dtype, Place::row_major, true, false});
}

void run(const Run& r) {
  const BatchNormCall& c = r.as<BatchNormCall>();
  const ChannelShape s = shape_in_lanes<BatchNormCall>(r);
  on_floats(r, [&](const auto& f) {
    if (c.training)
      return f.kernels.batch_norm_train(
          r.queue, s, c.eps, f.in(kX), f.in(kWeight), f.in(kBias), f.out(kY), f.out(kUsedMean), f.out(kInvStd),
          {f.inout(kMean), f.inout(kVariance), r.inout<int64_t>(kBatches), c.momentum, c.cumulative});
    f.kernels.batch_norm_inv_std(r.queue, s.channels, c.eps, f.in(kVariance), f.out(kInvStd));
    f.kernels.batch_norm_apply(r.queue, s, f.in(kX), f.in(kMean), f.out(kInvStd), f.in(kWeight), f.in(kBias), f.out(kY));
  });
}

// Inputs: gradient of the result, input, mean, 1 / standard deviation, weight.
void infer_backward(const Call& call, ResultSpecs& results) {
  const BatchNormCall& c = call.as<BatchNormCall>();
  const DType dtype = call[0].dtype();
  results.push_back({call[1].shape(), dtype, Place::call, c.wants[0]});
  for (size_t i : {1, 2}) results.push_back({{c.shape.channels}, dtype, Place::row_major, c.wants[i]});
}

void run_backward(const Run& r) {
  on_floats(r, [&](const auto& f) {
    f.kernels.batch_norm_backward(r.queue, shape_in_lanes<BatchNormCall>(r), r.as<BatchNormCall>().training, f.in(0), f.in(1),
                                  f.in(2), f.in(3), f.in(4), f.out(0), f.out(1), f.out(2));
  });
}

// With the statistics of a batch as functions of the input.
void formula_of_backward(const Call& call, Results& results) {
  const BatchNormCall& c = call.as<BatchNormCall>();
  const Tensor &g = call[0], &x = call[1];
  Dims over{0}, channels = Dims::filled(x.ndim(), 1);
  channels[1] = c.shape.channels;
  for (int d = 2; d < x.ndim(); ++d) over.push_back(d);
  Tensor deviation, inv_std;
  if (c.training) {
    deviation = sub(x, mean(x, over, true));
    inv_std = rsqrt(add(mean(square(deviation), over, true), c.eps));
  } else {
    deviation = sub(x, reshape(call[2], channels));
    inv_std = reshape(call[3], channels);
  }
  const Tensor normal = mul(deviation, inv_std);
  Tensor grad_x;
  if (c.wants[0]) {
    grad_x = call[4].defined() ? mul(g, reshape(call[4], channels)) : g;
    if (c.training) grad_x = sub(sub(grad_x, mean(grad_x, over, true)), mul(normal, mean(mul(grad_x, normal), over, true)));
    grad_x = mul(grad_x, inv_std);
  }
  results.push_back(grad_x);
  results.push_back(c.wants[1] ? sum(mul(g, normal), over) : Tensor());
  results.push_back(c.wants[2] ? sum(g, over) : Tensor());
}

constexpr OpDef kBackward = op<BatchNormCall>("batch_norm_backward", infer_backward, run_backward)
                                .reads({Place::call, Place::call, Place::row_major})
                                .lanes_if(lanes)
                                .with_gradient(gradient_of<formula_of_backward>, saves_inputs);

uint64_t saves(const Call& call, uint64_t) {
  const bool training = call.as<BatchNormCall>().training;
  return input_bit(kX) | input_bit(kWeight) | result_bit(kInvStd) | (training ? result_bit(kUsedMean) : input_bit(kMean));
}

void gradient(const Backward& call, Grads& grads) {
  BatchNormCall c = call.as<BatchNormCall>();
  for (size_t i = 0; i < 3; ++i) c.wants[i] = call.needs(i);
  const Tensor mean = c.training ? call.result(kUsedMean) : call.input(kMean);
  Results results = emit(kBackward, c, {call.grad(), call.input(kX), mean, call.result(kInvStd), call.input(kWeight)});
  for (size_t i = 0; i < 3; ++i) grads[i] = std::move(results[i]);
}

// Of a plan that normalises elsewhere. Inputs: variance.
struct InverseDeviation {
  double eps;
};
CNNX_FIELDS(InverseDeviation, eps)

void run_inverse_deviation(const Run& r) {
  on_floats(r, [&](const auto& f) {
    f.kernels.batch_norm_inv_std(r.queue, r.inputs[0].numel(), r.as<InverseDeviation>().eps, f.in(0), f.out(0));
  });
}

constexpr OpDef kInverseDeviation = op<InverseDeviation>("inverse_deviation", infer_like_input, run_inverse_deviation);

bool normalisation_of(const void* attributes, Normalisation& found) {
  const auto& c = *static_cast<const BatchNormCall*>(attributes);
  found = {kMean,         kVariance,        kWeight,         kBias, kInvStd,
           c.shape.batch, c.shape.channels, c.shape.spatial, c.eps, &kInverseDeviation};
  return !c.training;
}

Activation* activation_of(void* attributes) { return &static_cast<BatchNormCall*>(attributes)->shape.activation; }

constexpr OpDef kBatchNorm = op<BatchNormCall>("batch_norm", infer, run)
                                 .reads({Place::call, Place::row_major})
                                 .lanes_if(lanes)
                                 .with_gradient(gradient, saves)
                                 .with_activation(activation_of)
                                 .with(&OpDef::normalisation, normalisation_of)
                                 .updating(input_bit(kMean) | input_bit(kVariance) | input_bit(kBatches));

}  // namespace

Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                  const Tensor& bias, bool training, std::optional<double> momentum, double eps, const Tensor& batches) {
  check_defined("batch_norm", "input", input);
  check(input, running_mean, running_var, weight, bias, training);
  if (!(eps > 0)) throw ValueError(message("batch_norm: eps must be positive, got ", eps));
  if (training && batches.defined()) {
    if (batches.dtype() != DType::int64 || batches.numel() != 1)
      throw TypeError(message("batch_norm: the number of batches must be one int64, got ", name(batches.dtype()), " of shape ",
                              batches.shape()));
    check_same_device("batch_norm", input, batches);
  } else if (training && !momentum && (running_mean.defined() || running_var.defined())) {
    throw ValueError("batch_norm: a momentum is needed");
  }
  if (training && shape_of(input).count() <= 1)
    throw ValueError(message("batch_norm: needs more than 1 value per channel when training, got input ", input.shape()));
  const BatchNormCall c{shape_of(input), eps, momentum.value_or(0), training, !momentum && batches.defined(), {}};
  if (!training) {  // the mean is copied, since the running one may move before the backward pass
    const Tensor mean = needs_grad({input, weight, bias}) ? plain_copy(running_mean) : running_mean;
    return emit(kBatchNorm, c, {input, weight, bias, mean, running_var, Tensor()})[kY];
  }
  const Kept mean(running_mean), variance(running_var), counted(batches);
  Tensor result = emit(kBatchNorm, c, {input, weight, bias, mean.tensor(), variance.tensor(), counted.tensor()})[kY];
  for (const Kept* kept : {&mean, &variance, &counted}) kept->store();
  return result;
}

}  // namespace cnnx
