// Pooling. A 1-D one is a 2-D one of height 1, and an adaptive one whose result divides its input has windows of one size.
#include "cnnx/ops/pool.h"

#include "cnnx/autograd.h"
#include "kernels/table.h"
#include "ops/flat.h"
#include "ops/spatial.h"

namespace cnnx {
namespace {

struct PoolKind {
  const char* op;
  int axes;
};

// The options over two axes; a 1-D pooling has height 1.
PoolOptions<2> over_two_axes(const PoolOptions<2>& o) { return o; }
PoolOptions<2> over_two_axes(const PoolOptions<1>& o) {
  return {{1, o.kernel[0]}, {1, o.stride[0]},    {0, o.padding[0]}, {1, o.dilation[0]},
          o.ceil_mode,      o.count_include_pad, o.divisor_override};
}

// The numbers that the caller gave: the last ones.
std::string given(const PoolKind& kind, const AxisInts<2>& values) { return Dims(values.end() - kind.axes, values.end()).str(); }

// Output positions along one axis; with ceil_mode a last window may hang over the right edge if it starts inside the padded
// input.
int64_t output_extent(int64_t input, int64_t padding, int64_t kernel, int64_t stride, int64_t dilation, bool ceil_mode) {
  const int64_t padded = checked_sum(input, checked_product(2, padding));
  const int64_t room = checked_sum(padded - 1 - checked_product(dilation, kernel - 1), ceil_mode ? stride - 1 : 0);
  if (room < 0) return 0;
  const int64_t extent = room / stride + 1;
  return ceil_mode && (extent - 1) * stride >= input + padding ? extent - 1 : extent;
}

Pool2dShape shape_of_input(const PoolKind& kind, const Tensor& input) {
  if (input.ndim() != kind.axes + 1 && input.ndim() != kind.axes + 2)
    throw ShapeError(message(kind.op, ": input must be ", kind.axes == 1 ? "(N, C, W) or (C, W)" : "(N, C, H, W) or (C, H, W)",
                             ", got ", input.shape()));
  const Tensor images = as_images(input, kind.axes);
  Pool2dShape s{};
  s.batch = images.size(0);
  s.channels = images.size(1);
  s.in_height = images.size(2);
  s.in_width = images.size(3);
  s.dilation_height = s.dilation_width = 1;
  s.count_include_pad = true;
  s.lanes = use_lanes(images) ? lane_count() : 1;
  return s;
}

Pool2dShape shape_of(const PoolKind& kind, const Tensor& input, const PoolOptions<2>& o) {
  const char* op = kind.op;
  Pool2dShape s = shape_of_input(kind, input);
  check_window(op, o.kernel, o.stride, o.padding, o.dilation);
  for (size_t i = 0; i < 2; ++i) {
    if (o.kernel[i] < 1 || o.stride[i] < 1 || o.dilation[i] < 1)
      throw ValueError(message(op, ": kernel size, stride and dilation must be positive, got ", given(kind, o.kernel), ", ",
                               given(kind, o.stride), ", ", given(kind, o.dilation)));
    if (o.padding[i] < 0 || o.padding[i] > checked_sum(checked_product(o.dilation[i], o.kernel[i] - 1), 1) / 2)
      throw ValueError(message(op, ": padding must be between 0 and half the kernel, got ", given(kind, o.padding),
                               " for kernel ", given(kind, o.kernel)));
  }
  s.out_height = output_extent(s.in_height, o.padding[0], o.kernel[0], o.stride[0], o.dilation[0], o.ceil_mode);
  s.out_width = output_extent(s.in_width, o.padding[1], o.kernel[1], o.stride[1], o.dilation[1], o.ceil_mode);
  if (s.out_height < 1 || s.out_width < 1)
    throw ShapeError(message(op, ": kernel ", given(kind, o.kernel), " does not fit into input ", input.shape(), " with padding ",
                             given(kind, o.padding)));
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
  return s;
}

Pool2dShape adaptive_shape(const PoolKind& kind, const Tensor& input, const AxisInts<2>& size) {
  Pool2dShape s = shape_of_input(kind, input);
  if (size[0] < 1 || size[1] < 1) throw ValueError(message(kind.op, ": output_size must be positive, got ", given(kind, size)));
  if (s.in_height < 1 || s.in_width < 1)
    throw ShapeError(message(kind.op, ": input ", input.shape(), " has no positions to pool"));
  s.out_height = size[0];
  s.out_width = size[1];
  s.adaptive = s.in_height % s.out_height != 0 || s.in_width % s.out_width != 0;
  // The largest window that can occur, for the cost and, if all are equal, the windows themselves.
  s.kernel_height = (s.in_height + s.out_height - 1) / s.out_height + (s.in_height % s.out_height != 0 ? 1 : 0);
  s.kernel_width = (s.in_width + s.out_width - 1) / s.out_width + (s.in_width % s.out_width != 0 ? 1 : 0);
  s.stride_height = s.kernel_height;
  s.stride_width = s.kernel_width;
  return s;
}

Dims input_shape(const Pool2dShape& s) { return {s.batch, s.channels, s.in_height, s.in_width}; }
Dims output_shape(const Pool2dShape& s) { return {s.batch, s.channels, s.out_height, s.out_width}; }

// The kernels' int32 indices, in the layout of the result, as a plain int64 tensor.
Tensor plain_indices(const Pool2dShape& s, const Tensor& index) {
  if (s.lanes == 1) return result_with_shape(cast(index, DType::int64), output_shape(s));
  Tensor result = Tensor::empty(output_shape(s), {DType::int64});
  int64_t* to = result.data<int64_t>();
  const int32_t* from = index.data<int32_t>();
  const int64_t spatial = s.out_height * s.out_width;
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t c = 0; c < s.channels; ++c)
      for (int64_t p = 0; p < spatial; ++p) *to++ = from[lanes_index(n, c, p, s.channels, spatial, s.lanes)];
  return result;
}

template <class T>
std::pair<Tensor, Tensor> max_pool(const PoolKind& kind, const Tensor& input, const Pool2dShape& s, bool want_indices) {
  const bool lanes = s.lanes > 1, single = input.ndim() == kind.axes + 1, recording = needs_grad({input});
  const auto x = spatial_input<T>(as_images(input, kind.axes), lanes);
  const auto y = spatial_output<T>(output_shape(s), lanes, input.device());
  Tensor index;
  if (recording || want_indices) {
    const int64_t blocks = (s.batch + s.lanes - 1) / s.lanes;
    index = Tensor::empty({blocks * s.lanes * s.channels * s.out_height * s.out_width}, input.options(DType::int32));
  }
  kernels<T>(input.device()).max_pool2d_forward(s, x.data, y.data, index.defined() ? index.pointer<int32_t>() : nullptr);
  const Tensor output = from_images(y.tensor, kind.axes, single);
  Tensor indices;
  if (want_indices) indices = from_images(plain_indices(s, index), kind.axes, single);
  if (recording)
    record(kind.op, output, {input},
           [s, lanes, single, axes = kind.axes, index](const Tensor& grad_output, const Needs&) -> Grads {
             const auto g = spatial_input<T>(as_images(grad_output, axes), lanes);
             const auto grad_input = spatial_output<T>(input_shape(s), lanes, g.tensor.device());
             kernels<T>(g.tensor.device()).max_pool2d_backward(s, g.data, index.pointer<int32_t>(), grad_input.data);
             return {from_images(grad_input.tensor, axes, single)};
           });
  return {output, indices};
}

template <class T>
Tensor avg_pool(const PoolKind& kind, const Tensor& input, const Pool2dShape& s) {
  const bool lanes = s.lanes > 1, single = input.ndim() == kind.axes + 1;
  const auto x = spatial_input<T>(as_images(input, kind.axes), lanes);
  const auto y = spatial_output<T>(output_shape(s), lanes, input.device());
  kernels<T>(input.device()).avg_pool2d_forward(s, x.data, y.data);
  const Tensor output = from_images(y.tensor, kind.axes, single);
  if (!needs_grad({input})) return output;
  return record(kind.op, output, {input}, [s, lanes, single, axes = kind.axes](const Tensor& grad_output, const Needs&) -> Grads {
    const auto g = spatial_input<T>(as_images(grad_output, axes), lanes);
    const auto grad_input = spatial_output<T>(input_shape(s), lanes, g.tensor.device());
    kernels<T>(g.tensor.device()).avg_pool2d_backward(s, g.data, grad_input.data);
    return {from_images(grad_input.tensor, axes, single)};
  });
}

std::pair<Tensor, Tensor> run_max(const PoolKind& kind, const Tensor& input, const Pool2dShape& s, bool want_indices) {
  return dispatch_floating(kind.op, input.dtype(),
                           [&](auto tag) { return max_pool<decltype(tag)>(kind, input, s, want_indices); });
}
Tensor run_avg(const PoolKind& kind, const Tensor& input, const Pool2dShape& s) {
  return dispatch_floating(kind.op, input.dtype(), [&](auto tag) { return avg_pool<decltype(tag)>(kind, input, s); });
}

template <int kAxes>
std::pair<Tensor, Tensor> windowed_max(const char* op, const Tensor& input, const PoolOptions<kAxes>& options,
                                       bool want_indices) {
  const PoolKind kind{op, kAxes};
  return run_max(kind, input, shape_of(kind, input, over_two_axes(options)), want_indices);
}
template <int kAxes>
Tensor windowed_avg(const char* op, const Tensor& input, const PoolOptions<kAxes>& options) {
  const PoolKind kind{op, kAxes};
  return run_avg(kind, input, shape_of(kind, input, over_two_axes(options)));
}
template <size_t kAxes>
std::pair<Tensor, Tensor> adaptive_max(const char* op, const Tensor& input, const std::array<int64_t, kAxes>& size,
                                       bool want_indices) {
  const PoolKind kind{op, static_cast<int>(kAxes)};
  return run_max(kind, input, adaptive_shape(kind, input, {kAxes == 1 ? 1 : size.front(), size.back()}), want_indices);
}
template <size_t kAxes>
Tensor adaptive_avg(const char* op, const Tensor& input, const std::array<int64_t, kAxes>& size) {
  const PoolKind kind{op, static_cast<int>(kAxes)};
  return run_avg(kind, input, adaptive_shape(kind, input, {kAxes == 1 ? 1 : size.front(), size.back()}));
}

}  // namespace

