// The derivatives of the functions of one tensor, for higher derivatives.
#include <cmath>
#include <numbers>

#include "cnnx/ops/elementwise.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

using std::numbers::pi, std::numbers::ln2, std::numbers::ln10;
constexpr double kGeluCubic = 0.044715;

Tensor one_minus(const Tensor& t) { return sub(1, t); }

// What the formulas of unary.def use.
Tensor operator-(const Tensor& a) { return neg(a); }
Tensor operator+(const TensorOrNumber& a, const TensorOrNumber& b) { return add(a, b); }
Tensor operator-(const TensorOrNumber& a, const TensorOrNumber& b) { return sub(a, b); }
Tensor operator*(const TensorOrNumber& a, const TensorOrNumber& b) { return mul(a, b); }
Tensor operator/(const TensorOrNumber& a, const TensorOrNumber& b) { return div(a, b); }
Tensor operator<(const Tensor& a, double b) { return lt(a, b); }
Tensor operator>(const Tensor& a, double b) { return gt(a, b); }
Tensor operator<=(const Tensor& a, double b) { return le(a, b); }
Tensor operator>=(const Tensor& a, double b) { return ge(a, b); }
Tensor operator&(const Tensor& a, const Tensor& b) { return logical_and(a, b); }
Tensor operator|(const Tensor& a, const Tensor& b) { return logical_or(a, b); }
Tensor absolute(const Tensor& t) { return abs(t); }
Tensor sign_of(const Tensor& t) { return sign(t); }
Tensor squared(const Tensor& t) { return square(t); }
Tensor negative_part(const Tensor& t) { return clamp(t, {}, 0.0); }
Tensor times_digamma(const Tensor& g, const Tensor& t) { return mul(g, digamma(t)); }
Tensor polygamma(const Tensor& t, double n) { return unary(UnaryOp::polygamma, t, n); }
Tensor exp_minus_square(const Tensor& t) { return exp(neg(square(t))); }
Tensor tanh_softplus(const Tensor& t) { return tanh(unary(UnaryOp::softplus, t, 1, 20)); }
Tensor tensor_of(const Tensor& t) { return t; }
Tensor tensor_of(double value) { return Tensor::scalar(value); }
Tensor select(const Tensor& condition, const TensorOrNumber& where_it_holds, const TensorOrNumber& elsewhere) {
  return where(condition, where_it_holds, elsewhere);
}

}  // namespace

Tensor slope(UnaryOp op, double a, double b, const Tensor& saved) {
  const Tensor &x = saved, &y = saved;
  // A slope is the gradient of an incoming 1.
  const Tensor g = saved.defined() ? Tensor::scalar(1, saved.options()) : Tensor::scalar(1);
  const auto constant = [](double value) { return value; };
  switch (op) {
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps, ...) \
  case UnaryOp::op: return tensor_of(gradient);
#include "kernels/unary.def"
    case UnaryOp::log2: return reciprocal(mul(x, ln2));
    case UnaryOp::log10: return reciprocal(mul(x, ln10));
    case UnaryOp::sin: return cos(x);
    case UnaryOp::cos: return neg(sin(x));
    case UnaryOp::pow_scalar: return a == 0 ? Tensor::scalar(0) : a == 1 ? Tensor::scalar(1) : mul(pow(x, a - 1), a);
    case UnaryOp::silu: {
      const Tensor s = sigmoid(x);
      return mul(s, add(mul(x, one_minus(s)), 1));
    }
    case UnaryOp::gelu: {
      const Tensor density = mul(exp(mul(square(x), -0.5)), 1 / std::sqrt(2 * pi));
      return add(mul(add(erf(mul(x, std::sqrt(0.5))), 1), 0.5), mul(x, density));
    }
    case UnaryOp::gelu_tanh: {
      const double scale = 2 * std::sqrt(2 / pi);  // (1 + tanh(t)) / 2 = sigmoid(2 t)
      const Tensor s = sigmoid(mul(add(x, mul(pow(x, 3), kGeluCubic)), scale));
      const Tensor inner = mul(add(mul(square(x), 3 * kGeluCubic), 1), scale);
      return add(s, mul(mul(x, inner), mul(s, one_minus(s))));
    }
    case UnaryOp::count: break;
  }
  throw Error("slope: no such function");
}

}  // namespace cnnx
