// The gradient of log_softmax, for losses that compute it beside.
#pragma once

#include "cnnx/tensor.h"

namespace cnnx {

Tensor log_softmax_backward(const Tensor& grad_output, const Tensor& result, int dim);

}  // namespace cnnx
