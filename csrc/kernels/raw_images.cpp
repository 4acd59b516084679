// cnnx/kernels.h: layout, convolution and pooling.
#include "kernels/dispatch.h"
#include "kernels/raw.h"

namespace cnnx::raw {
namespace {

// Positions of a window along one axis, 0 where it does not fit; with ceil_mode a last one may hang over the right edge if it
// starts inside the padded input. Numbers are below 2^31.
int64_t positions(int64_t in, int64_t before, int64_t after, int64_t kernel, int64_t stride, int64_t dilation, bool ceil_mode) {
  if (in < 1 || kernel < 1 || stride < 1 || dilation < 1 || before < 0 || after < 0) return 0;
  const int64_t room = in + before + after - 1 - dilation * (kernel - 1) + (ceil_mode ? stride - 1 : 0);
  if (room < 0) return 0;
  const int64_t count = room / stride + 1;
  return ceil_mode && (count - 1) * stride >= in + before ? count - 1 : count;
}

// Numbers whose products could leave 64 bits give 0 as what does not fit; a call refuses them.
bool small(std::initializer_list<int64_t> numbers) {
  for (int64_t number : numbers)
    if (number > INT32_MAX) return false;
  return true;
}

Conv2dShape checked(const char* name, const Conv2d& s, const Where& where) {
  elements(name, "x", {s.batch, s.in_channels, s.in_height, s.in_width});
  check_number(name, "stride_height", s.stride_height, 1);
  check_number(name, "stride_width", s.stride_width, 1);
  check_number(name, "dilation_height", s.dilation_height, 1);
  check_number(name, "dilation_width", s.dilation_width, 1);
  for (const int64_t pad : {s.pad_top, s.pad_bottom, s.pad_left, s.pad_right}) check_number(name, "padding", pad, 0);
  check_number(name, "in_height", s.in_height, 1);
  check_number(name, "in_width", s.in_width, 1);
  check_number(name, "groups", s.groups, 1);
  check_number(name, "out_channels", s.out_channels, 1);
  check_lanes(name, s.lanes, where);
  check_activation(name, s.activation);
  if (s.in_channels % s.groups != 0 || s.out_channels % s.groups != 0)
    throw ShapeError(
        message(name, ": groups ", s.groups, " must divide in_channels ", s.in_channels, " and out_channels ", s.out_channels));
  elements(name, "weight", {s.out_channels, s.in_channels / s.groups, s.kernel_height, s.kernel_width});
  check_number(name, "kernel_height", s.kernel_height, 1);
  check_number(name, "kernel_width", s.kernel_width, 1);
  const int64_t out_height = s.out_height(), out_width = s.out_width();
  if (out_height < 1 || out_width < 1)
    throw ShapeError(message(name, ": kernel ", Dims{s.kernel_height, s.kernel_width}, " does not fit into x ",
                             Dims{s.batch, s.in_channels, s.in_height, s.in_width}, " with padding ",
                             Dims{s.pad_top, s.pad_bottom, s.pad_left, s.pad_right}, " and dilation ",
                             Dims{s.dilation_height, s.dilation_width}));
  // Kernels copy images with their padding.
  elements(name, "x with its padding",
           {s.batch + s.lanes, s.in_channels, s.in_height + s.pad_top + s.pad_bottom, s.in_width + s.pad_left + s.pad_right});
  elements(name, "y", {s.batch + s.lanes, s.out_channels, out_height, out_width});
  return {s.batch,          s.in_channels,  s.in_height,     s.in_width,     s.out_channels, out_height, out_width,
          s.kernel_height,  s.kernel_width, s.stride_height, s.stride_width, s.pad_top,      s.pad_left, s.dilation_height,
          s.dilation_width, s.groups,       s.lanes,         s.activation,   s.accumulate};
}

enum class PoolKind { max, average };
Pool2dShape checked(const char* name, PoolKind kind, const Pool2d& s, const Where& where) {
  check_number(name, "kernel_height", s.kernel_height, 1);
  check_number(name, "kernel_width", s.kernel_width, 1);
  check_number(name, "stride_height", s.stride_height, 0);
  check_number(name, "stride_width", s.stride_width, 0);
  check_number(name, "dilation_height", s.dilation_height, 1);
  check_number(name, "dilation_width", s.dilation_width, 1);
  check_number(name, "in_height", s.in_height, 1);
  check_number(name, "in_width", s.in_width, 1);
  check_lanes(name, s.lanes, where);
  elements(name, "x", {s.batch, s.channels, s.in_height, s.in_width});
  if (kind == PoolKind::average && (s.dilation_height > 1 || s.dilation_width > 1))
    throw ValueError(message(name, ": has no dilation, got ", Dims{s.dilation_height, s.dilation_width}));
  const auto half = [](int64_t kernel, int64_t dilation) { return (dilation * (kernel - 1) + 1) / 2; };
  if (s.pad_height < 0 || s.pad_width < 0 || s.pad_height > half(s.kernel_height, s.dilation_height) ||
      s.pad_width > half(s.kernel_width, s.dilation_width))
    throw ValueError(message(name, ": padding must be between 0 and half the kernel, got ", Dims{s.pad_height, s.pad_width},
                             " for kernel ", Dims{s.kernel_height, s.kernel_width}));
  const int64_t out_height = s.out_height(), out_width = s.out_width();
  if (out_height < 1 || out_width < 1)
    throw ShapeError(message(name, ": kernel ", Dims{s.kernel_height, s.kernel_width}, " does not fit into x ",
                             Dims{s.batch, s.channels, s.in_height, s.in_width}, " with padding ",
                             Dims{s.pad_height, s.pad_width}));
  elements(name, "y", {s.batch, s.channels, out_height, out_width});
  if (s.in_height * s.in_width > INT32_MAX)
    throw ShapeError(message(name, ": an image ", Dims{s.in_height, s.in_width}, " has more pixels than an index counts"));
  Pool2dShape p{};
  p.batch = s.batch, p.channels = s.channels, p.in_height = s.in_height, p.in_width = s.in_width;
  p.out_height = out_height, p.out_width = out_width;
  p.kernel_height = s.kernel_height, p.kernel_width = s.kernel_width;
  p.stride_height = s.stride_height > 0 ? s.stride_height : s.kernel_height;
  p.stride_width = s.stride_width > 0 ? s.stride_width : s.kernel_width;
  p.pad_top = p.pad_bottom = s.pad_height, p.pad_left = p.pad_right = s.pad_width;
  p.dilation_height = s.dilation_height, p.dilation_width = s.dilation_width;
  p.count_include_pad = s.count_include_pad;
  p.lanes = s.lanes;
  return p;
}

}  // namespace

int lane_count() { return cnnx::lane_count(); }

int lanes_for(int64_t batch) { return batch > 0 && batch >= (lane_count() + 1) / 2 ? lane_count() : 1; }

int64_t size_in_lanes(int64_t batch, int64_t features, int64_t lanes) {
  check_lanes("size_in_lanes", lanes, {});
  elements("size_in_lanes", "(batch, features)", {batch, features});
  return (batch + lanes - 1) / lanes * lanes * features;
}

void pack_lanes(int64_t batch, int64_t features, const float* plain, float* packed, const Where& where) {
  const char* name = "pack_lanes";
  if (on_device(name, where)) throw ValueError("pack_lanes: arrays are plain on a device");
  elements(name, "(batch, features)", {batch, features});
  check_pointer(name, "plain", plain);
  check_pointer(name, "packed", packed);
  run(name, where, Scratch::none,
      [&](const auto& k, const Queue& queue) { k.pack_lanes(queue, batch, features, lane_count(), plain, packed); });
}

void unpack_lanes(int64_t batch, int64_t features, const float* packed, float* plain, const Where& where) {
  const char* name = "unpack_lanes";
  if (on_device(name, where)) throw ValueError("unpack_lanes: arrays are plain on a device");
  elements(name, "(batch, features)", {batch, features});
  check_pointer(name, "packed", packed);
  check_pointer(name, "plain", plain);
  run(name, where, Scratch::none,
      [&](const auto& k, const Queue& queue) { k.unpack_lanes(queue, batch, features, lane_count(), packed, plain); });
}

int64_t Conv2d::out_height() const {
  if (!small({in_height, pad_top, pad_bottom, kernel_height, stride_height, dilation_height})) return 0;
  return positions(in_height, pad_top, pad_bottom, kernel_height, stride_height, dilation_height, false);
}
int64_t Conv2d::out_width() const {
  if (!small({in_width, pad_left, pad_right, kernel_width, stride_width, dilation_width})) return 0;
  return positions(in_width, pad_left, pad_right, kernel_width, stride_width, dilation_width, false);
}

void conv2d_forward(const Conv2d& shape, const float* x, const float* weight, const float* bias, float* y, const Where& where) {
  const char* name = "conv2d_forward";
  const Conv2dShape s = checked(name, shape, where);
  check_pointer(name, "x", x);
  check_pointer(name, "weight", weight);
  check_pointer(name, "y", y);
  run(name, where, Scratch::asks, [&](const auto& k, const Queue& queue) { k.conv2d_forward(queue, s, x, weight, bias, {}, y); });
}

size_t conv2d_forward_workspace_size(const Conv2d& shape, const Where& where) {
  const char* name = "conv2d_forward_workspace_size";
  const Conv2dShape s = checked(name, shape, where);
  return workspace_size(name, where, Scratch::asks, [&](const auto& k, const Queue& queue) {
    k.conv2d_forward(queue, s, kSomewhere, kSomewhere, kSomewhere, {}, kSomewhere);
  });
}

void conv2d_backward_input(const Conv2d& shape, const float* grad_y, const float* weight, float* grad_x, const Where& where) {
  const char* name = "conv2d_backward_input";
  const Conv2dShape s = checked(name, shape, where);
  check_pointer(name, "grad_y", grad_y);
  check_pointer(name, "weight", weight);
  check_pointer(name, "grad_x", grad_x);
  run(name, where, Scratch::asks,
      [&](const auto& k, const Queue& queue) { k.conv2d_backward_input(queue, s, grad_y, weight, grad_x); });
}

size_t conv2d_backward_input_workspace_size(const Conv2d& shape, const Where& where) {
  const char* name = "conv2d_backward_input_workspace_size";
  const Conv2dShape s = checked(name, shape, where);
  return workspace_size(name, where, Scratch::asks, [&](const auto& k, const Queue& queue) {
    k.conv2d_backward_input(queue, s, kSomewhere, kSomewhere, kSomewhere);
  });
}

void conv2d_backward_weight(const Conv2d& shape, const float* x, const float* grad_y, float* grad_weight, float* grad_bias,
                            const Where& where) {
  const char* name = "conv2d_backward_weight";
  const Conv2dShape s = checked(name, shape, where);
  check_pointer(name, "x", x);
  check_pointer(name, "grad_y", grad_y);
  if (grad_bias == nullptr) check_pointer(name, "grad_weight, like grad_bias,", grad_weight);
  run(name, where, Scratch::asks,
      [&](const auto& k, const Queue& queue) { k.conv2d_backward_weight(queue, s, x, grad_y, grad_weight, grad_bias); });
}

size_t conv2d_backward_weight_workspace_size(const Conv2d& shape, const Where& where) {
  const char* name = "conv2d_backward_weight_workspace_size";
  const Conv2dShape s = checked(name, shape, where);
  return workspace_size(name, where, Scratch::asks, [&](const auto& k, const Queue& queue) {
    k.conv2d_backward_weight(queue, s, kSomewhere, kSomewhere, kSomewhere, kSomewhere);
  });
}

int64_t Pool2d::out_height() const {
  if (!small({in_height, pad_height, kernel_height, stride_height, dilation_height})) return 0;
  return positions(in_height, pad_height, pad_height, kernel_height, stride_height == 0 ? kernel_height : stride_height,
                   dilation_height, ceil_mode);
}
int64_t Pool2d::out_width() const {
  if (!small({in_width, pad_width, kernel_width, stride_width, dilation_width})) return 0;
  return positions(in_width, pad_width, pad_width, kernel_width, stride_width == 0 ? kernel_width : stride_width, dilation_width,
                   ceil_mode);
}

void max_pool2d_forward(const Pool2d& shape, const float* x, float* y, int32_t* index, const Where& where) {
  const char* name = "max_pool2d_forward";
  const Pool2dShape s = checked(name, PoolKind::max, shape, where);
  check_pointer(name, "x", x);
  check_pointer(name, "y", y);
  run(name, where, Scratch::none, [&](const auto& k, const Queue& queue) { k.max_pool2d_forward(queue, s, x, y, index); });
}

void max_pool2d_backward(const Pool2d& shape, const float* grad_y, const int32_t* index, float* grad_x, const Where& where) {
  const char* name = "max_pool2d_backward";
  const Pool2dShape s = checked(name, PoolKind::max, shape, where);
  check_pointer(name, "grad_y", grad_y);
  check_pointer(name, "index", index);
  check_pointer(name, "grad_x", grad_x);
  run(name, where, Scratch::none,
      [&](const auto& k, const Queue& queue) { k.max_pool2d_backward(queue, s, grad_y, index, grad_x); });
}

void avg_pool2d_forward(const Pool2d& shape, const float* x, float* y, const Where& where) {
  const char* name = "avg_pool2d_forward";
  const Pool2dShape s = checked(name, PoolKind::average, shape, where);
  check_pointer(name, "x", x);
  check_pointer(name, "y", y);
  run(name, where, Scratch::none, [&](const auto& k, const Queue& queue) { k.avg_pool2d_forward(queue, s, x, y); });
}

void avg_pool2d_backward(const Pool2d& shape, const float* grad_y, float* grad_x, const Where& where) {
  const char* name = "avg_pool2d_backward";
  const Pool2dShape s = checked(name, PoolKind::average, shape, where);
  check_pointer(name, "grad_y", grad_y);
  check_pointer(name, "grad_x", grad_x);
  run(name, where, Scratch::none, [&](const auto& k, const Queue& queue) { k.avg_pool2d_backward(queue, s, grad_y, grad_x); });
}

}  // namespace cnnx::raw
