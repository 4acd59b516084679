// Putting tensors together, and taking them apart.
#pragma once

#include <vector>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// Along an existing dimension; the others must agree. On channels, tensors in lanes give a result in lanes.
Tensor cat(const std::vector<Tensor>& tensors, int64_t dim = 0);
// Along a new dimension.
Tensor stack(const std::vector<Tensor>& tensors, int64_t dim = 0);
// Parts of that size, the last one perhaps smaller, as copies. Unlike views (ops/view.h), all of them get their gradient at once.
std::vector<Tensor> split_copy(const Tensor& input, int64_t size, int64_t dim = 0);

}  // namespace cnnx CNNX_API
