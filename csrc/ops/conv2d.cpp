#include "cnnx/ops/conv2d.h"

#include "cnnx/autograd.h"
#include "kernels/table.h"
#include "ops/spatial.h"

namespace cnnx {
namespace {

int64_t output_extent(int64_t input, int64_t padding, int64_t kernel, int64_t stride, int64_t dilation) {
  const int64_t room = input + padding - dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

void check(const Tensor& input, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  if (input.ndim() != 4 && input.ndim() != 3)
    throw ShapeError(message("conv2d: input must be (N, C, H, W) or (C, H, W), got ", input.shape()));
  if (weight.ndim() != 4)
    throw ShapeError(message("conv2d: weight must be (out, in / groups, height, width), got ", weight.shape()));
  if (!is_floating_point(input.dtype()))
    throw TypeError(message("conv2d: input must be float32 or float64, got ", name(input.dtype())));
  if (weight.dtype() != input.dtype() || (bias.defined() && bias.dtype() != input.dtype()))
    throw TypeError(message("conv2d: input is ", name(input.dtype()), ", weight ", name(weight.dtype()),
                            bias.defined() ? message(", bias ", name(bias.dtype())) : std::string()));
  if (o.stride[0] < 1 || o.stride[1] < 1)
    throw ValueError(message("conv2d: stride must be positive, got (", o.stride[0], ", ", o.stride[1], ")"));
  if (o.dilation[0] < 1 || o.dilation[1] < 1)
    throw ValueError(message("conv2d: dilation must be positive, got (", o.dilation[0], ", ", o.dilation[1], ")"));
  for (int64_t p : o.padding)
    if (p < 0) throw ValueError(message("conv2d: padding must not be negative, got ", p));
  const int64_t channels = input.size(-3);
  if (o.groups < 1 || weight.size(0) % o.groups != 0)
    throw ValueError(message("conv2d: groups ", o.groups, " does not divide the ", weight.size(0), " output channels of weight ",
                             weight.shape()));
  if (weight.size(1) * o.groups != channels)
    throw ShapeError(message("conv2d: weight ", weight.shape(), o.groups > 1 ? message(" with groups ", o.groups) : std::string(),
                             " expects ", weight.size(1) * o.groups, " input channels, input ", input.shape(), " has ",
                             channels));
  if (weight.numel() == 0) throw ShapeError(message("conv2d: weight ", weight.shape(), " is empty"));
  if (bias.defined() && !(bias.shape() == Dims{weight.size(0)}))
    throw ShapeError(message("conv2d: bias must have shape (", weight.size(0), ",), got ", bias.shape()));
}

Conv2dShape shape_of(const Tensor& input, const Tensor& weight, const Conv2dOptions& o) {
  Conv2dShape s{};
  s.batch = input.size(0);
  s.in_channels = input.size(1);
  s.in_height = input.size(2);
  s.in_width = input.size(3);
  s.out_channels = weight.size(0);
  s.kernel_height = weight.size(2);
  s.kernel_width = weight.size(3);
  s.stride_height = o.stride[0];
  s.stride_width = o.stride[1];
  s.pad_top = o.padding[0];
  s.pad_left = o.padding[2];
  s.dilation_height = o.dilation[0];
  s.dilation_width = o.dilation[1];
  s.groups = o.groups;
  s.out_height = output_extent(s.in_height, o.padding[0] + o.padding[1], s.kernel_height, s.stride_height, s.dilation_height);
  s.out_width = output_extent(s.in_width, o.padding[2] + o.padding[3], s.kernel_width, s.stride_width, s.dilation_width);
  if (s.out_height < 1 || s.out_width < 1)
    throw ShapeError(message("conv2d: kernel (", s.kernel_height, ", ", s.kernel_width, ") does not fit into input ",
                             input.shape(), " with padding (", o.padding[0], ", ", o.padding[1], ", ", o.padding[2], ", ",
                             o.padding[3], ") and dilation (", s.dilation_height, ", ", s.dilation_width, ")"));
  s.lanes = use_lanes(input) ? lane_count() : 1;
  return s;
}

template <class T>
Tensor conv2d_typed(const Tensor& input, const Tensor& weight, const Tensor& bias, const Conv2dShape& s) {
  const bool lanes = s.lanes > 1, single = input.ndim() == 3;
  const auto x = spatial_input<T>(batched(input), lanes);
  const Tensor w = contiguous(weight), b = bias.defined() ? contiguous(bias) : bias;
  const auto y = spatial_output<T>({s.batch, s.out_channels, s.out_height, s.out_width}, lanes);
  if (s.batch > 0) kernels<T>().conv2d_forward(s, x.data, w.data<T>(), b.defined() ? b.data<T>() : nullptr, y.data);
  const Tensor output = single ? unbatched(y.tensor) : y.tensor;
  if (!needs_grad({input, weight, bias})) return output;

  auto gradient = [s, lanes, single, x = Saved(x.tensor), w = Saved(w)](const Tensor& grad_output, const Needs& needs) -> Grads {
    Grads grads(3);
    const auto g = spatial_input<T>(batched(grad_output), lanes);
    if (needs[0]) {
      const auto grad_input = spatial_output<T>({s.batch, s.in_channels, s.in_height, s.in_width}, lanes);
      if (s.batch > 0) kernels<T>().conv2d_backward_input(s, g.data, w.unpack("conv2d").data<T>(), grad_input.data);
      grads[0] = single ? unbatched(grad_input.tensor) : grad_input.tensor;
    }
    // Zeros, because an empty batch runs no kernel.
    if (needs[1])
      grads[1] = Tensor::zeros({s.out_channels, s.in_channels / s.groups, s.kernel_height, s.kernel_width}, dtype_of<T>());
    if (needs[2]) grads[2] = Tensor::zeros({s.out_channels}, dtype_of<T>());
    if ((needs[1] || needs[2]) && s.batch > 0) {
      const auto saved = spatial_input<T>(x.unpack("conv2d"), lanes);
      kernels<T>().conv2d_backward_weight(s, saved.data, g.data, needs[1] ? grads[1].data<T>() : nullptr,
                                          needs[2] ? grads[2].data<T>() : nullptr);
    }
    return grads;
  };
  return record("conv2d", output, {input, weight, bias}, std::move(gradient));
}

}  // namespace

Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options) {
  check(input, weight, bias, options);
  const Conv2dShape shape = shape_of(batched(input), weight, options);
  return dispatch_floating("conv2d", input.dtype(),
                           [&](auto tag) { return conv2d_typed<decltype(tag)>(input, weight, bias, shape); });
}

}  // namespace cnnx
