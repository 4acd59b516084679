// Functions of one tensor: one pass forward, one pass backward, in whatever layout the input has.
#include "ops/unary.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "core/floats.h"
#include "core/node.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

struct UnaryCall {
  UnaryOp op;
  double a, b;
};
CNNX_FIELDS(UnaryCall, op, a, b)

void run(const Run& r) {
  const UnaryCall& c = r.as<UnaryCall>();
  const DType dtype = r.results[0].dtype();
  if (!is_floating_point(dtype))
    return elements(r.queue).integer_unary(r.queue, c.op, dtype, r.results[0].numel(), c.a, c.b, r.input_data[0],
                                           r.result_data[0]);
  on_floats(r, [&](const auto& f) { f.kernels.unary(r.queue, c.op, r.count(r.results[0]), c.a, c.b, f.in(0), f.out(0)); });
}

// Inputs of a gradient: that of the result, and the argument or the result, whichever unary_needs() says, or neither.
bool lanes_of_saved(const Call& call) { return (call[1].defined() ? call[1] : call[0]).in_lanes(); }

void run_backward(const Run& r) {
  const UnaryCall& c = r.as<UnaryCall>();
  const bool from_result = unary_needs(c.op) == UnaryNeeds::y;
  on_floats(r, [&](const auto& f) {
    const auto* saved = f.in(1);
    f.kernels.unary_backward(r.queue, c.op, r.count(r.results[0]), c.a, c.b, f.in(0), from_result ? nullptr : saved,
                             from_result ? saved : nullptr, f.out(0));
  });
}

void formula_of_backward(const Call& call, Results& results) {
  const UnaryCall& c = call.as<UnaryCall>();
  results.push_back(mul(call[0], slope(c.op, c.a, c.b, call[1])));
}

constexpr OpDef backward_op(const char* name) {
  return op<UnaryCall>(name, infer_in_layout, run_backward)
      .working_by_image(kByElement)
      .reads({Place::call})
      .lanes_if(lanes_of_saved)
      .with_gradient(gradient_of<formula_of_backward>, saves_inputs);
}
constexpr OpDef kBackward[] = {
#define UNARY(function, text, needs) backward_op(text "_backward"),
#include "kernels/unary.def"
#undef UNARY
};

Tensor backward_of(const UnaryCall& c, const Tensor& grad_output, const Tensor& saved) {
  return emit_one(kBackward[static_cast<int>(c.op)], c, {grad_output, saved});
}

uint64_t saves(const Call& call, uint64_t) {
  switch (unary_needs(call.as<UnaryCall>().op)) {
    case UnaryNeeds::x: return input_bit(0);
    case UnaryNeeds::y: return result_bit(0);
    case UnaryNeeds::nothing: return 0;
  }
  return 0;
}

void gradient(const Backward& call, Grads& grads) {
  const UnaryCall& c = call.as<UnaryCall>();
  grads[0] = backward_of(c, call.grad(), unary_needs(c.op) == UnaryNeeds::x ? call.input(0) : call.result());
}

Activation activation_of(const void* attributes) {
  switch (static_cast<const UnaryCall*>(attributes)->op) {
    case UnaryOp::relu: return Activation::relu;
    case UnaryOp::tanh: return Activation::tanh;
    case UnaryOp::sigmoid: return Activation::sigmoid;
    default: return Activation::none;
  }
}

constexpr OpDef forward_op(const char* name) {
  return op<UnaryCall>(name, infer_in_layout, run)
      .working_by_image(kByElement)
      .reads({Place::call})
      .lanes_if(lanes_of_first)
      .with_gradient(gradient, saves)
      .being_activation(activation_of);
}
constexpr OpDef kForward[] = {
#define UNARY(function, text, needs) forward_op(text),
#include "kernels/unary.def"
#undef UNARY
};

const OpDef& def_of(UnaryOp op) { return kForward[static_cast<int>(op)]; }

bool keeps_integers(UnaryOp op) {
  switch (op) {
    case UnaryOp::neg:
    case UnaryOp::abs:
    case UnaryOp::sign:
    case UnaryOp::square:
    case UnaryOp::relu:
    case UnaryOp::clamp:
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::round:
    case UnaryOp::trunc: return true;
    default: return false;
  }
}

