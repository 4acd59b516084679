// Losses and dropout. `weight` (per class) may be undefined.
#pragma once

#include <string>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

enum class Reduction { none, mean, sum };
Reduction parse_reduction(const char* op, const std::string& text);

// input (N, C, d1...) or (C,); target class indices (N, d1...) or () of any integer type, or class probabilities of input's
// shape. On the CPU an index out of range throws at once; on a CUDA device that loss is left out, and the next call that waits
// for the device (item(), a copy to the CPU, synchronize) throws.
Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight = {}, int64_t ignore_index = -100,
                     Reduction reduction = Reduction::mean, double label_smoothing = 0);
// The same of log-probabilities and class indices.
Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight = {}, int64_t ignore_index = -100,
                Reduction reduction = Reduction::mean);

// Element by element between tensors of one shape (regression losses and kl_div: or of shapes that broadcast), with a gradient
// for both. Weights broadcast to the input and have no gradient.
Tensor mse_loss(const Tensor& input, const Tensor& target, Reduction reduction = Reduction::mean);
Tensor l1_loss(const Tensor& input, const Tensor& target, Reduction reduction = Reduction::mean);
Tensor smooth_l1_loss(const Tensor& input, const Tensor& target, Reduction reduction = Reduction::mean, double beta = 1);
Tensor huber_loss(const Tensor& input, const Tensor& target, Reduction reduction = Reduction::mean, double delta = 1);
// Of probabilities (an Error if one lies outside [0, 1]; logarithms are taken as -100 at least) and of logits.
Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight = {},
                            Reduction reduction = Reduction::mean);
Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target, const Tensor& weight = {},
                                        Reduction reduction = Reduction::mean, const Tensor& pos_weight = {});
// input: log-probabilities; target: probabilities, or their logarithms.
Tensor kl_div(const Tensor& input, const Tensor& target, Reduction reduction = Reduction::mean, bool log_target = false);

// Zeroes elements with probability p and scales the others by 1 / (1 - p); the input itself if not training. The mask depends on
// the generator's state and each element's row-major index alone.
Tensor dropout(const Tensor& input, double p = 0.5, bool training = true);
// The same for whole channels of (N, C, ...).
Tensor feature_dropout(const Tensor& input, double p = 0.5, bool training = true);

}  // namespace cnnx CNNX_API
