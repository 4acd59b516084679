// Layer and group normalisation: the rows of each image one by one.
#include "cnnx/autograd.h"
#include "cnnx/ops/norm.h"
#include "kernels/table.h"
#include "ops/flat.h"
#include "ops/spatial.h"

namespace cnnx {
namespace {

void check(const char* op, const Tensor& input, const Tensor& weight, const Tensor& bias, const Dims& parameter_shape) {
  if (!is_floating_point(input.dtype()))
    throw TypeError(message(op, ": input must be float32 or float64, got ", name(input.dtype())));
  for (const auto& [what, t] : {std::pair<const char*, const Tensor&>{"weight", weight}, {"bias", bias}}) {
    if (!t.defined()) continue;
    if (!(t.shape() == parameter_shape))
      throw ShapeError(message(op, ": ", what, " must have shape ", parameter_shape, ", got ", t.shape()));
    check_same_device(op, input, t);
    if (t.dtype() != input.dtype())
      throw TypeError(message(op, ": input is ", name(input.dtype()), ", ", what, " ", name(t.dtype())));
  }
}

template <class T>
Tensor row_norm(const char* op, const Tensor& input, const RowNormShape& s, const Tensor& weight, const Tensor& bias,
                double eps) {
  const bool lanes = s.lanes > 1;
  const auto x = spatial_input<T>(input, lanes);
  const Tensor w = weight.defined() ? contiguous(weight) : weight, b = bias.defined() ? contiguous(bias) : bias;
  const auto y = spatial_output<T>(input.shape(), lanes, input.device());
  const Tensor mean = Tensor::empty({s.batch, s.rows}, input.options()),
               inv_std = Tensor::empty({s.batch, s.rows}, input.options());
  if (input.numel() > 0)
    kernels<T>(input.device())
        .row_norm_forward(s, eps, x.data, w.defined() ? w.pointer<T>() : nullptr, b.defined() ? b.pointer<T>() : nullptr, y.data,
                          mean.pointer<T>(), inv_std.pointer<T>());
  if (!needs_grad({input, weight, bias})) return y.tensor;

  auto gradient = [op, s, lanes, mean, inv_std, x = Saved(x.tensor), parameters = weight.defined() ? weight.shape() : Dims{},
                   bias_shape = bias.defined() ? bias.shape() : Dims{}, weighted = w.defined(),
                   w = Saved(w)](const Tensor& grad_output, const Needs& needs) -> Grads {
    Grads grads(3);
    const auto g = spatial_input<T>(grad_output, lanes);
    const auto saved = spatial_input<T>(x.unpack(op), lanes);
    if (needs[0]) grads[0] = spatial_output<T>(saved.tensor.shape(), lanes, g.tensor.device()).tensor;
    if (needs[1]) grads[1] = Tensor::zeros(parameters, grad_output.options());
    if (needs[2]) grads[2] = Tensor::zeros(bias_shape, grad_output.options());
    if (g.tensor.numel() == 0) return grads;
    kernels<T>(g.tensor.device())
        .row_norm_backward(
            s, g.data, saved.data, mean.pointer<T>(), inv_std.pointer<T>(),
            weighted ? w.unpack(op).template pointer<T>() : nullptr, needs[0] ? flat_data<T>(grads[0], lanes) : nullptr,
            needs[1] ? grads[1].template pointer<T>() : nullptr, needs[2] ? grads[2].template pointer<T>() : nullptr);
    return grads;
  };
  return record(op, y.tensor, {input, weight, bias}, std::move(gradient));
}

Tensor run(const char* op, const Tensor& input, const RowNormShape& s, const Tensor& weight, const Tensor& bias, double eps) {
  return dispatch_floating(op, input.dtype(), [&](auto tag) { return row_norm<decltype(tag)>(op, input, s, weight, bias, eps); });
}

}  // namespace

Tensor layer_norm(const Tensor& input, const Dims& normalized_shape, const Tensor& weight, const Tensor& bias, double eps) {
  const int outer = input.ndim() - normalized_shape.size();
  if (normalized_shape.empty())
    throw ShapeError(message("layer_norm: normalized_shape must have at least one dimension, got ", normalized_shape));
  if (outer < 0 || !(Dims(input.shape().begin() + outer, input.shape().end()) == normalized_shape))
    throw ShapeError(message("layer_norm: input must end in normalized_shape ", normalized_shape, ", got ", input.shape()));
  check("layer_norm", input, weight, bias, normalized_shape);
  const int64_t size = normalized_shape.numel();
  if (size == 0) throw ShapeError(message("layer_norm: normalized_shape ", normalized_shape, " is empty"));
  const bool lanes = outer > 0 && input.in_lanes();  // rows of anything: what is plain stays so
  const int64_t batch = outer > 0 ? input.size(0) : 1;
  int64_t rows = 1;
  for (int i = 1; i < outer; ++i) rows *= input.size(i);
  return run("layer_norm", input, {batch, rows, size, 1, size, lanes ? lane_count() : 1}, weight, bias, eps);
}

Tensor group_norm(const Tensor& input, int64_t num_groups, const Tensor& weight, const Tensor& bias, double eps) {
  if (input.ndim() < 2) throw ShapeError(message("group_norm: input must be (N, C, ...), got ", input.shape()));
  const int64_t channels = input.size(1);
  if (num_groups < 1 || channels % num_groups != 0)
    throw Error(
        message("group_norm: num_groups ", num_groups, " does not divide the ", channels, " channels of input ", input.shape()));
  check("group_norm", input, weight, bias, {channels});
  int64_t spatial = 1;
  for (int i = 2; i < input.ndim(); ++i) spatial *= input.size(i);
  const int64_t lanes = use_lanes(input) ? lane_count() : 1;
  return run("group_norm", input, {input.size(0), num_groups, channels / num_groups, spatial, channels, lanes}, weight, bias,
             eps);
}

}  // namespace cnnx
