// The geometry that convolutions and pooling share, over one axis or two; of one, the second number.
#pragma once

#include <array>

#include "cnnx/ops/axes.h"
#include "onnx/ops.h"

namespace cnnx::onnx {

struct Spatial {
  int axes;
  AxisInts kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  std::array<int64_t, 4> padding{};  // top, bottom, left, right; automatic ones are those of a convolution
  std::string automatic = {};        // auto_pad

  bool is_symmetric() const { return padding[0] == padding[1] && padding[2] == padding[3]; }
  int64_t covered(int axis) const { return dilation[axis] * (kernel[axis] - 1) + 1; }
};

// The numbers of an attribute, one for each axis.
AxisInts axis_numbers(const NodeRun& run, const char* name, int axes, int64_t otherwise);
// Of an input (N, C, W) or (N, C, H, W).
Spatial spatial(const NodeRun& run, const Tensor& input, const AxisInts& kernel);
// By the attribute kernel_shape.
AxisInts kernel_shape(const NodeRun& run, const Tensor& input);

}  // namespace cnnx::onnx
