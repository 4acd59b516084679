// Functions of one tensor: one pass forward, one pass backward, in whatever layout the input has.
#include "ops/unary.h"

#include <limits>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "kernels/table.h"
#include "ops/flat.h"
#include "ops/inplace.h"

namespace cnnx {
namespace {

void run_into(const char* name, UnaryOp op, const Tensor& x, const Tensor& y, bool lanes, double a, double b) {
  dispatch_floating(name, x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(x.device()).unary(op, flat_count(y, lanes), a, b, flat_data<T>(x, lanes), flat_data<T>(y, lanes));
  });
}

// The gradient with respect to the input; `saved` is the argument or the result, whichever unary_needs() says.
Tensor backward_of(const char* name, UnaryOp op, double a, double b, const Tensor& grad_output, const Tensor& saved) {
  const bool lanes = saved.defined() ? saved.in_lanes() : grad_output.in_lanes();
  Tensor g = flattened(grad_output, lanes);
  Tensor value = saved.defined() ? flattened(saved, lanes) : Tensor();
  Tensor grad_input = empty_flat(g, lanes);
  dispatch_floating(name, g.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* data = value.defined() ? flat_data<T>(value, lanes) : nullptr;
    const bool from_result = unary_needs(op) == UnaryNeeds::y;
    kernels<T>(g.device())
        .unary_backward(op, flat_count(g, lanes), a, b, flat_data<T>(g, lanes), from_result ? nullptr : data,
                        from_result ? data : nullptr, flat_data<T>(grad_input, lanes));
  });
  return grad_input;
}

GradientFn gradient_of(const char* name, UnaryOp op, double a, double b, const Tensor& x, const Tensor& y) {
  Tensor kept;
  if (unary_needs(op) == UnaryNeeds::x) kept = x;
  else if (unary_needs(op) == UnaryNeeds::y) kept = y;
  return [name, op, a, b, saved = Saved(kept)](const Tensor& g, const Needs&) {
    return Grads{backward_of(name, op, a, b, g, saved.unpack(name))};
  };
}

// A bound of clamp, perhaps infinite, as the nearest T.
template <class T>
T saturated(double value) {
  if (value <= static_cast<double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
  if (value >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

// Integer results of the functions that keep integer types; overflow wraps.
template <class T>
T integer_value(UnaryOp op, T x, double a, double b) {
  using Wide = std::make_unsigned_t<T>;
  switch (op) {
    case UnaryOp::neg: return static_cast<T>(Wide(0) - static_cast<Wide>(x));
    case UnaryOp::abs: return x < T(0) ? static_cast<T>(Wide(0) - static_cast<Wide>(x)) : x;
    case UnaryOp::sign: return static_cast<T>((x > T(0)) - (x < T(0)));
    case UnaryOp::square: return static_cast<T>(static_cast<Wide>(uint64_t(static_cast<Wide>(x)) * static_cast<Wide>(x)));
    case UnaryOp::relu: return x < T(0) ? T(0) : x;
    case UnaryOp::clamp: {
      if (static_cast<double>(x) < a) x = saturated<T>(a);
      return static_cast<double>(x) > b ? saturated<T>(b) : x;
    }
    default: return x;  // the roundings
  }
}

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

Tensor integer_unary(const char* name, UnaryOp op, const Tensor& x, double a, double b) {
  if (x.dtype() == DType::boolean) throw TypeError(message(name, ": is not defined for bool tensors"));
  Tensor plain = contiguous(x);
  Tensor y = Tensor::empty(x.shape(), x.options());
  const int64_t n = x.numel();
  if (x.device().is_cuda()) {
    cuda::element_kernels(x.device().index).integer_unary(op, x.dtype(), n, a, b, plain.raw_pointer(), y.raw_pointer());
    return y;
  }
  dispatch(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      const T* from = plain.data<T>();
      T* to = y.data<T>();
      for (int64_t i = 0; i < n; ++i) to[i] = integer_value(op, from[i], a, b);
    }
  });
  return y;
}

struct Named {
  const char* name;
  const char* inplace_name;
  UnaryOp op;
};
constexpr Named kNamed[] = {
    {"neg", "neg_", UnaryOp::neg},          {"abs", "abs_", UnaryOp::abs},
    {"sign", "sign_", UnaryOp::sign},       {"exp", "exp_", UnaryOp::exp},
    {"expm1", "expm1_", UnaryOp::expm1},    {"log", "log_", UnaryOp::log},
    {"log1p", "log1p_", UnaryOp::log1p},    {"log2", "log2_", UnaryOp::log2},
    {"log10", "log10_", UnaryOp::log10},    {"sqrt", "sqrt_", UnaryOp::sqrt},
    {"rsqrt", "rsqrt_", UnaryOp::rsqrt},    {"reciprocal", "reciprocal_", UnaryOp::reciprocal},
    {"square", "square_", UnaryOp::square}, {"sin", "sin_", UnaryOp::sin},
    {"cos", "cos_", UnaryOp::cos},          {"sinh", "sinh_", UnaryOp::sinh},
    {"cosh", "cosh_", UnaryOp::cosh},       {"logit", "logit_", UnaryOp::logit},
    {"tanh", "tanh_", UnaryOp::tanh},       {"sigmoid", "sigmoid_", UnaryOp::sigmoid},
    {"erf", "erf_", UnaryOp::erf},          {"floor", "floor_", UnaryOp::floor},
    {"ceil", "ceil_", UnaryOp::ceil},       {"round", "round_", UnaryOp::round},
    {"trunc", "trunc_", UnaryOp::trunc},    {"relu", "relu_", UnaryOp::relu},
};

}  // namespace

