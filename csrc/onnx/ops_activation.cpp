// Activations.
#include <cmath>

#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/softmax.h"
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

template <Tensor (*function)(const Tensor&)>
void unary(NodeRun& run) {
  run.out(function(run.in(0)));
}

// Rows of the library's list (kernels/unary.def) that take no numbers.
constexpr char kMish[] = "mish", kSoftsign[] = "softsign", kHardswish[] = "hardswish";
template <const char* name>
void activation_node(NodeRun& run) {
  run.out(activation(name, run.in(0)));
}

void leaky_relu_node(NodeRun& run) { run.out(leaky_relu(run.in(0), run.real("alpha", 0.01))); }

void prelu(NodeRun& run) {
  const Tensor &x = run.in(0), &slope = run.in(1);
  run.out(where(lt(x, 0), mul(x, slope), x));
}

void elu(NodeRun& run) { run.out(activation("elu", run.in(0), run.real("alpha", 1), 1)); }

void celu(NodeRun& run) {
  const double alpha = run.real("alpha", 1);
  run.out(activation("elu", run.in(0), alpha, 1 / alpha));
}

void selu(NodeRun& run) {
  const double alpha = run.real("alpha", 1.67326319217681884765625), gamma = run.real("gamma", 1.05070102214813232421875);
  const bool is_usual = std::abs(alpha - 1.6732632423543772) < 1e-6 && std::abs(gamma - 1.0507009873554805) < 1e-6;
  run.out(is_usual ? activation("selu", run.in(0)) : mul(activation("elu", run.in(0), alpha, 1), gamma));
}

void gelu(NodeRun& run) {
  const bool by_tanh = run.word("approximate", "none", {"none", "tanh"}) == "tanh";
  run.out(activation(by_tanh ? "gelu_tanh" : "gelu", run.in(0)));
}

void hard_sigmoid(NodeRun& run) {
  const double alpha = run.real("alpha", 0.2), beta = run.real("beta", 0.5);
  if (std::abs(alpha - 1.0 / 6) < 1e-7 && beta == 0.5) return run.out(activation("hardsigmoid", run.in(0)));
  run.out(clamp(add(mul(run.in(0), alpha), beta), 0, 1));
}

// Above the threshold log(1 + e^x) is x in float64 too.
void softplus(NodeRun& run) { run.out(activation("softplus", run.in(0), 1, 40)); }

Tensor swished(const NodeRun& run) {
  const Tensor& x = run.in(0);
  const double alpha = run.real("alpha", 1);
  return alpha == 1 ? activation("silu", x) : mul(x, sigmoid(mul(x, alpha)));
}
void swish(NodeRun& run) { run.out(swished(run)); }
void swiglu(NodeRun& run) { run.out(mul(swished(run), run.in(1))); }

void shrink(NodeRun& run) {
  const Tensor& x = run.in(0);
  const double edge = run.real("lambd", 0.5), bias = run.real("bias", 0);
  const Tensor y = where(lt(x, -edge), add(x, bias), where(gt(x, edge), sub(x, bias), mul(x, 0)));
  run.out(to(y, x.dtype()));
}

void thresholded_relu(NodeRun& run) {
  const Tensor& x = run.in(0);
  run.out(where(gt(x, run.real("alpha", 1)), x, 0.0));
}

// The bounds: attributes up to opset 10, then inputs.
void clip(NodeRun& run) {
  const Tensor& x = run.in(0);
  if (run.opset < 11) {
    constexpr double kMost = 3.402823466e38;  // the largest float32, which stands for no bound
    const double low = run.real("min", -kMost), high = run.real("max", kMost);
    return run.out(clamp(x, low <= -kMost ? -INFINITY : low, high >= kMost ? INFINITY : high));
  }
  // Constants as numbers, which is a simpler kernel.
  const auto bound = [&](size_t i) {
    if (!run.has(i)) return TensorOrNumber();
    if (run.is_fixed(i) && is_floating_point(x.dtype())) return TensorOrNumber(run.number(i));
    return TensorOrNumber(run.in(i));
  };
  if (!run.has(1) && !run.has(2)) return run.out(x);
  run.out(clamp(x, bound(1), bound(2)));
}

// Along an axis. Up to opset 12 the input is seen as a matrix, whose rows are normalised.
template <Tensor (*function)(const Tensor&, int64_t)>
void along_axis(NodeRun& run) {
  const Tensor& x = run.in(0);
  if (run.opset >= 13) return run.out(function(x, normalized(run, run.integer("axis", -1), x.ndim())));
  const int64_t axis = normalized(run, run.integer("axis", 1), x.ndim());
  int64_t rows = 1;
  for (int i = 0; i < axis; ++i) rows *= x.size(i);
  run.out(reshape(function(reshape(x, {rows, x.numel() / std::max<int64_t>(rows, 1)}), 1), x.shape()));
}

// 1 at the first of the largest, 0 elsewhere.
Tensor hardmax(const Tensor& x, int64_t axis) {
  Dims shape = Dims::filled(x.ndim(), 1);
  shape[static_cast<int>(axis)] = -1;
  const Tensor places = reshape(arange(x.size(static_cast<int>(axis)), {.device = x.device()}), shape);
  return to(eq(argmax(x, axis, true), places), x.dtype());
}

constexpr Op kOps[] = {
    {.name = "Relu", .run = unary<relu>},
    {.name = "Sigmoid", .run = unary<sigmoid>},
    {.name = "Tanh", .run = unary<tanh>},
    {.name = "LeakyRelu", .run = leaky_relu_node, .attributes = "alpha"},
    {.name = "PRelu", .run = prelu, .parameters = 0b10},
    {.name = "Elu", .run = elu, .attributes = "alpha"},
    {.name = "Celu", .run = celu, .attributes = "alpha"},
    {.name = "Selu", .run = selu, .attributes = "alpha gamma"},
    {.name = "Gelu", .run = gelu, .attributes = "approximate"},
    {.name = "HardSigmoid", .run = hard_sigmoid, .attributes = "alpha beta"},
    {.name = "HardSwish", .run = activation_node<kHardswish>},
    {.name = "Mish", .run = activation_node<kMish>},
    {.name = "Softsign", .run = activation_node<kSoftsign>},
    {.name = "Softplus", .run = softplus},
    {.name = "Swish", .run = swish, .attributes = "alpha"},
    {.name = "SwiGLU", .run = swiglu, .attributes = "alpha"},
    {.name = "Shrink", .run = shrink, .attributes = "bias lambd"},
    {.name = "ThresholdedRelu", .run = thresholded_relu, .attributes = "alpha"},
    {.name = "Clip", .run = clip, .attributes = "max min"},
    {.name = "Softmax", .run = along_axis<softmax>, .attributes = "axis"},
    {.name = "LogSoftmax", .run = along_axis<log_softmax>, .attributes = "axis"},
    {.name = "Hardmax", .run = along_axis<hardmax>, .attributes = "axis"},
};

}  // namespace

std::span<const Op> activation_ops() { return kOps; }

}  // namespace cnnx::onnx
