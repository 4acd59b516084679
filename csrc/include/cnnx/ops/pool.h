// Pooling over one axis, (N, C, W) or (C, W), or two, (N, C, H, W) or (C, H, W); float32 or float64.
#pragma once

#include <utility>

#include "cnnx/api.h"
#include "cnnx/ops/axes.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

struct PoolOptions {
  AxisInts kernel{2, 2};
  AxisInts stride = kernel;  // as the kernel that the options begin with
  AxisInts padding{};
  AxisInts dilation{1, 1};  // max pooling only
  bool ceil_mode = false;
  bool count_include_pad = true;  // average pooling only
  int64_t divisor_override = 0;   // average pooling only; 0: the number of positions
};

Tensor max_pool1d(const Tensor& input, const PoolOptions& options);
Tensor max_pool2d(const Tensor& input, const PoolOptions& options);
// Also the index (x, or y * W + x) of every maximum, int64, in the shape of the result.
std::pair<Tensor, Tensor> max_pool1d_with_indices(const Tensor& input, const PoolOptions& options);
std::pair<Tensor, Tensor> max_pool2d_with_indices(const Tensor& input, const PoolOptions& options);
Tensor avg_pool1d(const Tensor& input, const PoolOptions& options);
Tensor avg_pool2d(const Tensor& input, const PoolOptions& options);

// Adaptive pooling: output o of n covers the positions from floor(o W / n) to ceil((o + 1) W / n), so that windows cover the
// input and may overlap.
Tensor adaptive_max_pool1d(const Tensor& input, int64_t output_size);
Tensor adaptive_max_pool2d(const Tensor& input, const AxisInts& output_size);
std::pair<Tensor, Tensor> adaptive_max_pool1d_with_indices(const Tensor& input, int64_t output_size);
std::pair<Tensor, Tensor> adaptive_max_pool2d_with_indices(const Tensor& input, const AxisInts& output_size);
Tensor adaptive_avg_pool1d(const Tensor& input, int64_t output_size);
Tensor adaptive_avg_pool2d(const Tensor& input, const AxisInts& output_size);

}  // namespace cnnx CNNX_API
