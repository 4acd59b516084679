// Pooling over one axis, (N, C, W) or (C, W), or two, (N, C, H, W) or (C, H, W); float32 or float64.
#pragma once

#include <utility>

#include "cnnx/ops/axes.h"
#include "cnnx/tensor.h"

namespace cnnx {

template <int kAxes>
struct PoolOptions {
  AxisInts<kAxes> kernel = per_axis<kAxes>(2);
  AxisInts<kAxes> stride = per_axis<kAxes>(2);
  AxisInts<kAxes> padding{};
  AxisInts<kAxes> dilation = per_axis<kAxes>(1);  // max pooling only
  bool ceil_mode = false;
  bool count_include_pad = true;  // average pooling only
  int64_t divisor_override = 0;   // average pooling only; 0: the number of positions
};
using Pool1dOptions = PoolOptions<1>;
using Pool2dOptions = PoolOptions<2>;

Tensor max_pool1d(const Tensor& input, const Pool1dOptions& options);
Tensor max_pool2d(const Tensor& input, const Pool2dOptions& options);
// Also the index (x, or y * W + x) of every maximum, int64, in the shape of the result.
std::pair<Tensor, Tensor> max_pool1d_with_indices(const Tensor& input, const Pool1dOptions& options);
std::pair<Tensor, Tensor> max_pool2d_with_indices(const Tensor& input, const Pool2dOptions& options);
Tensor avg_pool1d(const Tensor& input, const Pool1dOptions& options);
Tensor avg_pool2d(const Tensor& input, const Pool2dOptions& options);

// Adaptive pooling: output o of n covers the positions from floor(o W / n) to ceil((o + 1) W / n), so that windows cover the
// input and may overlap.
Tensor adaptive_max_pool1d(const Tensor& input, const AxisInts<1>& output_size);
Tensor adaptive_max_pool2d(const Tensor& input, const AxisInts<2>& output_size);
std::pair<Tensor, Tensor> adaptive_max_pool1d_with_indices(const Tensor& input, const AxisInts<1>& output_size);
std::pair<Tensor, Tensor> adaptive_max_pool2d_with_indices(const Tensor& input, const AxisInts<2>& output_size);
Tensor adaptive_avg_pool1d(const Tensor& input, const AxisInts<1>& output_size);
Tensor adaptive_avg_pool2d(const Tensor& input, const AxisInts<2>& output_size);

}  // namespace cnnx
