// Normalisation layers as functions, float32 or float64. `weight` and `bias` may be undefined: 1 and 0.
#pragma once

#include <optional>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// Normalises every channel of (N, C, ...) to mean 0 and variance 1 over batch and space, then scales by weight (C,) and adds
// bias (C,). If training, with the batch's own statistics, which then move the running ones (C,), where defined, by `momentum`
// (the running variance by the unbiased one); else with the running ones. `batches`, where defined, is one int64 that counts the
// batches trained with; without a momentum it gives one, 1 / batches, so that the running statistics are the mean over all
// batches.
Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight = {},
                  const Tensor& bias = {}, bool training = false, std::optional<double> momentum = 0.1, double eps = 1e-5,
                  const Tensor& batches = {});

// Normalises over the last dimensions, which must be normalized_shape; weight and bias have that shape.
Tensor layer_norm(const Tensor& input, const Dims& normalized_shape, const Tensor& weight = {}, const Tensor& bias = {},
                  double eps = 1e-5);

// Normalises (N, C, ...) over groups of C / num_groups channels and space, image by image; weight and bias are (C,).
Tensor group_norm(const Tensor& input, int64_t num_groups, const Tensor& weight = {}, const Tensor& bias = {}, double eps = 1e-5);

}  // namespace cnnx CNNX_API
