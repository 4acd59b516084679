// Convolutions and transposed convolutions over one or two axes, float32 or float64.
#pragma once

#include <array>

#include "cnnx/activation.h"
#include "cnnx/api.h"
#include "cnnx/ops/axes.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

struct ConvOptions {
  AxisInts stride{1, 1};
  std::array<int64_t, 4> padding{};  // top, bottom, left, right; a transposed convolution takes it away from the result
  AxisInts dilation{1, 1};
  int64_t groups = 1;
  Activation activation = Activation::none;  // of the result; not of a transposed convolution
  AxisInts output_padding{};  // of a transposed one: added to bottom and right of the result; less than stride or dilation
};

// Cross-correlation of input (N, C, W) or (C, W) with weight (O, C / groups, kw), plus bias (O) if defined.
// Result (N, O, W') with W' = floor((W + left + right - dilation (kw - 1) - 1) / stride) + 1.
Tensor conv1d(const Tensor& input, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {});
// The same of (N, C, H, W) or (C, H, W) with weight (O, C / groups, kh, kw).
Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {});

// The input gradient of a convolution as an op of its own: input (N, C, W) or (C, W), weight (C, O / groups, kw), plus bias (O)
// if defined. Result (N, O, W') with W' = (W - 1) stride - 2 padding + dilation (kw - 1) + output_padding + 1.
Tensor conv_transpose1d(const Tensor& input, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {});
Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {});

}  // namespace cnnx CNNX_API
