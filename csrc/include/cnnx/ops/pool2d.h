// 2-D pooling over (N, C, H, W) or (C, H, W), float32 or float64.
#pragma once

#include <utility>

#include "cnnx/tensor.h"

namespace cnnx {

struct Pool2dOptions {
  int64_t kernel[2] = {2, 2};  // height, width
  int64_t stride[2] = {2, 2};
  int64_t padding[2] = {0, 0};
  int64_t dilation[2] = {1, 1};  // max pooling only
  bool ceil_mode = false;
  bool count_include_pad = true;  // average pooling only
  int64_t divisor_override = 0;   // average pooling only; 0: the number of positions
};

Tensor max_pool2d(const Tensor& input, const Pool2dOptions& options);
// Also the index y * W + x of every maximum, int64, in the shape of the result.
std::pair<Tensor, Tensor> max_pool2d_with_indices(const Tensor& input, const Pool2dOptions& options);
Tensor avg_pool2d(const Tensor& input, const Pool2dOptions& options);

}  // namespace cnnx
