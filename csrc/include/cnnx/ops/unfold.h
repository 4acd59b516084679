// Windows of images as columns, and back.
#pragma once

#include "cnnx/api.h"
#include "cnnx/ops/conv.h"

namespace cnnx CNNX_API {

struct WindowOptions {
  AxisInts kernel{};
  AxisInts dilation = {1, 1}, padding{}, stride = {1, 1};
};

// The windows that a convolution meets: (N, C, H, W) or (C, H, W) to (N, C * kh * kw, L), with zeros outside and L = H' * W'
// positions as in conv2d. float32 or float64; the result is plain, since a matrix product is what follows.
Tensor unfold(const Tensor& input, const WindowOptions& options);

// The adjoint: (N, C * kh * kw, L) or (C * kh * kw, L) to (N, C, H, W) with (H, W) = output_size; overlapping windows add up.
Tensor fold(const Tensor& input, const AxisInts& output_size, const WindowOptions& options);

}  // namespace cnnx CNNX_API
