// Convolution and transposed convolution. A 1-D one is a 2-D one of height 1, and a transposed one is the input gradient of a
// convolution: it runs the convolution's three kernels with the roles of input and output exchanged.
#include "cnnx/ops/conv.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "kernels/parallel.h"
#include "kernels/table.h"
#include "ops/spatial.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

struct ConvKind {
  const char* op;
  int axes;
  bool transposed;
};

// What both kinds have, over two axes; a 1-D one has height 1.
struct Geometry {
  int64_t stride[2] = {1, 1}, dilation[2] = {1, 1}, padding[4] = {}, output_padding[2] = {};
  int64_t groups = 1;
  Activation activation = Activation::none;
};

template <class Options, size_t kAxes>
void set_common(Geometry& g, const Options& o, const std::array<int64_t, kAxes>&) {
  for (size_t i = 0; i < kAxes; ++i) {
    g.stride[2 - kAxes + i] = o.stride[i];
    g.dilation[2 - kAxes + i] = o.dilation[i];
  }
  g.groups = o.groups;
}

template <int kAxes>
Geometry geometry_of(const ConvOptions<kAxes>& o) {
  Geometry g;
  set_common(g, o, o.stride);
  for (size_t i = 0; i < 2 * kAxes; ++i) g.padding[4 - 2 * kAxes + i] = o.padding[i];
  g.activation = o.activation;
  return g;
}

template <int kAxes>
Geometry geometry_of(const ConvTransposeOptions<kAxes>& o) {
  Geometry g;
  set_common(g, o, o.stride);
  for (size_t i = 0; i < kAxes; ++i) {
    const size_t axis = 2 - kAxes + i;
    g.padding[2 * axis] = g.padding[2 * axis + 1] = o.padding[i];
    g.output_padding[axis] = o.output_padding[i];
  }
  return g;
}

// The numbers that the caller gave: the last ones.
template <size_t kCount>
std::string given(const ConvKind& kind, const int64_t (&values)[kCount]) {
  const size_t count = kCount / 2 * static_cast<size_t>(kind.axes);
  return Dims(values + kCount - count, values + kCount).str();
}

void check(const ConvKind& kind, const Tensor& input, const Tensor& weight, const Tensor& bias, const Geometry& g) {
  const char* op = kind.op;
  const bool flat = kind.axes == 1;
  if (input.ndim() != kind.axes + 1 && input.ndim() != kind.axes + 2)
    throw ShapeError(
        message(op, ": input must be ", flat ? "(N, C, W) or (C, W)" : "(N, C, H, W) or (C, H, W)", ", got ", input.shape()));
  if (weight.ndim() != kind.axes + 2)
    throw ShapeError(message(op, ": weight must be ", kind.transposed ? "(in, out / groups, " : "(out, in / groups, ",
                             flat ? "width)" : "height, width)", ", got ", weight.shape()));
  if (!is_floating_point(input.dtype()))
    throw TypeError(message(op, ": input must be float32 or float64, got ", name(input.dtype())));
  if (weight.dtype() != input.dtype() || (bias.defined() && bias.dtype() != input.dtype()))
    throw TypeError(message(op, ": input is ", name(input.dtype()), ", weight ", name(weight.dtype()),
                            bias.defined() ? message(", bias ", name(bias.dtype())) : std::string()));
  if (g.stride[0] < 1 || g.stride[1] < 1) throw ValueError(message(op, ": stride must be positive, got ", given(kind, g.stride)));
  check_window(op, g.stride, g.dilation, g.padding, g.output_padding);
  if (g.dilation[0] < 1 || g.dilation[1] < 1)
    throw ValueError(message(op, ": dilation must be positive, got ", given(kind, g.dilation)));
  for (int64_t p : g.padding)
    if (p < 0) throw ValueError(message(op, ": padding must not be negative, got ", p));
  for (int i = 0; i < 2; ++i)
    if (g.output_padding[i] < 0 || g.output_padding[i] >= std::max(g.stride[i], g.dilation[i]))
      throw Error(message(op, ": output padding must be smaller than either stride or dilation, got ",
                          given(kind, g.output_padding), " for stride ", given(kind, g.stride), " and dilation ",
                          given(kind, g.dilation)));
  check_same_device(op, input, weight);
  if (bias.defined()) check_same_device(op, input, bias);
  const int64_t channels = input.size(-kind.axes - 1);
  if (g.groups < 1 || weight.size(0) % g.groups != 0)
    throw ValueError(message(op, ": groups ", g.groups, " does not divide the ", weight.size(0),
                             kind.transposed ? " input" : " output", " channels of weight ", weight.shape()));
  const int64_t expected = kind.transposed ? weight.size(0) : weight.size(1) * g.groups;
  if (expected != channels)
    throw ShapeError(message(op, ": weight ", weight.shape(), g.groups > 1 ? message(" with groups ", g.groups) : std::string(),
                             " expects ", expected, " input channels, input ", input.shape(), " has ", channels));
  if (weight.numel() == 0) throw ShapeError(message(op, ": weight ", weight.shape(), " is empty"));
  const int64_t out_channels = kind.transposed ? weight.size(1) * g.groups : weight.size(0);
  if (bias.defined() && !(bias.shape() == Dims{out_channels}))
    throw ShapeError(message(op, ": bias must have shape (", out_channels, ",), got ", bias.shape()));
}

