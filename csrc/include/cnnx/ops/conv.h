// Convolutions and transposed convolutions over one or two axes, float32 or float64.
#pragma once

#include <array>

#include "cnnx/activation.h"
#include "cnnx/ops/axes.h"
#include "cnnx/tensor.h"

namespace cnnx {

template <int kAxes>
struct ConvOptions {
  AxisInts<kAxes> stride = per_axis<kAxes>(1);
  std::array<int64_t, 2 * kAxes> padding{};  // {left, right} or {top, bottom, left, right}
  AxisInts<kAxes> dilation = per_axis<kAxes>(1);
  int64_t groups = 1;
  Activation activation = Activation::none;  // of the result
};
using Conv1dOptions = ConvOptions<1>;
using Conv2dOptions = ConvOptions<2>;

template <int kAxes>
struct ConvTransposeOptions {
  AxisInts<kAxes> stride = per_axis<kAxes>(1);
  AxisInts<kAxes> padding{};         // on both sides; takes away from the result
  AxisInts<kAxes> output_padding{};  // added to the bottom and right of the result; less than stride or dilation
  AxisInts<kAxes> dilation = per_axis<kAxes>(1);
  int64_t groups = 1;
};
using ConvTranspose1dOptions = ConvTransposeOptions<1>;
using ConvTranspose2dOptions = ConvTransposeOptions<2>;

// Cross-correlation of input (N, C, W) or (C, W) with weight (O, C / groups, kw), plus bias (O) if defined.
// Result (N, O, W') with W' = floor((W + left + right - dilation (kw - 1) - 1) / stride) + 1.
Tensor conv1d(const Tensor& input, const Tensor& weight, const Tensor& bias = {}, const Conv1dOptions& options = {});
// The same of (N, C, H, W) or (C, H, W) with weight (O, C / groups, kh, kw).
Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias = {}, const Conv2dOptions& options = {});

// The input gradient of a convolution as an op of its own: input (N, C, W) or (C, W), weight (C, O / groups, kw), plus bias (O)
// if defined. Result (N, O, W') with W' = (W - 1) stride - 2 padding + dilation (kw - 1) + output_padding + 1.
Tensor conv_transpose1d(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
                        const ConvTranspose1dOptions& options = {});
Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
                        const ConvTranspose2dOptions& options = {});

}  // namespace cnnx
