// Convolutional layers.
#pragma once

#include "cnnx/api.h"
#include "cnnx/nn/module.h"
#include "cnnx/nn/sizes.h"
#include "cnnx/ops/conv.h"
#include "cnnx/ops/pad.h"

namespace cnnx CNNX_API {
namespace nn {

template <int kAxes>
struct ConvSettings {
  Sizes<kAxes> stride = 1;
  ConvPadding<kAxes> padding = 0;
  Sizes<kAxes> dilation = 1;
  int64_t groups = 1;  // blocks of channels convolved separately; divides both channel counts
  bool bias = true;
  PadMode padding_mode = PadMode::constant;  // constant: zeros
  Activation activation = Activation::none;  // of the result, in the same pass
  DType dtype = default_dtype();
  Device device = {};
};

// Convolution (cross-correlation) of (N, in_channels, H, W) or (in_channels, H, W), of one axis without H; float32 or float64.
// See conv2d() of cnnx/ops/conv.h. Throws ValueError for sizes that are not positive, groups that do not divide the channels, and
// AutoPadding::same with a stride.
//
//   nn::Conv2d(1, 6, 5, {.padding = 2})    nn::Conv2d(3, 8, {3, 5}, {.stride = {1, 2}, .bias = false})
//
// weight: (out_channels, in_channels / groups, kernel...), uniform within 1 / sqrt(fan_in) with fan_in = in_channels / groups
// times the kernel's extents; bias: (out_channels), the same distribution, undefined without. Drawn as Python draws them.
template <int kAxes>
class Conv : public Module {
 public:
  Conv(int64_t in_channels, int64_t out_channels, Sizes<kAxes> kernel_size, const ConvSettings<kAxes>& settings = {});
  Tensor operator()(const Tensor& input) const;
  void reset_parameters();  // draws them anew
  Tensor &weight, &bias;

 private:
  ConvOptions options_;
  PadMode padding_mode_;
  std::vector<int64_t> pads_;  // of a padding mode but zeros, as pad() takes them
};

template <int kAxes>
struct ConvTransposeSettings {
  Sizes<kAxes> stride = 1;
  Sizes<kAxes> padding = 0;         // what the result loses on every side
  Sizes<kAxes> output_padding = 0;  // what it gains at bottom and right; less than stride or dilation
  int64_t groups = 1;
  bool bias = true;
  Sizes<kAxes> dilation = 1;
  DType dtype = default_dtype();
  Device device = {};
};

// Transposed convolution: what a convolution's input gradient computes, with a stride an upsampling. See conv_transpose2d() of
// cnnx/ops/conv.h. weight: (in_channels, out_channels / groups, kernel...); else as Conv.
template <int kAxes>
class ConvTranspose : public Module {
 public:
  ConvTranspose(int64_t in_channels, int64_t out_channels, Sizes<kAxes> kernel_size,
                const ConvTransposeSettings<kAxes>& settings = {});
  Tensor operator()(const Tensor& input) const;
  void reset_parameters();
  Tensor &weight, &bias;

 private:
  ConvOptions options_;
};

using Conv1d = Conv<1>;
using Conv2d = Conv<2>;
using ConvTranspose1d = ConvTranspose<1>;
using ConvTranspose2d = ConvTranspose<2>;

extern template class Conv<1>;
extern template class Conv<2>;
extern template class ConvTranspose<1>;
extern template class ConvTranspose<2>;

}  // namespace nn
}  // namespace cnnx CNNX_API
