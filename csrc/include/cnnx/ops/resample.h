// Resizing of signals and images.
#pragma once

#include <vector>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

enum class ResampleMode {
  nearest,        // the one at floor(i * scale)
  nearest_exact,  // the one that holds the output's centre
  linear,         // between two neighbours along each axis
  cubic           // four neighbours along each axis
};
const char* name(ResampleMode mode);  // "nearest", ...

struct ResampleOptions {
  ResampleMode mode = ResampleMode::nearest;
  bool align_corners = false;        // of linear and cubic: the centres of the corners meet, not their outer edges
  bool antialias = false;            // of linear and cubic: where it shrinks, an output covers all the inputs that fall on it
  std::vector<double> factors = {};  // of each axis, by which coordinates are scaled; empty: by the sizes
};

// (N, C, W) to a size of one, (N, C, H, W) to a size of two; float32 or float64, nearest ones uint8 as well. Coordinates and
// weights are computed in the input's dtype, those of nearest ones in float32.
Tensor resample(const Tensor& input, const std::vector<int64_t>& size, const ResampleOptions& options = {});

}  // namespace cnnx CNNX_API
