// Convolution and pooling.
#include "cnnx/ops/conv2d.h"
#include "cnnx/ops/pool2d.h"

#include "bindings.h"

namespace cnnx::bindings {
namespace {

using Pair = std::array<int64_t, 2>;

Pool2dOptions pool_options(const Pair& kernel, const Pair& stride, const Pair& padding, const Pair& dilation, bool ceil_mode) {
  return {{kernel[0], kernel[1]}, {stride[0], stride[1]}, {padding[0], padding[1]}, {dilation[0], dilation[1]}, ceil_mode};
}

}  // namespace

void register_conv(py::module_& m) {
  m.def(
      "conv2d",
      [](const Tensor& input, const Tensor& weight, const Tensor& bias, const Pair& stride, const std::array<int64_t, 4>& padding,
         const Pair& dilation, int64_t groups) {
        return conv2d(
            input, weight, bias,
            {{stride[0], stride[1]}, {padding[0], padding[1], padding[2], padding[3]}, {dilation[0], dilation[1]}, groups});
      },
      ReleaseGil(), given("input"), given("weight"), py::arg("bias"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("groups"));
  m.def(
      "max_pool2d",
      [](const Tensor& input, const Pair& kernel, const Pair& stride, const Pair& padding, const Pair& dilation, bool ceil_mode) {
        return max_pool2d(input, pool_options(kernel, stride, padding, dilation, ceil_mode));
      },
      ReleaseGil(), given("input"), py::arg("kernel"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("ceil_mode"));
  m.def(
      "max_pool2d_with_indices",
      [](const Tensor& input, const Pair& kernel, const Pair& stride, const Pair& padding, const Pair& dilation, bool ceil_mode) {
        return max_pool2d_with_indices(input, pool_options(kernel, stride, padding, dilation, ceil_mode));
      },
      ReleaseGil(), given("input"), py::arg("kernel"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("ceil_mode"));
  m.def(
      "avg_pool2d",
      [](const Tensor& input, const Pair& kernel, const Pair& stride, const Pair& padding, bool ceil_mode, bool count_include_pad,
         int64_t divisor_override) {
        Pool2dOptions options = pool_options(kernel, stride, padding, {1, 1}, ceil_mode);
        options.count_include_pad = count_include_pad;
        options.divisor_override = divisor_override;
        return avg_pool2d(input, options);
      },
      ReleaseGil(), given("input"), py::arg("kernel"), py::arg("stride"), py::arg("padding"), py::arg("ceil_mode"),
      py::arg("count_include_pad"), py::arg("divisor_override"));
}

}  // namespace cnnx::bindings
