// Distances of rows.
#pragma once

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// The p-norms (p >= 0, infinity included; 0 counts what differs) of the differences of all pairs of rows: (..., P, M) and
// (..., R, M), leading dimensions broadcast, to (..., P, R). Holds nothing else.
Tensor cdist(const Tensor& x, const Tensor& y, double p = 2);

}  // namespace cnnx CNNX_API
