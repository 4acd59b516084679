// The common form of the functions of one tensor, for other ops.
#pragma once

#include "cnnx/activation.h"
#include "cnnx/tensor.h"
#include "kernels/shapes.h"

namespace cnnx {

// `name` must outlive the graph: a literal.
Tensor unary(const char* name, UnaryOp op, const Tensor& input, double a = 0, double b = 0);
Tensor unary_(const char* name, UnaryOp op, const Tensor& self, double a = 0, double b = 0);

// The gradient with respect to what a layer's activation was applied to, from its result.
Tensor activation_backward(Activation activation, const Tensor& grad_output, const Tensor& result);

}  // namespace cnnx
