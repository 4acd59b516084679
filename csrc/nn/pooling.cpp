#include "cnnx/nn/pooling.h"

#include <cmath>

#include "nn/settings.h"

namespace cnnx::nn {
namespace {

template <class T>
std::vector<T> of_axes(const char* what, const std::vector<T>& given, const Tensor& input) {
  const auto axes = static_cast<size_t>(input.ndim() - 2);
  if (given.size() != 1 && given.size() != axes)
    throw ValueError(message("Upsample: ", given.size(), " numbers of ", what, " for an input of shape ", input.shape()));
  return given.size() == 1 ? std::vector<T>(axes, given[0]) : given;
}

}  // namespace

Tensor Upsample::operator()(const Tensor& input) const {
  if (size.empty() == scale_factor.empty()) throw ValueError("Upsample: takes one of size and scale_factor");
  if (input.ndim() != 3 && input.ndim() != 4)
    throw ShapeError(message("Upsample: takes (N, C, W) and (N, C, H, W), got shape ", input.shape()));
  ResampleOptions options{.mode = mode, .align_corners = align_corners};
  std::vector<int64_t> sizes;
  if (!size.empty()) {
    sizes = of_axes("size", size, input);
  } else {
    options.factors = of_axes("scale_factor", scale_factor, input);
    for (size_t axis = 0; axis < options.factors.size(); ++axis) {
      const double extent = static_cast<double>(input.size(static_cast<int>(axis) + 2)) * options.factors[axis];
      if (!(extent >= 0 && extent < 1e12))
        throw ValueError(
            message("Upsample: a scale_factor of ", options.factors[axis], " for an input of shape ", input.shape()));
      sizes.push_back(static_cast<int64_t>(extent));
    }
  }
  return resample(input, sizes, options);
}

namespace {

template <int kAxes>
Settings of_windows(const char* layer, const PoolOptions& o) {
  Settings text(message(layer, kAxes, "d"));
  text.add("kernel_size", one_or_all(last_axes(o.kernel, kAxes))).add("stride", one_or_all(last_axes(o.stride, kAxes)));
  return text.add("padding", one_or_all(last_axes(o.padding, kAxes)));
}
template <int kAxes>
std::string adaptive(const char* layer, const Sizes<kAxes>& size) {
  return Settings(message(layer, kAxes, "d")).add("output_size", one_or_all(last_axes(size.axes, kAxes))).str();
}

}  // namespace

template <int kAxes>
std::string MaxPool<kAxes>::str() const {
  Settings text = of_windows<kAxes>("MaxPool", options_);
  text.add("dilation", one_or_all(last_axes(options_.dilation, kAxes)));
  return text.add("ceil_mode", options_.ceil_mode).str();
}
template <int kAxes>
std::string AvgPool<kAxes>::str() const {
  return of_windows<kAxes>("AvgPool", options_).str();
}
template <int kAxes>
std::string AdaptiveMaxPool<kAxes>::str() const {
  return adaptive("AdaptiveMaxPool", output_size);
}
template <int kAxes>
std::string AdaptiveAvgPool<kAxes>::str() const {
  return adaptive("AdaptiveAvgPool", output_size);
}
template std::string MaxPool<1>::str() const;
template std::string MaxPool<2>::str() const;
template std::string AvgPool<1>::str() const;
template std::string AvgPool<2>::str() const;
template std::string AdaptiveMaxPool<1>::str() const;
template std::string AdaptiveMaxPool<2>::str() const;
template std::string AdaptiveAvgPool<1>::str() const;
template std::string AdaptiveAvgPool<2>::str() const;

std::string Upsample::str() const {
  Settings text("Upsample");
  if (!size.empty()) text.add("size", one_or_all(Dims(size.begin(), size.end())));
  if (!scale_factor.empty()) text.add("scale_factor", scale_factor);
  return text.add("mode", message("'", name(mode), "'")).str();
}

}  // namespace cnnx::nn
