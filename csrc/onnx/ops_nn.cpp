// Layers: convolutions, pooling, dense layers, normalisation, softmax.
#include "cnnx/ops/conv.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/linear.h"
#include "cnnx/ops/pool.h"
#include "cnnx/ops/softmax.h"
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

// The spatial geometry that convolutions and pooling share, over one axis or two; of one, the second number.
struct Spatial {
  int axes;
  AxisInts kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  std::array<int64_t, 4> padding{};  // top, bottom, left, right
};

AxisInts axis_numbers(const NodeRun& run, const char* name, int axes, int64_t otherwise) {
  const auto given = run.integers(name);
  if (!given) return {axes == 1 ? 1 : otherwise, otherwise};
  if (static_cast<int>(given->size()) != axes)
    run.fail(message("attribute '", name, "' has ", given->size(), " numbers for ", axes, " axes"));
  return axes == 1 ? AxisInts{1, (*given)[0]} : AxisInts{(*given)[0], (*given)[1]};
}

Spatial spatial(const NodeRun& run, const Tensor& input, const AxisInts& kernel) {
  Spatial s{.axes = input.ndim() - 2};
  if (s.axes < 1 || s.axes > 2)
    run.unsupported(message("an input of shape ", input.shape(), ": cnnx has one or two spatial axes"));
  s.kernel = kernel;
  s.stride = axis_numbers(run, "strides", s.axes, 1);
  s.dilation = axis_numbers(run, "dilations", s.axes, 1);
  const std::string automatic = run.string("auto_pad", "NOTSET");
  if (automatic == "NOTSET") {
    if (const auto pads = run.integers("pads")) {
      if (static_cast<int>(pads->size()) != 2 * s.axes)
        run.fail(message("attribute 'pads' has ", pads->size(), " numbers for ", s.axes, " axes"));
      if (s.axes == 1) s.padding = {0, 0, (*pads)[0], (*pads)[1]};
      else s.padding = {(*pads)[0], (*pads)[2], (*pads)[1], (*pads)[3]};
    }
  } else if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    for (int axis = 2 - s.axes; axis < 2; ++axis) {
      const int64_t size = input.size(axis + input.ndim() - 2), out = (size + s.stride[axis] - 1) / s.stride[axis];
      const int64_t covered = s.dilation[axis] * (s.kernel[axis] - 1) + 1;
      const int64_t total = std::max<int64_t>(0, (out - 1) * s.stride[axis] + covered - size);
      const int64_t small = total / 2, large = total - small;
      s.padding[2 * axis] = automatic == "SAME_UPPER" ? small : large;
      s.padding[2 * axis + 1] = automatic == "SAME_UPPER" ? large : small;
    }
  } else if (automatic != "VALID") run.fail(message("auto_pad '", automatic, "' is not known"));
  return s;
}

void conv(NodeRun& run) {
  const Tensor &x = run.in(0), &w = run.in(1);
  if (w.ndim() != x.ndim()) run.fail(message("weight ", w.shape(), " for input ", x.shape()));
  const int axes = x.ndim() - 2;
  const AxisInts kernel = axes == 2 ? AxisInts{w.size(2), w.size(3)} : AxisInts{1, axes == 1 ? w.size(2) : 1};
  const Spatial s = spatial(run, x, kernel);
  const ConvOptions options{.stride = s.stride, .padding = s.padding, .dilation = s.dilation, .groups = run.integer("group", 1)};
  run.out(s.axes == 1 ? conv1d(x, w, run.optional(2), options) : conv2d(x, w, run.optional(2), options));
}

AxisInts kernel_shape(const NodeRun& run, const Tensor& input) {
  if (!run.integers("kernel_shape")) run.fail("attribute 'kernel_shape' is missing");
  return axis_numbers(run, "kernel_shape", input.ndim() - 2, 1);
}

void max_pool(NodeRun& run) {
  const Tensor& x = run.in(0);
  const Spatial s = spatial(run, x, kernel_shape(run, x));
  if (s.padding[0] != s.padding[1] || s.padding[2] != s.padding[3]) run.unsupported("padding that differs between two sides");
  if (run.wants(1)) run.unsupported("the output of indices");
  const PoolOptions options{.kernel = s.kernel,
                            .stride = s.stride,
                            .padding = {s.padding[0], s.padding[2]},
                            .dilation = s.dilation,
                            .ceil_mode = run.integer("ceil_mode", 0) != 0};
  run.out(s.axes == 1 ? max_pool1d(x, options) : max_pool2d(x, options));
}

void gemm(NodeRun& run) {
  const double alpha = run.real("alpha", 1), beta = run.real("beta", 1);
  Tensor a = run.in(0);
  const Tensor& b = run.in(1);
  if (run.integer("transA", 0) != 0) a = transpose(a, 0, 1);
  const Tensor& c = run.optional(2);
  // A dense layer, as cnnx and PyTorch export it.
  if (run.integer("transB", 0) != 0 && alpha == 1 && beta == 1 && (!c.defined() || (c.ndim() == 1 && c.size(0) == b.size(0))))
    return run.out(linear(a, b, c));
  Tensor y = matmul(a, run.integer("transB", 0) != 0 ? transpose(b, 0, 1) : b);
  if (alpha != 1) y = mul(y, alpha);
  if (c.defined() && beta != 0) y = add(y, beta == 1 ? c : mul(c, beta));
  run.out(y);
}

// Up to opset 12 the input is seen as a matrix, whose rows are normalised.
template <Tensor (*function)(const Tensor&, int64_t)>
void softmax_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  if (run.opset >= 13) return run.out(function(x, normalized(run, run.integer("axis", -1), x.ndim())));
  const int64_t axis = normalized(run, run.integer("axis", 1), x.ndim());
  int64_t rows = 1;
  for (int i = 0; i < axis; ++i) rows *= x.size(i);
  run.out(reshape(function(reshape(x, {rows, x.numel() / std::max<int64_t>(rows, 1)}), 1), x.shape()));
}

constexpr Op kOps[] = {
    {.name = "Conv",
     .since = 1,
     .until = 0,
     .run = conv,
     .attributes = "auto_pad dilations group kernel_shape pads strides",
     .parameters = 0b110},
    {.name = "Gemm", .since = 7, .until = 0, .run = gemm, .attributes = "alpha beta transA transB", .parameters = 0b110},
    {.name = "MaxPool",
     .since = 1,
     .until = 0,
     .run = max_pool,
     .attributes = "auto_pad ceil_mode dilations kernel_shape pads storage_order strides"},
    {.name = "Softmax", .since = 1, .until = 0, .run = softmax_node<softmax>, .attributes = "axis"},
    {.name = "LogSoftmax", .since = 1, .until = 0, .run = softmax_node<log_softmax>, .attributes = "axis"},
};

}  // namespace

std::span<const Op> nn_ops() { return kOps; }

}  // namespace cnnx::onnx
