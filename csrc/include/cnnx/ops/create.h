// Tensors made from numbers. No gradients.
#pragma once

#include "cnnx/api.h"
#include "cnnx/number.h"

namespace cnnx CNNX_API {

// start, start + step, ... below (above, for a negative step) end; ceil((end - start) / step) elements.
Tensor arange(double start, double end, double step, DType dtype, const Device& device = {});
Tensor arange(int64_t start, int64_t end, int64_t step, DType dtype, const Device& device = {});
// `steps` evenly spaced values, both ends included.
Tensor linspace(const Number& start, const Number& end, int64_t steps, DType dtype, const Device& device = {});
Tensor eye(int64_t rows, int64_t columns, DType dtype, const Device& device = {});
// Like Tensor::full, for a number that somebody gave: exact for every 64-bit integer, and an Error if the dtype does not hold it.
Tensor full(const Dims& shape, const Number& value, DType dtype, const Device& device = {});

}  // namespace cnnx CNNX_API
