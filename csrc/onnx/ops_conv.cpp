// Convolutions, transposed ones, windows that are added up.
#include <algorithm>
#include <limits>

#include "cnnx/ops/conv.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/pad.h"
#include "cnnx/ops/unfold.h"
#include "cnnx/ops/view.h"
#include "onnx/spatial.h"

namespace cnnx::onnx {
namespace {

AxisInts kernel_of(const NodeRun& run, const Tensor& input, const Tensor& weight) {
  if (weight.ndim() != input.ndim()) run.fail(message("weight ", weight.shape(), " for input ", input.shape()));
  const int axes = input.ndim() - 2;
  const auto said = run.integers("kernel_shape");
  if (said && !std::equal(said->begin(), said->end(), weight.shape().begin() + std::min(2, weight.ndim()), weight.shape().end()))
    run.fail(message("attribute 'kernel_shape' is ", Dims(said->begin(), said->end()), ", the weight ", weight.shape()));
  return axes == 2 ? AxisInts{weight.size(2), weight.size(3)} : AxisInts{1, axes == 1 ? weight.size(2) : 1};
}

void conv(NodeRun& run) {
  const Tensor &x = run.in(0), &w = run.in(1);
  const Spatial s = spatial(run, x, kernel_of(run, x, w));
  const ConvOptions options{.stride = s.stride, .padding = s.padding, .dilation = s.dilation, .groups = run.integer("group", 1)};
  run.out(s.axes == 1 ? conv1d(x, w, run.optional(2), options) : conv2d(x, w, run.optional(2), options));
}

// What the padding takes away may be negative: where output_shape asks for more than the input gives.
void conv_transpose(NodeRun& run) {
  const Tensor &x = run.in(0), &w = run.in(1), &bias = run.optional(2);
  const Spatial s = spatial(run, x, kernel_of(run, x, w));
  const AxisInts extra = axis_numbers(run, "output_padding", s.axes, 0);
  ConvOptions options{.stride = s.stride, .dilation = s.dilation, .groups = run.integer("group", 1)};
  std::array<int64_t, 4> away = s.automatic == "NOTSET" ? s.padding : std::array<int64_t, 4>{};
  auto size = run.integers("output_shape");
  for (int64_t extent : size.value_or(std::vector<int64_t>()))
    if (extent < 1 || extent > kMaxElements) run.fail(message("attribute 'output_shape' has a ", extent));
  if (size && size->size() == static_cast<size_t>(x.ndim())) size->erase(size->begin(), size->begin() + 2);
  if (size && size->size() != static_cast<size_t>(s.axes))
    run.fail(message("attribute 'output_shape' has ", size->size(), " numbers for ", s.axes, " axes"));
  for (int axis = 2 - s.axes; axis < 2; ++axis) {
    const int64_t in = x.size(axis + x.ndim() - 2), whole = s.stride[axis] * (in - 1) + s.covered(axis) + extra[axis];
    if (size || s.automatic == "SAME_UPPER" || s.automatic == "SAME_LOWER") {
      const int64_t wanted = size ? (*size)[static_cast<size_t>(axis - (2 - s.axes))] : in * s.stride[axis];
      const int64_t total = std::max<int64_t>(0, whole - wanted), half = total / 2;
      away[2 * axis] = s.automatic == "SAME_UPPER" ? half : total - half;
      away[2 * axis + 1] = total - away[2 * axis];
      if (whole < wanted) away[2 * axis + 1] = whole - wanted;
    }
    away[2 * axis + 1] -= extra[axis];
  }
  const bool grows = std::ranges::any_of(away, [](int64_t n) { return n < 0; });
  for (size_t i = 0; i < 4; ++i) options.padding[i] = std::max<int64_t>(away[i], 0);
  const Tensor b = grows ? Tensor() : bias;
  Tensor y = s.axes == 1 ? conv_transpose1d(x, w, b, options) : conv_transpose2d(x, w, b, options);
  if (grows) {
    const auto more = [&](size_t i) { return std::max<int64_t>(-away[i], 0); };
    std::vector<int64_t> pads = {more(2), more(3)};
    if (s.axes == 2) pads.insert(pads.end(), {more(0), more(1)});
    y = pad(y, pads);
    if (bias.defined()) y = add(y, reshape(bias, s.axes == 1 ? Dims{-1, 1} : Dims{-1, 1, 1}));
  }
  run.out(y);
}

void col_to_im(NodeRun& run) {
  const Tensor& x = run.in(0);
  const std::vector<int64_t> size = run.integers(size_t{1}), kernel = run.integers(size_t{2});
  if (size.size() != 2 || kernel.size() != 2) run.unsupported(message("images of ", size.size(), " axes"));
  const std::vector<int64_t> pads = run.integers("pads").value_or(std::vector<int64_t>(4, 0));
  if (pads.size() != 4) run.fail("attribute 'pads' needs 4 numbers");
  for (const std::vector<int64_t>* numbers : {&size, &kernel, &pads})
    for (int64_t number : *numbers)
      if (number < (numbers == &pads ? 0 : 1) || number > std::numeric_limits<int32_t>::max())
        run.fail(message("a size, kernel or padding of ", number));
  // fold() has one padding for both sides: into a frame that holds the padding, which is then cut off.
  const Tensor framed = fold(x, {size[0] + pads[0] + pads[2], size[1] + pads[1] + pads[3]},
                             {.kernel = {kernel[0], kernel[1]},
                              .dilation = axis_numbers(run, "dilations", 2, 1),
                              .stride = axis_numbers(run, "strides", 2, 1)});
  run.out(pad(framed, {-pads[1], -pads[3], -pads[0], -pads[2]}));
}

constexpr Op kOps[] = {
    {.name = "Conv", .run = conv, .attributes = "auto_pad dilations group kernel_shape pads strides", .parameters = 0b110},
    {.name = "ConvTranspose",
     .run = conv_transpose,
     .attributes = "auto_pad dilations group kernel_shape output_padding output_shape pads strides",
     .parameters = 0b110},
    {.name = "Col2Im", .run = col_to_im, .attributes = "dilations pads strides"},
};

}  // namespace

std::span<const Op> conv_ops() { return kOps; }

}  // namespace cnnx::onnx
