#include "cnnx/nn/norm.h"

#include "cnnx/nn/init.h"
#include "cnnx/ops/norm.h"
#include "nn/settings.h"

namespace cnnx::nn {
namespace {

// Weight and bias of 1 and 0, as far as there are any.
void fill(const Tensor& weight, const Tensor& bias) {
  if (weight.defined()) init::constant_(weight, 1.0);
  if (bias.defined()) init::constant_(bias, 0.0);
}

Tensor room(bool wanted, const Dims& shape, const TensorOptions& options) {
  return wanted ? Tensor::empty(shape, options) : Tensor();
}

}  // namespace

BatchNorm::BatchNorm(const char* name, int least_dims, int most_dims, int64_t num_features, const BatchNormOptions& options)
    : weight(register_parameter("weight", room(options.affine, {num_features}, {options.dtype, options.device}))),
      bias(register_parameter("bias", room(options.affine, {num_features}, {options.dtype, options.device}))),
      running_mean(
          register_buffer("running_mean", room(options.track_running_stats, {num_features}, {options.dtype, options.device}))),
      running_var(
          register_buffer("running_var", room(options.track_running_stats, {num_features}, {options.dtype, options.device}))),
      num_batches_tracked(
          register_buffer("num_batches_tracked", room(options.track_running_stats, {}, {DType::int64, options.device}))),
      name_(name),
      least_dims_(least_dims),
      most_dims_(most_dims),
      eps_(options.eps),
      momentum_(options.momentum) {
  Settings text(name);
  text.add("", num_features).add("eps", eps_);
  momentum_ ? text.add("momentum", *momentum_) : text.add("momentum", "None");
  text.add("affine", options.affine).add("bias", options.affine);
  describe(text.add("track_running_stats", options.track_running_stats).str());
  reset_parameters();
}

void BatchNorm::reset_running_stats() {
  if (running_mean.defined()) init::constant_(running_mean, 0.0);
  if (running_var.defined()) init::constant_(running_var, 1.0);
  if (num_batches_tracked.defined()) init::constant_(num_batches_tracked, 0);
}

void BatchNorm::reset_parameters() {
  reset_running_stats();
  fill(weight, bias);
}

Tensor BatchNorm::operator()(const Tensor& input) const {
  check_defined(name_, "input", input);
  use();
  if (input.ndim() < least_dims_ || input.ndim() > most_dims_)
    throw ValueError(
        message(name_, ": takes ", least_dims_ == most_dims_ ? "4" : "2 or 3", " dimensions, got shape ", input.shape()));
  const bool has_statistics = running_mean.defined(), by_batch = is_training() || !has_statistics;
  const bool counts = is_training() && has_statistics;
  const std::optional<double> momentum = !momentum_ && !counts ? 0.0 : momentum_;
  return batch_norm(input, running_mean, running_var, weight, bias, by_batch, momentum, eps_,
                    counts ? num_batches_tracked : Tensor());
}

LayerNorm::LayerNorm(const Dims& normalized_shape, const NormOptions& options)
    : weight(register_parameter("weight", room(options.affine, normalized_shape, {options.dtype, options.device}))),
      bias(register_parameter("bias", room(options.affine && options.bias, normalized_shape, {options.dtype, options.device}))),
      shape_(normalized_shape),
      eps_(options.eps) {
  Settings text("LayerNorm");
  text.add("", shape_).add("eps", eps_).add("elementwise_affine", options.affine);
  describe(text.add("bias", options.affine && options.bias).str());
  reset_parameters();
}

void LayerNorm::reset_parameters() { fill(weight, bias); }

Tensor LayerNorm::operator()(const Tensor& input) const {
  use();
  return layer_norm(input, shape_, weight, bias, eps_);
}

GroupNorm::GroupNorm(int64_t num_groups, int64_t num_channels, const NormOptions& options)
    : weight(register_parameter("weight", room(options.affine, {num_channels}, {options.dtype, options.device}))),
      bias(register_parameter("bias", room(options.affine && options.bias, {num_channels}, {options.dtype, options.device}))),
      num_groups_(num_groups),
      eps_(options.eps) {
  if (num_groups < 1 || num_channels % num_groups != 0)
    throw ValueError(message("GroupNorm: ", num_channels, " channels cannot be split into ", num_groups, " groups"));
  Settings text("GroupNorm");
  text.add("", num_groups).add("", num_channels).add("eps", eps_).add("affine", options.affine);
  describe(text.add("bias", options.affine && options.bias).str());
  reset_parameters();
}

void GroupNorm::reset_parameters() { fill(weight, bias); }

Tensor GroupNorm::operator()(const Tensor& input) const {
  use();
  return group_norm(input, num_groups_, weight, bias, eps_);
}

}  // namespace cnnx::nn
