// Functions of one array and their gradients, and axpy: contiguous, in packs (elementwise.h). float32 has a kernel for each
// function, so that a cheap one does not carry the registers of a dear one; float64 has one kernel with a switch.
// Bytes: 2 n elements forward, 3 n backward (2 n where the gradient needs neither argument nor result). All but the slowest
// functions (pow, erf, mish, gelu, those in double) should reach 85 % of the memory's rate on arrays beyond the caches.
#include "kernels/cuda/elementwise.h"
#include "kernels/special_functions.h"

namespace cnnx::cuda {
namespace {

template <class T>
struct Constants {
  static constexpr T kLn2 = T(0.69314718055994530942), kLn10 = T(2.30258509299404568402);
  static constexpr T kSqrtHalf = T(0.70710678118654752440);
  static constexpr T kGeluCubic = T(0.044715), kGeluScale = T(1.59576912160573071176);  // 2 sqrt(2 / pi)
  static constexpr T kDensity = T(0.39894228040143267794);                              // 1 / sqrt(2 pi)
};

template <class T>
__device__ T absolute(T x) {
  return fabs(x);
}
template <class T>
__device__ T squared(T x) {
  return x * x;
}
template <class T>
__device__ T select(bool condition, T where, T elsewhere) {
  return condition ? where : elsewhere;
}
template <class T>
__device__ T sign_of(T x) {
  return static_cast<T>((x > 0) - (x < 0));
}
template <class T>
__device__ T negative_part(T x) {
  return x > 0 ? T(0) : x;
}
// In double: the exponent is large, so a float's digits are too few for it.
template <class T>
__device__ T exp_minus_square(T x) {
  return T(exp(-double(x) * double(x)));
}
template <class T>
__device__ T sigmoid(T x) {
  const T e = exp(-fabs(x));  // never too large, so that the left tail is not cut off
  return (x < 0 ? e : T(1)) / (1 + e);
}
template <class T>
__device__ T softplus(T x) {
  return (x > 0 ? x : T(0)) + log1p(exp(-fabs(x)));
}
// tanh(log(1 + e^x)) = n / (n + 2) with n = e (e + 2), e = e^x; 1 to all bits from x = 20 on.
template <class T>
__device__ T tanh_softplus(T x) {
  const T e = exp(x > T(20) ? T(20) : x), n = e * (e + 2);
  return n / (n + 2);
}
template <class T>
__device__ T normal_cdf(T x) {
  return T(0.5) * erfc(-x * Constants<T>::kSqrtHalf);
}
// gelu_tanh is x sigmoid of this.
template <class T>
__device__ T gelu_argument(T x) {
  return x * ((x * x) * (Constants<T>::kGeluCubic * Constants<T>::kGeluScale) + Constants<T>::kGeluScale);
}
// Where the difference would cancel, by the continued fraction x / (1 + x^2 / (3 + x^2 / (5 + ...))) of tanh down to 11, which is
// exact to the last place of a float below 1, of a double below 1/8.
template <class T>
__device__ T tanhshrink(T x) {
  if (!(fabs(x) < (sizeof(T) == 4 ? T(1) : T(0.125)))) return x - tanh(x);
  const T s = x * x;
  return s * (((s + 189) * s + 3465) / (((s + 210) * s + 4725) * s + 10395)) * x;
}
// log(x / (1 - x)); around 1/2 by what the quotient differs from 1, which is exact.
template <class T>
__device__ T logit(T x) {
  const T rest = 1 - x;
  return x > T(0.25) && x < T(0.75) ? log1p((2 * x - 1) / rest) : log(x / rest);
}
template <class T>
__device__ T erfinv(T x) {
  return static_cast<T>(special::erfinv(x));
}
template <class T>
__device__ T lgamma(T x) {
  return static_cast<T>(special::lgamma(x));
}
template <class T>
__device__ T digamma(T x) {
  return static_cast<T>(special::digamma(x));
}
template <class T>
__device__ T times_digamma(T g, T x) {
  return static_cast<T>(g * special::digamma(x));
}
template <class T>
__device__ T polygamma(T x, double n) {
  return static_cast<T>(special::polygamma(x, n));
}
template <class T>
__device__ T hardsigmoid(T x) {
  return x <= -3 ? T(0) : x >= 3 ? T(1) : (x + 3) / 6;
}
// Small whole powers, frequent ones, as products.
template <class T>
__device__ T power(T x, double exponent) {
  if (exponent == 3) return x * x * x;
  if (exponent == 2) return x * x;
  if (exponent == 1) return x;
  const T rounded = static_cast<T>(exponent);
  return static_cast<double>(rounded) == exponent ? pow(x, rounded) : static_cast<T>(pow(static_cast<double>(x), exponent));
}
// a x^(a - 1); in double where the power alone may be too large.
template <class T>
__device__ T power_slope(T x, double a) {
  if (a == 0) return T(0);
  if (a == 2 || a == 3 || a == 4) return static_cast<T>(a) * power(x, a - 1);
  return static_cast<T>(a * pow(static_cast<double>(x), a - 1));
}

template <class T>
__device__ T apply(UnaryOp op, T x, double a, double b) {
  const auto constant = [](double value) { return static_cast<T>(value); };
  switch (op) {
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps, ...) \
  case UnaryOp::op: return value;
#include "kernels/unary.def"
    case UnaryOp::log2: return log2(x);
    case UnaryOp::log10: return log10(x);
    case UnaryOp::sin: return sin(x);
    case UnaryOp::cos: return cos(x);
    case UnaryOp::pow_scalar: return power(x, a);
    case UnaryOp::silu: return x * sigmoid(x);
    case UnaryOp::gelu: return x * normal_cdf(x);
    case UnaryOp::gelu_tanh: return x * sigmoid(gelu_argument(x));
    case UnaryOp::count: break;
  }
  return T(NAN);  // a function that was forgotten here
}

// v: the argument or the result, whichever unary_needs() says.
template <class T>
__device__ T apply_backward(UnaryOp op, T g, T v, double a, double b) {
  using C = Constants<T>;
  const T x = v, y = v;
  const auto constant = [](double value) { return static_cast<T>(value); };
  switch (op) {
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps, ...) \
  case UnaryOp::op: return gradient;
#include "kernels/unary.def"
    case UnaryOp::log2: return g * (1 / C::kLn2) / v;
    case UnaryOp::log10: return g * (1 / C::kLn10) / v;
    case UnaryOp::sin: return g * cos(v);
    case UnaryOp::cos: return -g * sin(v);
    case UnaryOp::pow_scalar: return g * power_slope(v, a);
    case UnaryOp::silu: {
      const T s = sigmoid(v);
      return g * s * (1 + v * (1 - s));
    }
    case UnaryOp::gelu: return g * (normal_cdf(v) + (fabs(v) > T(40) ? T(0) : v * C::kDensity * exp(T(-0.5) * v * v)));
    case UnaryOp::gelu_tanh: {
      if (fabs(v) > T(40)) return v > 0 ? g : T(0);  // to all bits, where the square may overflow
      const T s = sigmoid(gelu_argument(v));
      return g * (s + v * s * (1 - s) * (3 * C::kGeluCubic * C::kGeluScale * (v * v) + C::kGeluScale));
    }
    case UnaryOp::count: break;
  }
  return T(NAN);
}

