// Images read at places that a grid says.
#pragma once

#include "cnnx/api.h"
#include "cnnx/grid_mode.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// Images (N, C, H, W), grid (N, H', W', 2) with pairs (x, y), of one floating-point dtype: (N, C, H', W'). -1 and 1 are the edges
// of the images, or with align_corners the centres of their outermost pixels.
Tensor grid_sample(const Tensor& input, const Tensor& grid, GridMode mode = GridMode::bilinear,
                   GridPadding padding = GridPadding::zeros, bool align_corners = false);

}  // namespace cnnx CNNX_API