Tensor max_pool1d(const Tensor& input, const Pool1dOptions& options) {
  return windowed_max("max_pool1d", input, options, false).first;
}
Tensor max_pool2d(const Tensor& input, const Pool2dOptions& options) {
  return windowed_max("max_pool2d", input, options, false).first;
}
std::pair<Tensor, Tensor> max_pool1d_with_indices(const Tensor& input, const Pool1dOptions& options) {
  return windowed_max("max_pool1d", input, options, true);
}
std::pair<Tensor, Tensor> max_pool2d_with_indices(const Tensor& input, const Pool2dOptions& options) {
  return windowed_max("max_pool2d", input, options, true);
}
Tensor avg_pool1d(const Tensor& input, const Pool1dOptions& options) { return windowed_avg("avg_pool1d", input, options); }
Tensor avg_pool2d(const Tensor& input, const Pool2dOptions& options) { return windowed_avg("avg_pool2d", input, options); }

Tensor adaptive_max_pool1d(const Tensor& input, const AxisInts<1>& output_size) {
  return adaptive_max("adaptive_max_pool1d", input, output_size, false).first;
}
Tensor adaptive_max_pool2d(const Tensor& input, const AxisInts<2>& output_size) {
  return adaptive_max("adaptive_max_pool2d", input, output_size, false).first;
}
std::pair<Tensor, Tensor> adaptive_max_pool1d_with_indices(const Tensor& input, const AxisInts<1>& output_size) {
  return adaptive_max("adaptive_max_pool1d", input, output_size, true);
}
std::pair<Tensor, Tensor> adaptive_max_pool2d_with_indices(const Tensor& input, const AxisInts<2>& output_size) {
  return adaptive_max("adaptive_max_pool2d", input, output_size, true);
}
Tensor adaptive_avg_pool1d(const Tensor& input, const AxisInts<1>& output_size) {
  return adaptive_avg("adaptive_avg_pool1d", input, output_size);
}
Tensor adaptive_avg_pool2d(const Tensor& input, const AxisInts<2>& output_size) {
  return adaptive_avg("adaptive_avg_pool2d", input, output_size);
}

}  // namespace cnnx
