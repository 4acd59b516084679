// Layer and group normalisation: the rows of each image one by one.
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

void check(const char* op, const Tensor& input, const Tensor& weight, const Tensor& bias, const Dims& parameter_shape) {
  check_floating(op, input);
  check_parameter(op, "weight", weight, parameter_shape, input);
  check_parameter(op, "bias", bias, parameter_shape, input);
}

// The attributes of a normalisation and of its gradients.
struct GroupNormCall {
  GroupNormShape shape;  // lanes: 1, the call decides
  Dims parameters;       // the shape of weight and bias
  double eps;
  bool images;    // lanes as for images; else where the input lies in them
  bool wants[3];  // of the gradients of input, weight and bias
};
CNNX_FIELDS(GroupNormCall, shape, parameters, eps, images, wants)

bool lanes_of(const GroupNormCall& c, const Tensor& input) {
  return c.images ? lanes_for_images(input) : c.shape.params != input.numel() && input.in_lanes();
}
bool lanes(const Call& call) { return lanes_of(call.as<GroupNormCall>(), call[0]); }
bool lanes_of_input(const Call& call) { return lanes_of(call.as<GroupNormCall>(), call[1]); }

// Inputs: input, weight, bias. Results beside the normalised input: mean and 1 / standard deviation, by image and row.
void infer(const Call& call, ResultSpecs& results) {
  const GroupNormShape& s = call.as<GroupNormCall>().shape;
  const DType dtype = call[0].dtype();
  results.push_back({call[0].shape(), dtype, Place::call});
  for (int i = 0; i < 2; ++i) results.push_back({{s.batch, s.rows}, dtype, Place::row_major, true, false});
}

void run(const Run& r) {
  if (r.inputs[0].numel() == 0) return;
  on_floats(r, [&](const auto& f) {
    f.kernels.group_norm_forward(r.queue, shape_in_lanes<GroupNormCall>(r), r.as<GroupNormCall>().eps, f.in(0), f.in(1), f.in(2),
                                 f.out(0), f.out(1), f.out(2));
  });
}

// Inputs: gradient of the result, input, mean, 1 / standard deviation, weight.
void infer_backward(const Call& call, ResultSpecs& results) {
  const GroupNormCall& c = call.as<GroupNormCall>();
  const DType dtype = call[0].dtype();
  results.push_back({call[1].shape(), dtype, Place::call, c.wants[0]});
  for (size_t i : {1, 2}) results.push_back({c.parameters, dtype, Place::row_major, c.wants[i]});
}

void run_backward(const Run& r) {
  if (r.inputs[1].numel() == 0) {
    for (size_t i : {1, 2})
      if (r.results[i].defined()) recorded_fill(r.results[i], 0);
    return;
  }
  on_floats(r, [&](const auto& f) {
    f.kernels.group_norm_backward(r.queue, shape_in_lanes<GroupNormCall>(r), f.in(0), f.in(1), f.in(2), f.in(3), f.in(4),
                                  f.out(0), f.out(1), f.out(2));
  });
}

// With the statistics as functions of the input, which is seen as (batch, rows, runs, repeat).
void formula_of_backward(const Call& call, Results& results) {
  const GroupNormCall& c = call.as<GroupNormCall>();
  const GroupNormShape& s = c.shape;
  const Dims rows{s.batch, s.rows, s.runs, s.repeat}, along{2, 3};
  const bool shared = s.params == s.runs;  // one set of parameters for all rows
  const Tensor g = reshape(call[0], rows), x = reshape(call[1], rows);
  const Tensor deviation = sub(x, mean(x, along, true));
  const Tensor inv_std = rsqrt(add(mean(square(deviation), along, true), c.eps)), normal = mul(deviation, inv_std);
  Tensor grad_x;
  if (c.wants[0]) {
    Tensor part = call[4].defined() ? mul(g, reshape(call[4], {shared ? 1 : s.rows, s.runs, 1})) : g;
    part = sub(sub(part, mean(part, along, true)), mul(normal, mean(mul(part, normal), along, true)));
    grad_x = reshape(mul(part, inv_std), call[1].shape());
  }
  results.push_back(grad_x);
  const Dims over = shared ? Dims{0, 1, 3} : Dims{0, 3};
  results.push_back(c.wants[1] ? reshape(sum(mul(g, normal), over), c.parameters) : Tensor());
  results.push_back(c.wants[2] ? reshape(sum(g, over), c.parameters) : Tensor());
}