void check_integers(UnaryOp op, const Tensor& x) {
  if (x.dtype() == DType::boolean) throw TypeError(message(def_of(op).name, ": is not defined for bool tensors"));
}

UnaryOp named(const std::string& name, const char* what) {
  for (int i = 0; i < static_cast<int>(UnaryOp::count); ++i)
    if (name == kForward[i].name) return static_cast<UnaryOp>(i);
  throw ValueError(message(what, ": there is none of name ", name));
}

}  // namespace

Tensor unary(UnaryOp op, const Tensor& input, double a, double b) {
  check_defined(def_of(op).name, "input", input);
  if (!is_floating_point(input.dtype())) {
    if (!keeps_integers(op)) return unary(op, to(input, default_dtype()), a, b);
    check_integers(op, input);
  }
  return emit_one(def_of(op), UnaryCall{op, a, b}, {input});
}

Tensor unary_(UnaryOp op, const Tensor& self, double a, double b) {
  if (!self.defined()) refuse_undefined(message(def_of(op).name, "_").c_str(), "self");
  if (!is_floating_point(self.dtype())) {
    if (!keeps_integers(op))
      throw TypeError(message(def_of(op).name, "_: a float32 result cannot be written into a tensor of ", name(self.dtype())));
    check_integers(op, self);
  }
  emit(def_of(op), UnaryCall{op, a, b}, {self}, &self);
  return self;
}

Tensor activation_backward(Activation activation, const Tensor& grad_output, const Tensor& result) {
  switch (activation) {
    case Activation::relu: return backward_of({UnaryOp::relu, 0, 0}, grad_output, result);
    case Activation::tanh: return backward_of({UnaryOp::tanh, 0, 0}, grad_output, result);
    case Activation::sigmoid: return backward_of({UnaryOp::sigmoid, 0, 0}, grad_output, result);
    case Activation::none: break;
  }
  return grad_output;
}

#define UNARY(function) \
  Tensor function(const Tensor& input) { return unary(UnaryOp::function, input); }
// clang-format off
UNARY(neg) UNARY(abs) UNARY(sign) UNARY(exp) UNARY(expm1) UNARY(log) UNARY(log1p) UNARY(log2)
UNARY(log10) UNARY(sqrt) UNARY(rsqrt) UNARY(reciprocal) UNARY(square) UNARY(sin) UNARY(cos) UNARY(asin) UNARY(acos)
UNARY(atan) UNARY(sinh) UNARY(cosh) UNARY(tanh) UNARY(asinh) UNARY(acosh) UNARY(atanh) UNARY(sigmoid) UNARY(logit)
UNARY(erf) UNARY(erfc) UNARY(erfinv) UNARY(lgamma) UNARY(digamma) UNARY(floor) UNARY(ceil) UNARY(round) UNARY(trunc) UNARY(relu)
// clang-format on
#undef UNARY

                Tensor polygamma(const Tensor& input, int64_t n) {
  if (n < 0) throw ValueError(message("polygamma: n must not be negative, got ", n));
  return unary(UnaryOp::polygamma, input, static_cast<double>(n));
}

Tensor leaky_relu(const Tensor& input, double negative_slope) {
  check_floating("leaky_relu", input);
  return unary(UnaryOp::leaky_relu, input, negative_slope);
}
Tensor leaky_relu_(const Tensor& self, double negative_slope) { return unary_(UnaryOp::leaky_relu, self, negative_slope); }

namespace {

UnaryOp activation_named(const std::string& name, const Tensor& input) {
  const UnaryOp op = named(name, "activation");
  check_floating(name.c_str(), input);
  return op;
}

}  // namespace

Tensor activation(const std::string& name, const Tensor& input, double a, double b) {
  return unary(activation_named(name, input), input, a, b);
}
Tensor activation_(const std::string& name, const Tensor& self, double a, double b) {
  return unary_(activation_named(name, self), self, a, b);
}

}  // namespace cnnx