Tensor unary(const char* name, UnaryOp op, const Tensor& input, double a, double b) {
  if (!is_floating_point(input.dtype())) {
    if (keeps_integers(op)) return integer_unary(name, op, input, a, b);
    return unary(name, op, cast(input, default_dtype()), a, b);
  }
  const bool lanes = input.in_lanes();
  Tensor x = lanes ? input : contiguous(input);
  Tensor y = empty_flat(x, lanes);
  run_into(name, op, x, y, lanes, a, b);
  if (needs_grad({input})) record(name, y, {input}, gradient_of(name, op, a, b, input, y));
  return y;
}

Tensor unary_(const char* name, UnaryOp op, const Tensor& self, double a, double b) {
  check_writable(name, self);
  const bool recorded = must_record_inplace(name, self);
  if (!is_floating_point(self.dtype())) {
    if (!keeps_integers(op))
      throw TypeError(message(name, ": a float32 result cannot be written into a tensor of ", cnnx::name(self.dtype())));
    copy_into(self, integer_unary(name, op, self, a, b));
    return self;
  }
  // The argument would be overwritten, so a gradient that needs it takes the way over a copy.
  if (recorded && unary_needs(op) == UnaryNeeds::x) {
    rebase(name, self, [&](const Tensor& before) { return unary(name, op, before, a, b); });
    return self;
  }
  const bool lanes = self.in_lanes();
  if (lanes || self.is_contiguous()) {
    run_into(name, op, self, self, lanes, a, b);
    self.bump_version();
  } else {
    NoGrad guard;
    copy_into(self, unary(name, op, self, a, b));
  }
  if (recorded) record_inplace(name, self, gradient_of(name, op, a, b, Tensor(), self));
  return self;
}

Tensor activation_backward(Activation activation, const Tensor& grad_output, const Tensor& result) {
  switch (activation) {
    case Activation::relu: return backward_of("relu", UnaryOp::relu, 0, 0, grad_output, result);
    case Activation::tanh: return backward_of("tanh", UnaryOp::tanh, 0, 0, grad_output, result);
    case Activation::sigmoid: return backward_of("sigmoid", UnaryOp::sigmoid, 0, 0, grad_output, result);
    case Activation::none: break;
  }
  return grad_output;
}

#define UNARY(function) \
  Tensor function(const Tensor& input) { return unary(#function, UnaryOp::function, input); }
// clang-format off
UNARY(neg) UNARY(abs) UNARY(sign) UNARY(exp) UNARY(expm1) UNARY(log) UNARY(log1p) UNARY(log2)
UNARY(log10) UNARY(sqrt) UNARY(rsqrt) UNARY(reciprocal) UNARY(square) UNARY(sin) UNARY(cos) UNARY(sinh) UNARY(cosh)
UNARY(tanh) UNARY(sigmoid) UNARY(logit) UNARY(erf) UNARY(floor) UNARY(ceil) UNARY(round) UNARY(trunc) UNARY(relu)
// clang-format on
#undef UNARY

            Tensor leaky_relu(const Tensor& input, double negative_slope) {
  if (!is_floating_point(input.dtype()))
    throw TypeError(message("leaky_relu: needs float32 or float64, got ", name(input.dtype())));
  return unary("leaky_relu", UnaryOp::leaky_relu, input, negative_slope);
}
Tensor leaky_relu_(const Tensor& self, double negative_slope) {
  return unary_("leaky_relu_", UnaryOp::leaky_relu, self, negative_slope);
}

namespace {

constexpr Named kActivations[] = {
    {"hardtanh", "hardtanh_", UnaryOp::hardtanh},
    {"elu", "elu_", UnaryOp::elu},
    {"selu", "selu_", UnaryOp::selu},
    {"silu", "silu_", UnaryOp::silu},
    {"mish", "mish_", UnaryOp::mish},
    {"gelu", "gelu_", UnaryOp::gelu},
    {"gelu_tanh", "gelu_tanh_", UnaryOp::gelu_tanh},
    {"softplus", "softplus_", UnaryOp::softplus},
    {"log_sigmoid", "log_sigmoid_", UnaryOp::log_sigmoid},
    {"softsign", "softsign_", UnaryOp::softsign},
    {"tanhshrink", "tanhshrink_", UnaryOp::tanhshrink},
    {"hardsigmoid", "hardsigmoid_", UnaryOp::hardsigmoid},
    {"hardswish", "hardswish_", UnaryOp::hardswish},
};

const Named& named_activation(const std::string& op, const Tensor& input) {
  for (const Named& named : kActivations)
    if (op == named.name) {
      if (!is_floating_point(input.dtype()))
        throw TypeError(message(op, ": needs float32 or float64, got ", name(input.dtype())));
      return named;
    }
  throw ValueError(message("activation: there is none of name ", op));
}

}  // namespace

Tensor activation(const std::string& op, const Tensor& input, double a, double b) {
  const Named& named = named_activation(op, input);
  return unary(named.name, named.op, input, a, b);
}
Tensor activation_(const std::string& op, const Tensor& self, double a, double b) {
  const Named& named = named_activation(op, self);
  return unary_(named.inplace_name, named.op, self, a, b);
}

Tensor unary_inplace(const std::string& op, const Tensor& self) {
  for (const Named& named : kNamed)
    if (op == named.name) return unary_(named.inplace_name, named.op, self);
  throw ValueError(message(op, ": there is no in-place function of this name"));
}

}  // namespace cnnx
