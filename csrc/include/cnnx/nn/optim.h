// Update rules over lists of parameters: one call updates a whole parameter group in place from the .grad of each.
//
// State lists have one entry per parameter. An undefined entry is made at the parameter's first update; a parameter without a
// gradient is left alone, with its state. No parameter may be there twice. Each call returns true if it made an entry. No
// history is recorded; versions are bumped.
#pragma once

#include <vector>

#include "cnnx/api.h"
#include "cnnx/nn/optim_steps.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// momentum_buffers is not looked at when momentum is 0.
bool sgd_step(const std::vector<Tensor>& params, std::vector<Tensor>& momentum_buffers, const SgdStep& step);
// `steps`: scalars, the updates made so far; an integer or one on a device becomes float32 on the CPU. max_exp_avg_sqs is not
// looked at without amsgrad.
bool adam_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& exp_avgs,
               std::vector<Tensor>& exp_avg_sqs, std::vector<Tensor>& max_exp_avg_sqs, const AdamStep& step);
bool adadelta_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& square_avgs,
                   std::vector<Tensor>& acc_deltas, const AdadeltaStep& step);
// momentum_buffers is not looked at without momentum, grad_avgs if not centered.
bool rmsprop_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& square_avgs,
                  std::vector<Tensor>& momentum_buffers, std::vector<Tensor>& grad_avgs, const RmspropStep& step);
bool adagrad_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& sums,
                  const AdagradStep& step, double initial_accumulator_value = 0);
// mu_products: scalars, the product of all momenta so far, 1 at first; one on a device goes to the CPU.
bool nadam_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& mu_products,
                std::vector<Tensor>& exp_avgs, std::vector<Tensor>& exp_avg_sqs, const NadamStep& step);
bool radam_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& exp_avgs,
                std::vector<Tensor>& exp_avg_sqs, const RadamStep& step);
bool adamax_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& exp_avgs,
                 std::vector<Tensor>& exp_infs, const AdamaxStep& step);
// step_sizes begin at step.lr.
bool rprop_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& prevs,
                std::vector<Tensor>& step_sizes, const RpropStep& step);

// Drops the gradients of `params`, or fills those that are there with zeros.
void zero_grads(const std::vector<Tensor>& params, bool set_to_none = true);

// Scales the gradients of `params` so that the p-norm of all of them together is at most max_norm; returns the norm before as a
// 0-dimensional tensor. With error_if_nonfinite a norm that is not finite throws, and nothing is scaled.
Tensor clip_grad_norm_(const std::vector<Tensor>& params, double max_norm, double norm_type = 2, bool error_if_nonfinite = false);
// Clamps every gradient of `params` to [-clip_value, clip_value].
void clip_grad_value_(const std::vector<Tensor>& params, double clip_value);

}  // namespace cnnx CNNX_API
