#include "cnnx/ops/pool2d.h"

#include "cnnx/autograd.h"
#include "kernels/table.h"
#include "ops/spatial.h"

namespace cnnx {
namespace {

// Output positions along one axis; with ceil_mode a last window may hang over the right edge if it starts inside the padded input.
int64_t output_extent(int64_t input, int64_t padding, int64_t kernel, int64_t stride, int64_t dilation, bool ceil_mode) {
  const int64_t room = input + 2 * padding - dilation * (kernel - 1) - 1 + (ceil_mode ? stride - 1 : 0);
  if (room < 0) return 0;
  const int64_t extent = room / stride + 1;
  return ceil_mode && (extent - 1) * stride >= input + padding ? extent - 1 : extent;
}

Pool2dShape shape_of(const char* op, const Tensor& input, const Pool2dOptions& o) {
  if (input.ndim() != 4 && input.ndim() != 3)
    throw ShapeError(message(op, ": input must be (N, C, H, W) or (C, H, W), got ", input.shape()));
  for (int i = 0; i < 2; ++i) {
    if (o.kernel[i] < 1 || o.stride[i] < 1 || o.dilation[i] < 1)
      throw ValueError(message(op, ": kernel size, stride and dilation must be positive, got (", o.kernel[0], ", ", o.kernel[1],
                               "), (", o.stride[0], ", ", o.stride[1], "), (", o.dilation[0], ", ", o.dilation[1], ")"));
    if (o.padding[i] < 0 || 2 * o.padding[i] > o.dilation[i] * (o.kernel[i] - 1) + 1)
      throw ValueError(message(op, ": padding must be between 0 and half the kernel, got (", o.padding[0], ", ", o.padding[1],
                               ") for kernel (", o.kernel[0], ", ", o.kernel[1], ")"));
  }
  const Tensor batch = as_images(input);
  Pool2dShape s{};
  s.batch = batch.size(0);
  s.channels = batch.size(1);
  s.in_height = batch.size(2);
  s.in_width = batch.size(3);
  s.out_height = output_extent(s.in_height, o.padding[0], o.kernel[0], o.stride[0], o.dilation[0], o.ceil_mode);
  s.out_width = output_extent(s.in_width, o.padding[1], o.kernel[1], o.stride[1], o.dilation[1], o.ceil_mode);
  if (s.out_height < 1 || s.out_width < 1)
    throw ShapeError(message(op, ": kernel (", o.kernel[0], ", ", o.kernel[1], ") does not fit into input ", input.shape(),
                             " with padding (", o.padding[0], ", ", o.padding[1], ")"));
  s.kernel_height = o.kernel[0];
  s.kernel_width = o.kernel[1];
  s.stride_height = o.stride[0];
  s.stride_width = o.stride[1];
  s.pad_top = s.pad_bottom = o.padding[0];
  s.pad_left = s.pad_right = o.padding[1];
  s.dilation_height = o.dilation[0];
  s.dilation_width = o.dilation[1];
  s.count_include_pad = o.count_include_pad;
  s.divisor_override = o.divisor_override;
  s.lanes = use_lanes(batch) ? lane_count() : 1;
  return s;
}

Dims input_shape(const Pool2dShape& s) { return {s.batch, s.channels, s.in_height, s.in_width}; }
Dims output_shape(const Pool2dShape& s) { return {s.batch, s.channels, s.out_height, s.out_width}; }

// The kernels' int32 indices, in the layout of the result, as a plain int64 tensor.
Tensor plain_indices(const Pool2dShape& s, const Tensor& index) {
  Tensor result = Tensor::empty(output_shape(s), DType::int64);
  int64_t* to = result.data<int64_t>();
  const int32_t* from = index.data<int32_t>();
  const int64_t spatial = s.out_height * s.out_width;
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t c = 0; c < s.channels; ++c)
      for (int64_t p = 0; p < spatial; ++p) *to++ = from[lanes_index(n, c, p, s.channels, spatial, s.lanes)];
  return result;
}

template <class T>
std::pair<Tensor, Tensor> max_pool2d_typed(const Tensor& input, const Pool2dShape& s, bool want_indices) {
  const bool lanes = s.lanes > 1, single = input.ndim() == 3, recording = needs_grad({input});
  const auto x = spatial_input<T>(as_images(input), lanes);
  const auto y = spatial_output<T>(output_shape(s), lanes);
  Tensor index;
  if (recording || want_indices) {
    const int64_t blocks = (s.batch + s.lanes - 1) / s.lanes;
    index = Tensor::empty({blocks * s.lanes * s.channels * s.out_height * s.out_width}, DType::int32);
  }
  kernels<T>().max_pool2d_forward(s, x.data, y.data, index.defined() ? index.data<int32_t>() : nullptr);
  const Tensor output = from_images(y.tensor, 2, single);
  Tensor indices = want_indices ? plain_indices(s, index) : Tensor();
  if (want_indices) indices = from_images(indices, 2, single);
  if (recording)
    record("max_pool2d", output, {input}, [s, lanes, single, index](const Tensor& grad_output, const Needs&) -> Grads {
      const auto g = spatial_input<T>(as_images(grad_output), lanes);
      const auto grad_input = spatial_output<T>(input_shape(s), lanes);
      kernels<T>().max_pool2d_backward(s, g.data, index.data<int32_t>(), grad_input.data);
      return {from_images(grad_input.tensor, 2, single)};
    });
  return {output, indices};
}

template <class T>
Tensor avg_pool2d_typed(const Tensor& input, const Pool2dShape& s) {
  const bool lanes = s.lanes > 1, single = input.ndim() == 3;
  const auto x = spatial_input<T>(as_images(input), lanes);
  const auto y = spatial_output<T>(output_shape(s), lanes);
  kernels<T>().avg_pool2d_forward(s, x.data, y.data);
  const Tensor output = from_images(y.tensor, 2, single);
  if (!needs_grad({input})) return output;
  return record("avg_pool2d", output, {input}, [s, lanes, single](const Tensor& grad_output, const Needs&) -> Grads {
    const auto g = spatial_input<T>(as_images(grad_output), lanes);
    const auto grad_input = spatial_output<T>(input_shape(s), lanes);
    kernels<T>().avg_pool2d_backward(s, g.data, grad_input.data);
    return {from_images(grad_input.tensor, 2, single)};
  });
}

std::pair<Tensor, Tensor> run_max_pool2d(const Tensor& input, const Pool2dOptions& options, bool want_indices) {
  return dispatch_floating("max_pool2d", input.dtype(), [&](auto tag) {
    return max_pool2d_typed<decltype(tag)>(input, shape_of("max_pool2d", input, options), want_indices);
  });
}

}  // namespace

Tensor max_pool2d(const Tensor& input, const Pool2dOptions& options) { return run_max_pool2d(input, options, false).first; }

std::pair<Tensor, Tensor> max_pool2d_with_indices(const Tensor& input, const Pool2dOptions& options) {
  return run_max_pool2d(input, options, true);
}

Tensor avg_pool2d(const Tensor& input, const Pool2dOptions& options) {
  return dispatch_floating("avg_pool2d", input.dtype(), [&](auto tag) {
    return avg_pool2d_typed<decltype(tag)>(input, shape_of("avg_pool2d", input, options));
  });
}

}  // namespace cnnx