int64_t conv_extent(int64_t input, int64_t padding, int64_t kernel, int64_t stride, int64_t dilation) {
  const int64_t room = checked_sum(checked_sum(input, padding), -checked_product(dilation, kernel - 1)) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

int64_t transposed_extent(int64_t input, int64_t padding, int64_t kernel, int64_t stride, int64_t dilation, int64_t extra) {
  const int64_t reach = checked_sum(checked_product(input - 1, stride), checked_product(dilation, kernel - 1));
  return checked_sum(checked_sum(reach, extra + 1), -padding);
}

// The convolution whose kernels run: for a transposed one, that from its result to its input.
Conv2dShape shape_of(const ConvKind& kind, const Tensor& input, const Tensor& weight, const Geometry& g) {
  const Tensor x = as_images(input, kind.axes), w = as_images(weight, kind.axes);
  Conv2dShape s{};
  s.batch = x.size(0);
  s.kernel_height = w.size(2);
  s.kernel_width = w.size(3);
  s.stride_height = g.stride[0];
  s.stride_width = g.stride[1];
  s.pad_top = g.padding[0];
  s.pad_left = g.padding[2];
  s.dilation_height = g.dilation[0];
  s.dilation_width = g.dilation[1];
  s.groups = g.groups;
  s.activation = g.activation;
  s.out_channels = w.size(0);
  s.in_channels = w.size(1) * g.groups;
  s.lanes = use_lanes(x) ? lane_count() : 1;
  const int64_t rows = checked_sum(g.padding[0], g.padding[1]), columns = checked_sum(g.padding[2], g.padding[3]);
  bool fits;
  if (kind.transposed) {
    s.out_height = x.size(2);
    s.out_width = x.size(3);
    fits = s.out_height > 0 && s.out_width > 0;
    if (fits) {
      s.in_height = transposed_extent(s.out_height, rows, s.kernel_height, g.stride[0], g.dilation[0], g.output_padding[0]);
      s.in_width = transposed_extent(s.out_width, columns, s.kernel_width, g.stride[1], g.dilation[1], g.output_padding[1]);
      fits = s.in_height > 0 && s.in_width > 0;
    }
  } else {
    s.in_height = x.size(2);
    s.in_width = x.size(3);
    s.out_height = conv_extent(s.in_height, rows, s.kernel_height, g.stride[0], g.dilation[0]);
    s.out_width = conv_extent(s.in_width, columns, s.kernel_width, g.stride[1], g.dilation[1]);
    fits = s.out_height > 0 && s.out_width > 0;
  }
  // Kernels copy images with their padding.
  if (fits && checked_product(s.in_channels, checked_product(checked_sum(s.in_height, rows), checked_sum(s.in_width, columns))) >
                  kMaxElements)
    throw Error(
        message(kind.op, ": padding ", given(kind, g.padding), " of input ", input.shape(), " is more than memory can hold"));
  if (!fits)
    throw ShapeError(message(kind.op, ": kernel ", Dims(weight.shape().begin() + 2, weight.shape().end()),
                             " does not fit into input ", input.shape(), " with padding ", given(kind, g.padding),
                             " and dilation ", given(kind, g.dilation), ": the result would be empty"));
  return s;
}

Dims in_shape(const Conv2dShape& s) { return {s.batch, s.in_channels, s.in_height, s.in_width}; }
Dims out_shape(const Conv2dShape& s) { return {s.batch, s.out_channels, s.out_height, s.out_width}; }

// y[n, c, ...] += bias[c], in the layout of the kernels.
template <class T>
void add_bias(const Dims& shape, int64_t lanes, const Tensor& bias_tensor, const Spatial<T>& output) {
  if (output.tensor.device().is_cuda()) {
    NoGrad guard;
    add_(output.tensor, bias_tensor.as_strided({shape[1], 1, 1}, {1, 1, 1}, bias_tensor->offset));
    return;
  }
  const T* bias = bias_tensor.data<T>();
  T* y = output.data;
  const int64_t channels = shape[1], plane = shape[2] * shape[3] * lanes;
  parallel_for((shape[0] + lanes - 1) / lanes * channels, static_cast<double>(plane) / 4, [&](int64_t unit) {
    const T value = bias[unit % channels];
    T* to = y + unit * plane;
    for (int64_t i = 0; i < plane; ++i) to[i] += value;
  });
}

// The sum over images and positions, by the kernel that does it for a convolution: here a 1x1 one whose weights nobody asks for.
template <class T>
void channel_sums(const Device& device, const Dims& shape, int64_t lanes, const T* y, T* sums) {
  Conv2dShape s{};
  s.batch = shape[0];
  s.in_channels = s.out_channels = s.groups = shape[1];
  s.in_height = s.out_height = shape[2];
  s.in_width = s.out_width = shape[3];
  s.kernel_height = s.kernel_width = s.stride_height = s.stride_width = s.dilation_height = s.dilation_width = 1;
  s.lanes = lanes;
  kernels<T>(device).conv2d_backward_weight(s, y, y, nullptr, sums);
}

template <class T>
Tensor run(const ConvKind& kind, const Tensor& input, const Tensor& weight, const Tensor& bias, const Conv2dShape& s) {
  const bool lanes = s.lanes > 1, single = input.ndim() == kind.axes + 1;
  const auto x = spatial_input<T>(as_images(input, kind.axes), lanes);
  const Tensor w = contiguous(weight), b = bias.defined() ? contiguous(bias) : bias;
  const auto y = spatial_output<T>(kind.transposed ? in_shape(s) : out_shape(s), lanes, input.device());
  if (s.batch > 0) {
    const auto& table = kernels<T>(input.device());
    if (kind.transposed) {
      table.conv2d_backward_input(s, x.data, w.pointer<T>(), y.data);
      if (b.defined()) add_bias(in_shape(s), s.lanes, b, y);
    } else {
      table.conv2d_forward(s, x.data, w.pointer<T>(), b.defined() ? b.pointer<T>() : nullptr, y.data);
    }
  }
  const Tensor output = from_images(y.tensor, kind.axes, single);
  if (!needs_grad({input, weight, bias})) return output;

  auto gradient = [kind, s, lanes, single, weight_shape = weight.shape(), x = Saved(x.tensor), w = Saved(w),
                   y = Saved(s.activation == Activation::none ? Tensor() : output)](const Tensor& grad_result,
                                                                                    const Needs& needs) -> Grads {
    Grads grads(3);
    const Tensor grad_output = activation_backward(s.activation, grad_result, y.unpack(kind.op));
    const auto& table = kernels<T>(grad_output.device());
    const auto g = spatial_input<T>(as_images(grad_output, kind.axes), lanes);
    if (needs[0]) {
      const auto grad_input = spatial_output<T>(kind.transposed ? out_shape(s) : in_shape(s), lanes, grad_output.device());
      const T* w_data = s.batch > 0 ? w.unpack(kind.op).template pointer<T>() : nullptr;
      if (s.batch > 0 && kind.transposed) table.conv2d_forward(s, g.data, w_data, nullptr, grad_input.data);
      else if (s.batch > 0) table.conv2d_backward_input(s, g.data, w_data, grad_input.data);
      grads[0] = from_images(grad_input.tensor, kind.axes, single);
    }
    const auto fresh = s.batch > 0 ? Tensor::empty : Tensor::zeros;  // an empty batch runs no kernel
    if (needs[1]) grads[1] = fresh(weight_shape, grad_output.options());
    if (needs[2]) grads[2] = fresh({kind.transposed ? s.in_channels : s.out_channels}, grad_output.options());
    T* grad_weight = needs[1] ? grads[1].pointer<T>() : nullptr;
    T* grad_bias = needs[2] ? grads[2].pointer<T>() : nullptr;
    if (s.batch == 0) return grads;
    if (kind.transposed) {
      if (needs[1]) {
        const auto saved = spatial_input<T>(x.unpack(kind.op), lanes);
        table.conv2d_backward_weight(s, g.data, saved.data, grad_weight, nullptr);
      }
      if (needs[2]) channel_sums(g.tensor.device(), in_shape(s), s.lanes, g.data, grad_bias);
    } else if (needs[1] || needs[2]) {
      const auto saved = spatial_input<T>(x.unpack(kind.op), lanes);
      table.conv2d_backward_weight(s, saved.data, g.data, grad_weight, grad_bias);
    }
    return grads;
  };
  return record(kind.op, output, {input, weight, bias}, std::move(gradient));
}

Tensor convolve(const ConvKind& kind, const Tensor& input, const Tensor& weight, const Tensor& bias, const Geometry& geometry) {
  check(kind, input, weight, bias, geometry);
  const Conv2dShape shape = shape_of(kind, input, weight, geometry);
  return dispatch_floating(kind.op, input.dtype(),
                           [&](auto tag) { return run<decltype(tag)>(kind, input, weight, bias, shape); });
}

}  // namespace

Tensor conv1d(const Tensor& input, const Tensor& weight, const Tensor& bias, const Conv1dOptions& options) {
  return convolve({"conv1d", 1, false}, input, weight, bias, geometry_of(options));
}

Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options) {
  return convolve({"conv2d", 2, false}, input, weight, bias, geometry_of(options));
}

Tensor conv_transpose1d(const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvTranspose1dOptions& options) {
  return convolve({"conv_transpose1d", 1, true}, input, weight, bias, geometry_of(options));
}

Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvTranspose2dOptions& options) {
  return convolve({"conv_transpose2d", 2, true}, input, weight, bias, geometry_of(options));
}

}  // namespace cnnx
