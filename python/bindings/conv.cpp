// Convolution, padding, windows, resizing, reading by a grid.
#include "cnnx/ops/conv.h"
#include "cnnx/ops/grid_sample.h"
#include "cnnx/ops/pad.h"
#include "cnnx/ops/resample.h"
#include "cnnx/ops/unfold.h"

#include "arguments.h"
#include "bindings.h"

namespace cnnx::bindings {
namespace {

using Pair = std::array<int64_t, 2>;

PadMode pad_mode(const std::string& mode) {
  if (mode == "constant") return PadMode::constant;
  if (mode == "reflect") return PadMode::reflect;
  if (mode == "replicate") return PadMode::replicate;
  if (mode == "circular") return PadMode::circular;
  throw NotImplementedError("pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got '" + mode + "'");
}

ResampleMode resample_mode(const std::string& mode) {
  for (ResampleMode known : {ResampleMode::nearest, ResampleMode::nearest_exact, ResampleMode::linear, ResampleMode::cubic})
    if (mode == name(known)) return known;
  throw ValueError("interpolate: unknown mode '" + mode + "'");
}

GridMode grid_mode(const std::string& mode) {
  if (mode == "bilinear") return GridMode::bilinear;
  if (mode == "nearest") return GridMode::nearest;
  if (mode == "bicubic") return GridMode::bicubic;
  throw ValueError("grid_sample: mode must be 'bilinear', 'nearest' or 'bicubic', got '" + mode + "'");
}

GridPadding grid_padding(const std::string& mode) {
  if (mode == "zeros") return GridPadding::zeros;
  if (mode == "border") return GridPadding::border;
  if (mode == "reflection") return GridPadding::reflection;
  throw ValueError("grid_sample: padding_mode must be 'zeros', 'border' or 'reflection', got '" + mode + "'");
}

using ConvOp = Tensor(const Tensor&, const Tensor&, const Tensor&, const ConvOptions&);

template <size_t kAxes>
void register_convolutions(py::module_& m, const char* name, ConvOp* convolution, const char* transposed_name,
                           ConvOp* transposed) {
  using Axes = std::array<int64_t, kAxes>;
  m.def(
      name,
      [convolution](const Tensor& input, const Tensor& weight, const Tensor& bias, const Axes& stride,
                    const std::array<int64_t, 2 * kAxes>& padding, const Axes& dilation, int64_t groups, Activation activation) {
        return convolution(input, weight, bias, {last<2>(stride), last<4>(padding), last<2>(dilation), groups, activation});
      },
      ReleaseGil(), given("input"), given("weight"), py::arg("bias"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("groups"), py::arg("activation") = py::none());
  m.def(
      transposed_name,
      [transposed](const Tensor& input, const Tensor& weight, const Tensor& bias, const Axes& stride, const Axes& padding,
                   const Axes& output_padding, const Axes& dilation, int64_t groups) {
        const auto [rows, columns] = last<2>(padding);
        return transposed(input, weight, bias,
                          {last<2>(stride),
                           {rows, rows, columns, columns},
                           last<2>(dilation),
                           groups,
                           Activation::none,
                           last<2>(output_padding)});
      },
      ReleaseGil(), given("input"), given("weight"), py::arg("bias"), py::arg("stride"), py::arg("padding"),
      py::arg("output_padding"), py::arg("dilation"), py::arg("groups"));
}

}  // namespace

void register_conv(py::module_& m) {
  register_convolutions<1>(m, "conv1d", conv1d, "conv_transpose1d", conv_transpose1d);
  m.def("check_activation", [](Activation) {}, py::arg("activation"));
  register_convolutions<2>(m, "conv2d", conv2d, "conv_transpose2d", conv_transpose2d);
  m.def(
      "pad",
      [](const Tensor& input, const std::vector<int64_t>& pads, const std::string& mode, const Number& value) {
        return pad(input, pads, pad_mode(mode), value);
      },
      ReleaseGil(), given("input"), py::arg("pads"), py::arg("mode"), py::arg("value"));
  m.def(
      "unfold",
      [](const Tensor& input, const Pair& kernel, const Pair& dilation, const Pair& padding, const Pair& stride) {
        return unfold(input, {kernel, dilation, padding, stride});
      },
      ReleaseGil(), given("input"), py::arg("kernel"), py::arg("dilation"), py::arg("padding"), py::arg("stride"));
  m.def(
      "fold",
      [](const Tensor& input, const Pair& output_size, const Pair& kernel, const Pair& dilation, const Pair& padding,
         const Pair& stride) { return fold(input, output_size, {kernel, dilation, padding, stride}); },
      ReleaseGil(), given("input"), py::arg("output_size"), py::arg("kernel"), py::arg("dilation"), py::arg("padding"),
      py::arg("stride"));
  m.def(
      "resample",
      [](const Tensor& input, const std::vector<int64_t>& size, const std::string& mode, bool align_corners, bool antialias,
         const std::vector<double>& factors) {
        return resample(input, size, {resample_mode(mode), align_corners, antialias, factors});
      },
      ReleaseGil(), given("input"), py::arg("size"), py::arg("mode"), py::arg("align_corners"), py::arg("antialias"),
      py::arg("factors"));
  m.def(
      "grid_sample",
      [](const Tensor& input, const Tensor& grid, const std::string& mode, const std::string& padding_mode, bool align_corners) {
        return grid_sample(input, grid, grid_mode(mode), grid_padding(padding_mode), align_corners);
      },
      ReleaseGil(), given("input"), given("grid"), py::arg("mode"), py::arg("padding_mode"), py::arg("align_corners"));
}

}  // namespace cnnx::bindings
