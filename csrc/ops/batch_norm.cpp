#include <cmath>

#include "cnnx/autograd.h"
#include "cnnx/ops/norm.h"
#include "kernels/table.h"
#include "ops/flat.h"
#include "ops/spatial.h"

namespace cnnx {
namespace {

void check(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight, const Tensor& bias,
           bool training) {
  if (input.ndim() < 2) throw ShapeError(message("batch_norm: input must be (N, C, ...), got ", input.shape()));
  if (!is_floating_point(input.dtype()))
    throw TypeError(message("batch_norm: input must be float32 or float64, got ", name(input.dtype())));
  const struct {
    const char* name;
    const Tensor& tensor;
  } per_channel[] = {{"running_mean", running_mean}, {"running_var", running_var}, {"weight", weight}, {"bias", bias}};
  for (const auto& [what, t] : per_channel) {
    if (!t.defined()) continue;
    if (!(t.shape() == Dims{input.size(1)}))
      throw ShapeError(message("batch_norm: ", what, " must have shape (", input.size(1), ",) for input ", input.shape(),
                               ", got ", t.shape()));
    if (t.dtype() != input.dtype())
      throw TypeError(message("batch_norm: input is ", name(input.dtype()), ", ", what, " ", name(t.dtype())));
  }
  if (!training && !(running_mean.defined() && running_var.defined()))
    throw Error("batch_norm: running_mean and running_var must be given when not training");
}

ChannelShape shape_of(const Tensor& input) {
  ChannelShape s{input.size(0), input.size(1), 1, use_lanes(input) ? lane_count() : 1};
  for (int i = 2; i < input.ndim(); ++i) s.spatial *= input.size(i);
  return s;
}

// running += momentum * (scale * batch - running), in place.
template <class T>
void move_running(const Tensor& running, const Tensor& batch, double momentum, double scale) {
  if (!running.defined()) return;
  check_writable("batch_norm", running);
  Tensor moved = plain_copy(running);
  T* to = moved.data<T>();
  const T* from = batch.data<T>();
  for (int64_t c = 0; c < moved.numel(); ++c) to[c] = static_cast<T>((1 - momentum) * to[c] + momentum * scale * from[c]);
  copy_into(running, moved);
}

template <class T>
Tensor batch_norm_typed(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                        const Tensor& bias, bool training, double momentum, double eps) {
  const ChannelShape s = shape_of(input);
  const bool lanes = s.lanes > 1;
  const auto x = spatial_input<T>(input, lanes);
  const Tensor w = weight.defined() ? contiguous(weight) : weight, b = bias.defined() ? contiguous(bias) : bias;
  const auto optional = [](const Tensor& t) { return t.defined() ? t.data<T>() : nullptr; };
  const auto y = spatial_output<T>(input.shape(), lanes, input.device());
  const Dims per_channel{s.channels};
  Tensor inv_std = Tensor::empty(per_channel, input.options()), mean;
  if (training) {
    mean = Tensor::empty(per_channel, input.options());
    Tensor variance = Tensor::empty(per_channel, input.options());
    kernels<T>().batch_norm_train(s, eps, x.data, optional(w), optional(b), y.data, mean.data<T>(), variance.data<T>(),
                                  inv_std.data<T>());
    const double count = static_cast<double>(s.count());
    move_running<T>(running_mean, mean, momentum, 1);
    move_running<T>(running_var, variance, momentum, count / (count - 1));
  } else {
    mean = plain_copy(running_mean);
    const Tensor variance = contiguous(running_var);
    for (int64_t c = 0; c < s.channels; ++c)
      inv_std.data<T>()[c] = static_cast<T>(1 / std::sqrt(static_cast<double>(variance.data<T>()[c]) + eps));
    kernels<T>().batch_norm_apply(s, x.data, mean.data<T>(), inv_std.data<T>(), optional(w), optional(b), y.data);
  }
  if (!needs_grad({input, weight, bias})) return y.tensor;

  auto gradient = [s, lanes, training, mean, inv_std, x = Saved(x.tensor), weighted = w.defined(), w = Saved(w)](
                      const Tensor& grad_output, const Needs& needs) -> Grads {
    Grads grads(3);
    const auto g = spatial_input<T>(grad_output, lanes);
    const auto saved = spatial_input<T>(x.unpack("batch_norm"), lanes);
    if (needs[0]) grads[0] = spatial_output<T>(saved.tensor.shape(), lanes, g.tensor.device()).tensor;
    for (size_t i : {1, 2})
      if (needs[i]) grads[i] = Tensor::empty({s.channels}, grad_output.options());
    kernels<T>().batch_norm_backward(s, training, g.data, saved.data, mean.data<T>(), inv_std.data<T>(),
                                     weighted ? w.unpack("batch_norm").data<T>() : nullptr,
                                     needs[0] ? flat_data<T>(grads[0], lanes) : nullptr, needs[1] ? grads[1].data<T>() : nullptr,
                                     needs[2] ? grads[2].data<T>() : nullptr);
    return grads;
  };
  return record("batch_norm", y.tensor, {input, weight, bias}, std::move(gradient));
}

}  // namespace

Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                  const Tensor& bias, bool training, double momentum, double eps) {
  check(input, running_mean, running_var, weight, bias, training);
  if (training && shape_of(input).count() <= 1)
    throw ValueError(message("batch_norm: needs more than 1 value per channel when training, got input ", input.shape()));
  return dispatch_floating("batch_norm", input.dtype(), [&](auto tag) {
    return batch_norm_typed<decltype(tag)>(input, running_mean, running_var, weight, bias, training, momentum, eps);
  });
}

}  // namespace cnnx
