// The initial distribution that convolutions and dense layers share.
#pragma once

#include <cmath>

#include "cnnx/nn/init.h"

namespace cnnx::nn {

// Uniform within 1 / sqrt(fan_in) of the weight, for both.
inline void reset_weight_and_bias(const Tensor& weight, const Tensor& bias) {
  init::kaiming_uniform_(weight, std::sqrt(5.0), "fan_in", "leaky_relu");
  if (!bias.defined()) return;
  const int64_t fan_in = init::fans(weight).in;
  const double bound = fan_in > 0 ? 1 / std::sqrt(static_cast<double>(fan_in)) : 0;
  init::uniform_(bias, -bound, bound);
}

}  // namespace cnnx::nn
