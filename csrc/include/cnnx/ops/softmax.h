// Softmax and its kin.
#pragma once

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

Tensor softmax(const Tensor& input, int64_t dim);
Tensor log_softmax(const Tensor& input, int64_t dim);
Tensor logsumexp(const Tensor& input, const Dims& dims, bool keepdim = false);

}  // namespace cnnx CNNX_API
