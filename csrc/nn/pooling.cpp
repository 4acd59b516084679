#include "cnnx/nn/pooling.h"

#include <cmath>

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

}  // namespace cnnx::nn
