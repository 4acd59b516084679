// Putting tensors together.
#pragma once

#include <vector>

#include "cnnx/tensor.h"

namespace cnnx {

// Along an existing dimension; the others must agree. On channels, tensors in lanes give a result in lanes.
Tensor cat(const std::vector<Tensor>& tensors, int64_t dim = 0);
// Along a new dimension.
Tensor stack(const std::vector<Tensor>& tensors, int64_t dim = 0);

}  // namespace cnnx
