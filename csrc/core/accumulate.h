// Sums of gradients, for the engine alone.
#pragma once

#include "cnnx/tensor.h"

namespace cnnx {

// a + b of the same shape and dtype; in lanes if both are, else plain.
Tensor add_gradients(const Tensor& a, const Tensor& b);
// leaf.grad += gradient. A gradient that nobody else holds is taken as it is, any other is copied; one that has a history itself
// keeps it.
void accumulate_grad(const Tensor& leaf, Tensor gradient);

}  // namespace cnnx
