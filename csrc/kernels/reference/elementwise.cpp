// Element-wise functions and their gradients, contiguous, one element at a time in double.
#include <cmath>
#include <limits>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

constexpr double kLn2 = 0.69314718055994530942, kLn10 = 2.30258509299404568402;
constexpr double kTwoOverSqrtPi = 1.12837916709551257390, kSqrtHalf = 0.70710678118654752440;
constexpr double kSeluAlpha = 1.6732632423543772848, kSeluScale = 1.0507009873554804934;
constexpr double kGeluCubic = 0.044715;

// What the formulas of unary.def use.
using std::exp, std::expm1, std::log, std::log1p, std::sinh, std::cosh, std::tanh;
double constant(double x) { return x; }
double absolute(double x) { return std::fabs(x); }
double squared(double x) { return x * x; }
double select(bool condition, double where, double elsewhere) { return condition ? where : elsewhere; }
double sign_of(double x) { return static_cast<double>((x > 0) - (x < 0)); }

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::fabs(x))); }
double normal_cdf(double x) { return 0.5 * std::erfc(-x * kSqrtHalf); }
double gelu_argument(double x) { return kTwoOverSqrtPi * kSqrtHalf * 2 * (x + kGeluCubic * x * x * x); }  // of the sigmoid
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
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps) \
  case UnaryOp::op: return value;
#include "kernels/unary.def"
    case UnaryOp::neg: return -x;
    case UnaryOp::sign: return sign_of(x);
    case UnaryOp::log2: return std::log2(x);
    case UnaryOp::log10: return std::log10(x);
    case UnaryOp::sqrt: return std::sqrt(x);
    case UnaryOp::rsqrt: return 1 / std::sqrt(x);
    case UnaryOp::sin: return std::sin(x);
    case UnaryOp::cos: return std::cos(x);
    case UnaryOp::logit: return logit(x);
    case UnaryOp::erf: return std::erf(x);
    case UnaryOp::floor: return std::floor(x);
    case UnaryOp::ceil: return std::ceil(x);
    case UnaryOp::round: return std::nearbyint(x);  // halves to even
    case UnaryOp::trunc: return std::trunc(x);
    case UnaryOp::leaky_relu: return x > 0 ? x : x * a;
    case UnaryOp::clamp: {
      const double low = x < a ? a : x;
      return low > b ? b : low;
    }
    case UnaryOp::pow_scalar: return std::pow(x, a);
    case UnaryOp::hardtanh: return apply(UnaryOp::clamp, x, a, b);
    case UnaryOp::elu: return x > 0 ? x : a * std::expm1(b * x);
    case UnaryOp::selu: return kSeluScale * (x > 0 ? x : kSeluAlpha * std::expm1(x));
    case UnaryOp::silu: return x * sigmoid(x);
    case UnaryOp::mish: return x * std::tanh(softplus(x));
    case UnaryOp::gelu: return x * normal_cdf(x);
    case UnaryOp::gelu_tanh: return x * sigmoid(gelu_argument(x));
    case UnaryOp::softplus: return x * a > b ? x : softplus(x * a) / a;
    case UnaryOp::count: break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

double apply_backward(UnaryOp op, double g, double x, double y, double a, double b) {
  switch (op) {
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps) \
  case UnaryOp::op: return gradient;
#include "kernels/unary.def"
    case UnaryOp::neg: return -g;
    case UnaryOp::log2: return g / kLn2 / x;
    case UnaryOp::log10: return g / kLn10 / x;
    case UnaryOp::sqrt: return g / (2 * y);
    case UnaryOp::rsqrt: return -0.5 * g * y * y * y;
    case UnaryOp::sin: return g * std::cos(x);
    case UnaryOp::cos: return -g * std::sin(x);
    case UnaryOp::logit: return x < 0 || x > 1 ? std::numeric_limits<double>::quiet_NaN() : g / (x * (1 - x));
    case UnaryOp::erf: return g * kTwoOverSqrtPi * std::exp(-x * x);
    case UnaryOp::sign:
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::round:
    case UnaryOp::trunc: return 0;
    case UnaryOp::leaky_relu: return x > 0 ? g : g * a;
    case UnaryOp::clamp: return x >= a && x <= b ? g : 0;
    case UnaryOp::pow_scalar: return a == 0 ? 0 : g * a * std::pow(x, a - 1);
    case UnaryOp::hardtanh: return x <= a || x >= b ? 0 : g;
    case UnaryOp::elu: return x <= 0 ? g * a * b * std::exp(b * x) : g;
    case UnaryOp::selu: return g * kSeluScale * (x <= 0 ? kSeluAlpha * std::exp(x) : 1);
    case UnaryOp::silu: return g * sigmoid(x) * (1 + x * sigmoid(-x));
    case UnaryOp::mish: {
      const double t = std::tanh(softplus(x));
      return g * (t + x * sigmoid(x) * (1 - t * t));
    }
    case UnaryOp::gelu:
      return g * (normal_cdf(x) + (std::fabs(x) > 40 ? 0 : x) * 0.5 * kTwoOverSqrtPi * kSqrtHalf * std::exp(-0.5 * x * x));
    case UnaryOp::gelu_tanh: {
      if (std::fabs(x) > 40) return x > 0 ? g : 0;  // to all bits, where the square may overflow
      const double s = sigmoid(gelu_argument(x));
      return g * (s + x * s * (1 - s) * kTwoOverSqrtPi * kSqrtHalf * 2 * (1 + 3 * kGeluCubic * x * x));
    }
    case UnaryOp::softplus: return x * a > b ? g : g * sigmoid(x * a);
    case UnaryOp::count: break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

// The quotient rounded down. Dividing first could round up to the next integer, so the exact remainder is taken off before.
double floor_divide(double a, double b) {
  if (b == 0) return a / b;
  const double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

double apply(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add: return a + b;
    case BinaryOp::sub: return a - b;
    case BinaryOp::mul: return a * b;
    case BinaryOp::div: return a / b;
    case BinaryOp::pow: return std::pow(a, b);
    case BinaryOp::maximum: return a != a || a > b ? a : b;
    case BinaryOp::minimum: return a != a || a < b ? a : b;
    case BinaryOp::remainder: {  // the sign of the divisor
      const double rest = std::fmod(a, b);
      return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;
    }
    case BinaryOp::floor_divide: return floor_divide(a, b);
    case BinaryOp::fmod: return std::fmod(a, b);  // the sign of the dividend
    case BinaryOp::hypot: return std::hypot(a, b);
    case BinaryOp::xlogy: return a == 0 && b == b ? 0 : a * std::log(b);
    case BinaryOp::pow_slope: return b == 0 ? 0 : b * std::pow(a, b - 1);
    case BinaryOp::count: break;
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
  const int64_t a_step = a_kind == Operand::full ? 1 : 0, b_step = b_kind == Operand::full ? 1 : 0;
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(apply(op, a[i * a_step], b[i * b_step]));
}

template <class T>
void axpy(const Queue&, int64_t n, double alpha, const T* x, T* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(y[i] + alpha * x[i]);
}

CNNX_INSTANTIATE(unary, unary_backward, binary, axpy)

}  // namespace cnnx::reference
