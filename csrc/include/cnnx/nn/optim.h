// Update rules over lists of parameters: one call updates a whole parameter group in place from the .grad of each.
//
// State lists have one entry per parameter. An undefined entry is made at the parameter's first update; a parameter without a
// gradient is left alone, with its state. No parameter may be there twice. Each call returns true if it made an entry. No
// history is recorded; versions are bumped.
#pragma once

#include <vector>

#include "cnnx/tensor.h"

namespace cnnx {

struct SgdOptions {
  double lr, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, maximize = false;
};
struct AdamOptions {
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false;  // AdamW: decay the weights themselves
  bool amsgrad = false, maximize = false;
};
struct AdadeltaOptions {
  double lr, rho = 0.9, eps = 1e-6, weight_decay = 0;
  bool maximize = false;
};

struct RmspropOptions {
  double lr, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
  bool centered = false, maximize = false;
};
struct AdagradOptions {
  double lr, lr_decay = 0, weight_decay = 0, eps = 1e-10, initial_accumulator_value = 0;
  bool maximize = false;
};

// momentum_buffers is not looked at when momentum is 0.
bool sgd_step(const std::vector<Tensor>& params, std::vector<Tensor>& momentum_buffers, const SgdOptions& options);
// `steps`: scalars, the updates made so far; an integer or one on a device becomes float32 on the CPU. max_exp_avg_sqs is not
// looked at without amsgrad.
bool adam_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& exp_avgs,
               std::vector<Tensor>& exp_avg_sqs, std::vector<Tensor>& max_exp_avg_sqs, const AdamOptions& options);
bool adadelta_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& square_avgs,
                   std::vector<Tensor>& acc_deltas, const AdadeltaOptions& options);
// momentum_buffers is not looked at without momentum, grad_avgs if not centered.
bool rmsprop_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& square_avgs,
                  std::vector<Tensor>& momentum_buffers, std::vector<Tensor>& grad_avgs, const RmspropOptions& options);
bool adagrad_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& sums,
                  const AdagradOptions& options);

// Drops the gradients of `params`, or fills those that are there with zeros.
void zero_grads(const std::vector<Tensor>& params, bool set_to_none);

// Scales the gradients of `params` so that the p-norm of all of them together is at most max_norm; returns the norm before as a
// 0-dimensional tensor. With error_if_nonfinite a norm that is not finite throws, and nothing is scaled.
Tensor clip_grad_norm_(const std::vector<Tensor>& params, double max_norm, double norm_type, bool error_if_nonfinite);
// Clamps every gradient of `params` to [-clip_value, clip_value].
void clip_grad_value_(const std::vector<Tensor>& params, double clip_value);

}  // namespace cnnx
