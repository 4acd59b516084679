// Resizing by any of ONNX's rules.
#pragma once

#include <string>
#include <vector>

#include "onnx/ops.h"

namespace cnnx::onnx {

struct ResizeAxis {
  int axis;
  int64_t in, out;
  double scale;
  bool is_scaled = false;     // by a scale, of the file or of all axes, and not by the sizes
  double begin = 0, end = 1;  // of tf_crop_and_resize
};

struct ResizeRule {
  std::string mode, coordinates, rounding;
  double cubic = -0.75, extrapolation = 0;
  bool exclude_outside = false, antialias = false;
};

Tensor resize(NodeRun& run, const Tensor& x, const std::vector<ResizeAxis>& axes, const ResizeRule& rule);

}  // namespace cnnx::onnx