constexpr OpDef kBackward = op<GroupNormCall>("group_norm_backward", infer_backward, run_backward)
                                .reads({Place::call, Place::call, Place::row_major})
                                .lanes_if(lanes_of_input)
                                .with_gradient(gradient_of<formula_of_backward>, saves_inputs);

void gradient(const Backward& call, Grads& grads) {
  GroupNormCall c = call.as<GroupNormCall>();
  for (size_t i = 0; i < 3; ++i) c.wants[i] = call.needs(i);
  Results results = emit(kBackward, c, {call.grad(), call.input(0), call.result(1), call.result(2), call.input(1)});
  for (size_t i = 0; i < 3; ++i) grads[i] = std::move(results[i]);
}

constexpr OpDef norm_op(const char* name) {
  return op<GroupNormCall>(name, infer, run)
      .reads({Place::call, Place::row_major})
      .lanes_if(lanes)
      .with_gradient(gradient, saving<input_bit(0) | input_bit(1) | result_bit(1) | result_bit(2)>);
}
constexpr OpDef kLayerNorm = norm_op("layer_norm"), kGroupNorm = norm_op("group_norm");

}  // namespace

Tensor layer_norm(const Tensor& input, const Dims& normalized_shape, const Tensor& weight, const Tensor& bias, double eps) {
  check_defined("layer_norm", "input", input);
  const int outer = input.ndim() - normalized_shape.size();
  if (normalized_shape.empty())
    throw ShapeError(message("layer_norm: normalized_shape must have at least one dimension, got ", normalized_shape));
  if (outer < 0 || !(Dims(input.shape().begin() + outer, input.shape().end()) == normalized_shape))
    throw ShapeError(message("layer_norm: input must end in normalized_shape ", normalized_shape, ", got ", input.shape()));
  check("layer_norm", input, weight, bias, normalized_shape);
  const int64_t size = normalized_shape.numel();
  if (size == 0) throw ShapeError(message("layer_norm: normalized_shape ", normalized_shape, " is empty"));
  const int64_t batch = outer > 0 ? input.size(0) : 1;
  int64_t rows = 1;
  for (int i = 1; i < outer; ++i) rows *= input.size(i);
  const GroupNormCall c{{batch, rows, size, 1, size, 1}, normalized_shape, eps, false, {}};
  return emit(kLayerNorm, c, {input, weight, bias})[0];
}

Tensor group_norm(const Tensor& input, int64_t num_groups, const Tensor& weight, const Tensor& bias, double eps) {
  check_defined("group_norm", "input", input);
  if (input.ndim() < 2) throw ShapeError(message("group_norm: input must be (N, C, ...), got ", input.shape()));
  const int64_t channels = input.size(1);
  if (num_groups < 1 || channels % num_groups != 0)
    throw Error(
        message("group_norm: num_groups ", num_groups, " does not divide the ", channels, " channels of input ", input.shape()));
  check("group_norm", input, weight, bias, {channels});
  int64_t spatial = 1;
  for (int i = 2; i < input.ndim(); ++i) spatial *= input.size(i);
  const GroupNormCall c{{input.size(0), num_groups, channels / num_groups, spatial, channels, 1}, {channels}, eps, true, {}};
  return emit(kGroupNorm, c, {input, weight, bias})[0];
}

}  // namespace cnnx
