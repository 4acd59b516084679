// Element-wise functions and their gradients, contiguous, one element at a time in double.
#include <cmath>
#include <limits>

#include "kernels/element_functions.h"
#include "kernels/reference/reference.h"
#include "kernels/special_functions.h"

namespace cnnx::reference {
namespace {

constexpr double kLn2 = 0.69314718055994530942, kLn10 = 2.30258509299404568402;
constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kGeluCubic = 0.044715;

// What the formulas of unary.def use.
using special::erfinv, special::lgamma, special::digamma, special::polygamma;
using std::asin, std::acos, std::atan, std::asinh, std::acosh, std::atanh, std::erfc;
using std::exp, std::expm1, std::log, std::log1p, std::sinh, std::cosh, std::tanh, std::sqrt, std::erf;
using std::floor, std::ceil, std::nearbyint, std::trunc;
double constant(double x) { return x; }
double absolute(double x) { return std::fabs(x); }
double squared(double x) { return x * x; }
double select(bool condition, double where, double elsewhere) { return condition ? where : elsewhere; }
double sign_of(double x) { return static_cast<double>((x > 0) - (x < 0)); }
double negative_part(double x) { return x > 0 ? 0 : x; }
double exp_minus_square(double x) { return std::exp(-x * x); }

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::fabs(x))); }
double tanh_softplus(double x) { return std::tanh(softplus(x)); }
double normal_cdf(double x) { return 0.5 * std::erfc(-x * kSqrtHalf); }
double gelu_argument(double x) { return kTwoOverSqrtPi * kSqrtHalf * 2 * (x + kGeluCubic * x * x * x); }  // of the sigmoid
double times_digamma(double g, double x) { return g * digamma(x); }
double hardsigmoid(double x) { return x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6; }

double tanhshrink(double x) {
  if (!(std::fabs(x) < 0.125)) return x - std::tanh(x);
  // The difference cancels: the continued fraction x / (1 + x^2 / (3 + x^2 / (5 + ...))) of tanh, down to 11.
  const double s = x * x;
  return s * (((s + 189) * s + 3465) / (((s + 210) * s + 4725) * s + 10395)) * x;
}
// Around 1/2 by what the quotient differs from 1, which is exact.
double logit(double x) { return x > 0.25 && x < 0.75 ? std::log1p((2 * x - 1) / (1 - x)) : std::log(x / (1 - x)); }

double apply(UnaryOp op, double x, double a, double b) {
  switch (op) {
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps, ...) \
  case UnaryOp::op: return value;
#include "kernels/unary.def"
    case UnaryOp::log2: return std::log2(x);
    case UnaryOp::log10: return std::log10(x);
    case UnaryOp::sin: return std::sin(x);
    case UnaryOp::cos: return std::cos(x);
    case UnaryOp::pow_scalar: return std::pow(x, a);
    case UnaryOp::silu: return x * sigmoid(x);
    case UnaryOp::gelu: return x * normal_cdf(x);
    case UnaryOp::gelu_tanh: return x * sigmoid(gelu_argument(x));
    case UnaryOp::count: break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

double apply_backward(UnaryOp op, double g, double x, double y, double a, double b) {
  switch (op) {
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps, ...) \
  case UnaryOp::op: return gradient;
#include "kernels/unary.def"
    case UnaryOp::log2: return g / kLn2 / x;
    case UnaryOp::log10: return g / kLn10 / x;
    case UnaryOp::sin: return g * std::cos(x);
    case UnaryOp::cos: return -g * std::sin(x);
    case UnaryOp::pow_scalar: return a == 0 ? 0 : g * a * std::pow(x, a - 1);
    case UnaryOp::silu: return g * sigmoid(x) * (1 + x * sigmoid(-x));
    case UnaryOp::gelu:
      return g * (normal_cdf(x) + (std::fabs(x) > 40 ? 0 : x) * 0.5 * kTwoOverSqrtPi * kSqrtHalf * std::exp(-0.5 * x * x));
    case UnaryOp::gelu_tanh: {
      if (std::fabs(x) > 40) return x > 0 ? g : 0;  // to all bits, where the square may overflow
      const double s = sigmoid(gelu_argument(x));
      return g * (s + x * s * (1 - s) * kTwoOverSqrtPi * kSqrtHalf * 2 * (1 + 3 * kGeluCubic * x * x));
    }
    case UnaryOp::count: break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

template <class T>
void unary(const Queue&, UnaryOp op, int64_t n, double a, double b, const T* x, T* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(apply(op, x[i], a, b));
}

template <class T>
void unary_backward(const Queue&, UnaryOp op, int64_t n, double a, double b, const T* grad_output, const T* x, const T* y,
                    T* grad_input) {
  for (int64_t i = 0; i < n; ++i)
    grad_input[i] = static_cast<T>(apply_backward(op, grad_output[i], x == nullptr ? 0 : x[i], y == nullptr ? 0 : y[i], a, b));
}

template <class T>
void binary(const Queue&, BinaryOp op, int64_t n, Operand a_kind, const T* a, Operand b_kind, const T* b, T* out) {
  const FloatArithmetic<double> f{op};
  const int64_t a_step = a_kind == Operand::full ? 1 : 0, b_step = b_kind == Operand::full ? 1 : 0;
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(f(a[i * a_step], b[i * b_step]));
}

template <class T>
void axpy(const Queue&, int64_t n, double alpha, const T* x, T* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(y[i] + alpha * x[i]);
}

CNNX_INSTANTIATE(unary, unary_backward, binary, axpy)

}  // namespace cnnx::reference