template <UnaryOp kOp>
struct Function {
  double a, b;
  __device__ float operator()(float x) const { return apply(kOp, x, a, b); }
};
template <UnaryOp kOp>
struct Gradient {
  double a, b;
  __device__ float operator()(float g, float v) const { return apply_backward(kOp, g, v, a, b); }
};
struct AnyFunction {
  using OneByOne = void;
  UnaryOp op;
  double a, b;
  __device__ double operator()(double x) const { return apply(op, x, a, b); }
};
struct AnyGradient {
  using OneByOne = void;
  UnaryOp op;
  double a, b;
  __device__ double operator()(double g, double v) const { return apply_backward(op, g, v, a, b); }
};

constexpr const char* kNames[] = {
#define UNARY(op, name, needs) name,
#include "kernels/unary.def"
};

const char* name_of(UnaryOp op) { return kNames[static_cast<size_t>(op)]; }

}  // namespace

template <class T>
void unary(const Queue& queue, UnaryOp op, int64_t n, double a, double b, const T* x, T* y) {
  if constexpr (std::is_same_v<T, double>) return map(queue, name_of(op), n, x, y, AnyFunction{op, a, b});
  else switch (op) {
#define UNARY(function, name, needs) \
  case UnaryOp::function: return map(queue, name, n, x, y, Function<UnaryOp::function>{a, b});
#include "kernels/unary.def"
      case UnaryOp::count: break;
    }
}

template <class T>
void unary_backward(const Queue& queue, UnaryOp op, int64_t n, double a, double b, const T* g, const T* x, const T* y, T* out) {
  const UnaryNeeds needs = unary_needs(op);
  const Source<T> saved = needs == UnaryNeeds::nothing ? Source<T>{nullptr, T(), 0} : array(needs == UnaryNeeds::x ? x : y);
  const auto with = [&](const auto& gradient) { map2(queue, name_of(op), n, array(g), saved, out, gradient); };
  if constexpr (std::is_same_v<T, double>) return with(AnyGradient{op, a, b});
  else switch (op) {
#define UNARY(function, name, needs) \
  case UnaryOp::function: return with(Gradient<UnaryOp::function>{a, b});
#include "kernels/unary.def"
      case UnaryOp::count: break;
    }
}

namespace {
template <class T>
struct Axpy {
  T alpha;
  __device__ T operator()(T x, T y) const { return x * alpha + y; }
};
}  // namespace

template <class T>
void axpy(const Queue& queue, int64_t n, double alpha, const T* x, T* y) {
  map2(queue, "axpy", n, array(x), array(static_cast<const T*>(y)), y, Axpy<T>{static_cast<T>(alpha)});
}

CNNX_INSTANTIATE(unary, unary_backward, axpy)

}  // namespace cnnx::cuda
