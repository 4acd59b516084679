// Losses and dropout. `weight` (per class) may be undefined.
#pragma once

#include <string>

#include "cnnx/tensor.h"

namespace cnnx {

enum class Reduction { none, mean, sum };
Reduction parse_reduction(const char* op, const std::string& text);

// input (N, C, d1...) or (C,); target class indices (N, d1...) or () of any integer type, or class probabilities of input's
// shape.
Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight = {}, int64_t ignore_index = -100,
                     Reduction reduction = Reduction::mean, double label_smoothing = 0);
// The same of log-probabilities and class indices.
Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight = {}, int64_t ignore_index = -100,
                Reduction reduction = Reduction::mean);
Tensor mse_loss(const Tensor& input, const Tensor& target, Reduction reduction = Reduction::mean);

// Zeroes elements with probability p and scales the others by 1 / (1 - p); the input itself if not training. The mask depends on
// the generator's state and each element's row-major index alone.
Tensor dropout(const Tensor& input, double p, bool training);

}  // namespace cnnx
