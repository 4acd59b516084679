// 2-D convolution.
#pragma once

#include "cnnx/tensor.h"

namespace cnnx {

struct Conv2dOptions {
  int64_t stride[2] = {1, 1};         // height, width
  int64_t padding[4] = {0, 0, 0, 0};  // top, bottom, left, right
  int64_t dilation[2] = {1, 1};
  int64_t groups = 1;
};

// Cross-correlation of input (N, C, H, W) or (C, H, W) with weight (O, C / groups, kh, kw), plus bias (O) if defined.
// float32 or float64. Result (N, O, H', W') with H' = floor((H + top + bottom - dilation (kh - 1) - 1) / stride) + 1.
Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias = {}, const Conv2dOptions& options = {});

}  // namespace cnnx
