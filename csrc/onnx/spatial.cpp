#include "onnx/spatial.h"

#include <algorithm>
#include <limits>

#include "cnnx/error.h"

namespace cnnx::onnx {

namespace {

// So that no sum or product of them overflows.
void check_size(const NodeRun& run, const char* name, int64_t number) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (number < -kMost || number > kMost) run.fail(message("attribute '", name, "' has a ", number));
}

}  // namespace

AxisInts axis_numbers(const NodeRun& run, const char* name, int axes, int64_t otherwise) {
  const auto given = run.integers(name);
  if (!given) return {axes == 1 ? 1 : otherwise, otherwise};
  if (static_cast<int>(given->size()) != axes)
    run.fail(message("attribute '", name, "' has ", given->size(), " numbers for ", axes, " axes"));
  for (int64_t number : *given) check_size(run, name, number);
  return axes == 1 ? AxisInts{1, (*given)[0]} : AxisInts{(*given)[0], (*given)[1]};
}

Spatial spatial(const NodeRun& run, const Tensor& input, const AxisInts& kernel) {
  Spatial s{.axes = input.ndim() - 2};
  if (s.axes < 1 || s.axes > 2)
    run.unsupported(message("an input of shape ", input.shape(), ": cnnx has one or two spatial axes"));
  s.kernel = kernel;
  s.stride = axis_numbers(run, "strides", s.axes, 1);
  s.dilation = axis_numbers(run, "dilations", s.axes, 1);
  s.automatic = run.string("auto_pad", "NOTSET");
  if (std::min({s.kernel[0], s.kernel[1], s.stride[0], s.stride[1], s.dilation[0], s.dilation[1]}) < 1)
    run.fail("kernel, strides and dilations must be 1 or more");
  if (s.automatic == "NOTSET") {
    const auto pads = run.integers("pads");
    if (!pads) return s;
    if (static_cast<int>(pads->size()) != 2 * s.axes)
      run.fail(message("attribute 'pads' has ", pads->size(), " numbers for ", s.axes, " axes"));
    for (int64_t pad : *pads) {
      check_size(run, "pads", pad);
      if (pad < 0) run.fail(message("attribute 'pads' has a ", pad));
    }
    if (s.axes == 1) s.padding = {0, 0, (*pads)[0], (*pads)[1]};
    else s.padding = {(*pads)[0], (*pads)[2], (*pads)[1], (*pads)[3]};
  } else if (s.automatic == "SAME_UPPER" || s.automatic == "SAME_LOWER") {
    for (int axis = 2 - s.axes; axis < 2; ++axis) {
      const int64_t size = input.size(axis + input.ndim() - 2), out = (size + s.stride[axis] - 1) / s.stride[axis];
      const int64_t total = std::max<int64_t>(0, (out - 1) * s.stride[axis] + s.covered(axis) - size);
      const int64_t small = total / 2, large = total - small;
      s.padding[2 * axis] = s.automatic == "SAME_UPPER" ? small : large;
      s.padding[2 * axis + 1] = s.automatic == "SAME_UPPER" ? large : small;
    }
  } else if (s.automatic != "VALID") run.fail(message("auto_pad ", quoted(s.automatic), " is not known"));
  return s;
}

AxisInts kernel_shape(const NodeRun& run, const Tensor& input) {
  if (!run.integers("kernel_shape")) run.fail("attribute 'kernel_shape' is missing");
  return axis_numbers(run, "kernel_shape", input.ndim() - 2, 1);
}

}  // namespace cnnx::onnx
