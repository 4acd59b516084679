// Tensors made from numbers. No gradients.
#pragma once

#include "cnnx/tensor.h"

namespace cnnx {

// start, start + step, ... below (above, for a negative step) end; ceil((end - start) / step) elements.
Tensor arange(double start, double end, double step, DType dtype, const Device& device = {});
Tensor arange(int64_t start, int64_t end, int64_t step, DType dtype, const Device& device = {});
// `steps` evenly spaced values, both ends included.
Tensor linspace(double start, double end, int64_t steps, DType dtype, const Device& device = {});
Tensor eye(int64_t rows, int64_t columns, DType dtype, const Device& device = {});
// Like Tensor::full, but exact for every 64-bit integer.
Tensor full_integer(const Dims& shape, int64_t value, DType dtype, const Device& device = {});

}  // namespace cnnx
