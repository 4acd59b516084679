// Pooling and resizing layers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/nn/sizes.h"
#include "cnnx/ops/pool.h"
#include "cnnx/ops/resample.h"

namespace cnnx CNNX_API {
namespace nn {

template <int kAxes>
struct MaxPoolSettings {
  std::optional<Sizes<kAxes>> stride = {};  // none: the kernel
  Sizes<kAxes> padding = 0;                 // at most half the kernel
  Sizes<kAxes> dilation = 1;
  bool ceil_mode = false;  // a last window that only begins inside counts too
};

// The maximum of every window of (N, C, H, W) or (C, H, W), of one axis without H. See max_pool2d() of cnnx/ops/pool.h.
template <int kAxes>
class MaxPool {
 public:
  MaxPool(Sizes<kAxes> kernel_size, const MaxPoolSettings<kAxes>& settings = {})
      : options_{.kernel = kernel_size.axes,
                 .stride = settings.stride.value_or(kernel_size).axes,
                 .padding = settings.padding.axes,
                 .dilation = settings.dilation.axes,
                 .ceil_mode = settings.ceil_mode} {}
  Tensor operator()(const Tensor& input) const {
    if constexpr (kAxes == 1) return max_pool1d(input, options_);
    else return max_pool2d(input, options_);
  }
  std::string str() const;  // "MaxPool2d(kernel_size=2, ...)", as all of these have

 private:
  PoolOptions options_;
};

template <int kAxes>
struct AvgPoolSettings {
  std::optional<Sizes<kAxes>> stride = {};  // none: the kernel
  Sizes<kAxes> padding = 0;
  bool ceil_mode = false;
  bool count_include_pad = true;
  int64_t divisor_override = 0;  // 0: the number of positions
};

// The mean of every window.
template <int kAxes>
class AvgPool {
 public:
  AvgPool(Sizes<kAxes> kernel_size, const AvgPoolSettings<kAxes>& settings = {})
      : options_{.kernel = kernel_size.axes,
                 .stride = settings.stride.value_or(kernel_size).axes,
                 .padding = settings.padding.axes,
                 .ceil_mode = settings.ceil_mode,
                 .count_include_pad = settings.count_include_pad,
                 .divisor_override = settings.divisor_override} {}
  Tensor operator()(const Tensor& input) const {
    if constexpr (kAxes == 1) return avg_pool1d(input, options_);
    else return avg_pool2d(input, options_);
  }
  std::string str() const;

 private:
  PoolOptions options_;
};

// As many windows as wanted, which cover the input.
template <int kAxes>
struct AdaptiveMaxPool {
  Sizes<kAxes> output_size;
  Tensor operator()(const Tensor& input) const {
    if constexpr (kAxes == 1) return adaptive_max_pool1d(input, output_size.axes[1]);
    else return adaptive_max_pool2d(input, output_size.axes);
  }
  std::string str() const;
};
template <int kAxes>
struct AdaptiveAvgPool {
  Sizes<kAxes> output_size;
  Tensor operator()(const Tensor& input) const {
    if constexpr (kAxes == 1) return adaptive_avg_pool1d(input, output_size.axes[1]);
    else return adaptive_avg_pool2d(input, output_size.axes);
  }
  std::string str() const;
};

using MaxPool1d = MaxPool<1>;
using MaxPool2d = MaxPool<2>;
using AvgPool1d = AvgPool<1>;
using AvgPool2d = AvgPool<2>;
using AdaptiveMaxPool1d = AdaptiveMaxPool<1>;
using AdaptiveMaxPool2d = AdaptiveMaxPool<2>;
using AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
using AdaptiveAvgPool2d = AdaptiveAvgPool<2>;

// Resizes signals (N, C, W) and images (N, C, H, W) to a size, or by factors: floor(extent * factor). One number is for all axes.
// Throws ValueError unless one of the two is given. See resample() of cnnx/ops/resample.h.
struct Upsample {
  std::vector<int64_t> size = {};
  std::vector<double> scale_factor = {};
  ResampleMode mode = ResampleMode::nearest;
  bool align_corners = false;
  Tensor operator()(const Tensor& input) const;
  std::string str() const;
};

}  // namespace nn
}  // namespace cnnx CNNX_API
