// Dense layers and matrix products.
#pragma once

#include "cnnx/activation.h"
#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// input (..., in) times weight (out, in) transposed, plus bias (out) if defined, then the activation: (..., out). float32 or
// float64.
Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias = {}, Activation activation = Activation::none);

// numpy.matmul: (..., M, K) by (..., K, N), leading dimensions broadcast; a 1-D operand is a row on the left and a column on the
// right, and its dimension is dropped from the result. All dtypes but bool; both operands of one dtype.
Tensor matmul(const Tensor& a, const Tensor& b);

}  // namespace cnnx CNNX_API
