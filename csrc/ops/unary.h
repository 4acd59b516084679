// The common form of the functions of one tensor, for other ops.
#pragma once

#include "cnnx/activation.h"
#include "cnnx/api.h"
#include "cnnx/tensor.h"
#include "kernels/shapes.h"

namespace cnnx {

CNNX_INTERNAL_API Tensor unary(UnaryOp op, const Tensor& input, double a = 0, double b = 0);
CNNX_INTERNAL_API Tensor unary_(UnaryOp op, const Tensor& self, double a = 0, double b = 0);

// The derivative of a function, made of other ops, so that it has a derivative itself: from the argument or the result, whichever
// unary_needs() says.
Tensor slope(UnaryOp op, double a, double b, const Tensor& saved);

// The gradient with respect to what a layer's activation was applied to, from its result.
Tensor activation_backward(Activation activation, const Tensor& grad_output, const Tensor& result);

}  // namespace cnnx
