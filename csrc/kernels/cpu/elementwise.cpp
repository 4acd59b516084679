// Element-wise functions, contiguous. One loop template; a function is what it does to one Vec. Rare functions take C's
// scalar ones. Work is cut into chunks of fixed size.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec_double.h"
#include "kernels/cpu/vec_math.h"
#include "kernels/special_functions.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int64_t kChunk = 16384;

// body(begin, end) for every chunk of [0, n). cost: per element, where a plain sum in cache is 1 (a fifth of a nanosecond).
template <class Body>
void for_chunks(int64_t n, double cost, const Body& body) {
  parallel_for((n + kChunk - 1) / kChunk, cost * 0.2 * kChunk, [&](int64_t unit) {
    const int64_t begin = unit * kChunk;
    body(begin, begin + kChunk < n ? begin + kChunk : n);
  });
}

template <class F>
void map(int64_t n, double cost, const float* x, float* y, const F& function) {
  for_chunks(n, cost, [&](int64_t begin, int64_t end) {
    const F f = function;  // its numbers in registers, whatever y may point to
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) store(y + i, f(load(x + i)));
    if (i < end) store_partial(y + i, f(load_partial(x + i, end - i)), end - i);
  });
}

template <class F>
void map(int64_t n, double cost, const float* a, const float* b, float* y, const F& function) {
  for_chunks(n, cost, [&](int64_t begin, int64_t end) {
    const F f = function;
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) store(y + i, f(load(a + i), load(b + i)));
    if (i < end) store_partial(y + i, f(load_partial(a + i, end - i), load_partial(b + i, end - i)), end - i);
  });
}

// Of the gradient alone.
struct Nothing {};
template <class F>
void map(int64_t n, double cost, const float* g, Nothing, float* y, const F& f) {
  map(n, cost, g, y, [f](Vec d) { return f(d, Vec{}); });
}

// A function computed in double, half a vector at a time.
template <class F>
void map_wide(int64_t n, double cost, const float* x, float* y, const F& f) {
  for_chunks(n, cost, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + kWide <= end; i += kWide) store_wide(y + i, f(load_wide(x + i)));
    if (i < end) store_wide_partial(y + i, f(load_wide_partial(x + i, end - i)), end - i);
  });
}
template <class F>
void map_wide(int64_t n, double cost, const float* a, const float* b, float* y, const F& f) {
  for_chunks(n, cost, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + kWide <= end; i += kWide) store_wide(y + i, f(load_wide(a + i), load_wide(b + i)));
    if (i < end) store_wide_partial(y + i, f(load_wide_partial(a + i, end - i), load_wide_partial(b + i, end - i)), end - i);
  });
}

constexpr float kGeluCubic = 0.044715f, kGeluScale = 1.59576912160573071176f;  // 2 sqrt(2 / pi)

// gelu_tanh is x sigmoid of this.
inline Vec gelu_argument(Vec x) { return x * ((x * x) * (kGeluCubic * kGeluScale) + kGeluScale); }
// tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2), e = e^x; 1 to all bits from x = 20 on.
inline Vec tanh_softplus(Vec x) {
  const Vec e = exp(select(x > 20.0f, constant(20.0f), x)), n = e * (e + 2.0f);
  return n / (n + 2.0f);
}
inline Vec hardsigmoid(Vec x) { return select(x <= -3.0f, Vec{}, select(x >= 3.0f, constant(1.0f), (x + 3.0f) * (1.0f / 6))); }

inline Vec sign_of(Vec v) { return select(v > 0.0f, constant(1.0f), select(v < 0.0f, constant(-1.0f), Vec{})); }
inline Vec squared(Vec v) { return v * v; }
inline Vec negative_part(Vec v) { return select(v > 0.0f, Vec{}, v); }

// Functions of C that are instructions: the compiler makes one of the loop.
inline Vec sqrt(Vec v) { return square_root(v); }
inline Vec floor(Vec v) {
  return each_lane(v, [](float x) { return floorf(x); });
}
inline Vec ceil(Vec v) {
  return each_lane(v, [](float x) { return ceilf(x); });
}
inline Vec nearbyint(Vec v) {
  return each_lane(v, [](float x) { return nearbyintf(x); });
}
inline Vec trunc(Vec v) {
  return each_lane(v, [](float x) { return truncf(x); });
}

// Functions of C's kind, in double.
inline Vec lgamma(Vec v) {
  return each_lane(v, [](float x) { return (float)special::lgamma((double)x); });
}
inline Vec digamma(Vec v) {
  return each_lane(v, [](float x) { return (float)special::digamma((double)x); });
}
inline Vec times_digamma(Vec g, Vec v) {
  for (int i = 0; i < kLanes; ++i) v[i] = (float)((double)g[i] * special::digamma((double)v[i]));
  return v;
}
inline Vec polygamma(Vec v, double n) {
  return each_lane(v, [n](float x) { return (float)special::polygamma((double)x, n); });
}

// The rows of unary.def whose formulas serve every backend, for one vector.
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps, ...)                                \
  inline Vec op##_value(Vec x __VA_OPT__(, [[maybe_unused]] double a, [[maybe_unused]] double b)) { return value; }         \
  inline Vec op##_gradient([[maybe_unused]] Vec g,                                                                          \
                           [[maybe_unused]] Vec needs __VA_OPT__(, [[maybe_unused]] double a, [[maybe_unused]] double b)) { \
    return gradient;                                                                                                        \
  }
#include "kernels/unary.def"

// sin(x + quarter pi / 2) for |x| <= kSineRange, to 1 unit in the last place: in double, so that no digits go near the zeros;
// the compiler makes vectors of it. pi / 2 is taken off in two parts, multiples of the first being exact.
constexpr float kSineRange = 1e5f;
inline float sine(float x, int32_t quarter) {
  constexpr double kTwoOverPi = 0.63661977236758134308, kHalfPiHigh = 1.57079632673412561417e+00,
                   kHalfPiLow = 6.07710050650619224932e-11;
  const double n = (x * kTwoOverPi + kRound) - kRound;  // +0 for -0, so that this keeps its sign
  const double r = (x - n * kHalfPiHigh) - n * kHalfPiLow, z = r * r;
  const double s = r + r * z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 + z * (-1.0 / 39916800)))));
  const double c =
      1 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z * (1.0 / 479001600))))));
  const int32_t q = (int32_t)n + quarter;
  const double magnitude = q & 1 ? c : s;
  return (float)(q & 2 ? -magnitude : magnitude);
}

// out = scale * sin(x + quarter pi / 2), with scale an array or 1. A chunk with an argument beyond the range goes through C's.
void sines(int64_t n, int32_t quarter, const float* scale, float sign, const float* x, float* out) {
  for_chunks(n, 8, [&](int64_t begin, int64_t end) {
    bool in_range = true;
    for (int64_t i = begin; i < end; ++i) in_range &= fabsf(x[i]) <= kSineRange;
    // `out` may be `scale`, so each element is finished before the next.
    auto fill = [&](const auto& f) {
      if (scale == nullptr)
        for (int64_t i = begin; i < end; ++i) out[i] = sign * f(x[i]);
      else
        for (int64_t i = begin; i < end; ++i) out[i] = sign * scale[i] * f(x[i]);
    };
    if (in_range) fill([quarter](float v) { return sine(v, quarter); });
    else fill([quarter](float v) { return (float)(quarter == 0 ? ::sin((double)v) : ::cos((double)v)); });
  });
}

// x^n by squaring, for small whole n. A negative power whose reciprocal is too large is 0; it would be denormal.
inline Vec whole_power(Vec x, int n) {
  Vec result = constant(1.0f);
  for (int e = n < 0 ? -n : n; e > 0; e >>= 1) {
    if (e & 1) result *= x;
    x *= x;
  }
  return n < 0 ? 1.0f / result : result;
}

bool is_small_whole(double exponent) { return exponent >= -4 && exponent <= 4 && exponent == (double)(int)exponent; }

void power(int64_t n, double exponent, const float* x, float* y) {
  if (is_small_whole(exponent)) {
    const int whole = (int)exponent;
    map(n, 4, x, y, [whole](Vec v) { return whole_power(v, whole); });
  } else {
    map_wide(n, 20, x, y, [exponent](VecD v) { return pow(v, wide_constant(exponent)); });
  }
}

}  // namespace

void unary(const Queue&, UnaryOp op, int64_t n, double a, double b, const float* x, float* y) {
  switch (op) {
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps, ...) \
  case UnaryOp::op: return map(n, cost, x, y, [__VA_OPT__(a, b)](Vec v) { return op##_value(v __VA_OPT__(, a, b)); });
#include "kernels/unary.def"
    case UnaryOp::log2: return map_wide(n, 12, x, y, [](VecD v) { return log2(v); });
    case UnaryOp::log10: return map_wide(n, 12, x, y, [](VecD v) { return log2(v) * 0.30102999566398119521; });
    case UnaryOp::sin: return sines(n, 0, nullptr, 1, x, y);
    case UnaryOp::cos: return sines(n, 1, nullptr, 1, x, y);
    case UnaryOp::pow_scalar: return power(n, a, x, y);
    case UnaryOp::silu: return map(n, 16, x, y, [](Vec v) { return v * sigmoid(v); });
    case UnaryOp::gelu: return map(n, 24, x, y, [](Vec v) { return select(v > 20.0f, v, v * normal_cdf(v)); });
    case UnaryOp::gelu_tanh: return map(n, 20, x, y, [](Vec v) { return v * sigmoid(gelu_argument(v)); });
    case UnaryOp::count: return;
  }
}

void zeros(int64_t n, float* out) { memset(out, 0, (size_t)n * sizeof(float)); }

void unary_backward(const Queue&, UnaryOp op, int64_t n, double a, double b, const float* g, const float* x, const float* y,
                    float* out) {
  constexpr float kLn10 = 2.30258509299404568402f;
  constexpr Nothing nothing;
  switch (op) {
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps, ...) \
  case UnaryOp::op:                                                                          \
    return map(n, gradient_cost, g, needs, out,                                              \
               [__VA_OPT__(a, b)](Vec d, Vec v) { return op##_gradient(d, v __VA_OPT__(, a, b)); });
#define STEP(op, name, value) \
  case UnaryOp::op: return zeros(n, out);
#include "kernels/unary.def"
    case UnaryOp::log2: return map(n, 2, g, x, out, [](Vec d, Vec v) { return d * (1.0f / kLn2) / v; });
    case UnaryOp::log10: return map(n, 2, g, x, out, [](Vec d, Vec v) { return d * (1.0f / kLn10) / v; });
    case UnaryOp::sin: return sines(n, 1, g, 1, x, out);
    case UnaryOp::cos: return sines(n, 0, g, -1, x, out);
    case UnaryOp::pow_scalar: {
      if (a == 0) return zeros(n, out);
      const float factor = (float)a;
      if (is_small_whole(a - 1)) {
        const int whole = (int)(a - 1);
        return map(n, 4, g, x, out, [factor, whole](Vec d, Vec v) { return d * factor * whole_power(v, whole); });
      }
      return map_wide(n, 20, g, x, out, [a](VecD d, VecD v) { return d * a * pow(v, wide_constant(a - 1)); });
    }
    case UnaryOp::silu:
      return map(n, 16, g, x, out, [](Vec d, Vec v) {
        const Vec s = sigmoid(v);
        return d * s * (v * (1.0f - s) + 1.0f);
      });
    case UnaryOp::gelu:
      return map(n, 32, g, x, out, [](Vec d, Vec v) {
        const Vec density = exp(v * v * -0.5f) * 0.39894228f;
        return d * (normal_cdf(v) + select(absolute(v) > 20.0f, Vec{}, v * density));
      });
    case UnaryOp::gelu_tanh:
      return map(n, 24, g, x, out, [](Vec d, Vec v) {
        const Vec s = sigmoid(gelu_argument(v));
        const Vec slope = s + v * s * (1.0f - s) * ((v * v) * (3 * kGeluCubic * kGeluScale) + kGeluScale);
        return d * select(absolute(v) > 12.0f, s, slope);  // 0 or 1 to all bits from there on, where the square may overflow
      });
    case UnaryOp::count: return;
  }
}

namespace {
// Operands that are one element are broadcast once per chunk.
template <class F>
void binary_map(int64_t n, double cost, Operand a_kind, const float* a, Operand b_kind, const float* b, float* out, const F& f) {
  if (a_kind == Operand::full && b_kind == Operand::full) {
    map(n, cost, a, b, out, f);
  } else if (a_kind == Operand::full) {
    const Vec value = constant(*b);
    map(n, cost, a, out, [value, &f](Vec v) { return f(v, value); });
  } else {
    const Vec value = constant(*a);
    if (b_kind == Operand::full) map(n, cost, b, out, [value, &f](Vec v) { return f(value, v); });
    else map(n, cost, out, out, [value, other = constant(*b), &f](Vec) { return f(value, other); });
  }
}

// Computed in double. wide(u, v, &result) is false if it cannot do one of the elements; then scalar(u, v) does each.
template <class Wide, class Scalar>
void binary_wide(int64_t n, double cost, Operand a_kind, const float* a, Operand b_kind, const float* b, float* out,
                 const Wide& wide, const Scalar& scalar) {
  const bool a_full = a_kind == Operand::full, b_full = b_kind == Operand::full;
  const VecD a_value = wide_constant(a_full ? 1.0 : (double)*a), b_value = wide_constant(b_full ? 1.0 : (double)*b);
  for_chunks(n, cost, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kWide) {
      const int64_t left = end - i;
      VecD u = a_value, v = b_value, result;
      if (a_full) u = left >= kWide ? load_wide(a + i) : load_wide_partial(a + i, left);
      if (b_full) v = left >= kWide ? load_wide(b + i) : load_wide_partial(b + i, left);
      if (!wide(u, v, &result))
        for (int k = 0; k < kWide; ++k) result[k] = scalar(u[k], v[k]);
      if (left >= kWide) store_wide(out + i, result);
      else store_wide_partial(out + i, result, left);
    }
  });
}

// |a| = count |b| + rest with 0 <= rest < |b|, exactly, where the quotient is below 2^28: then count |b| and the difference fit
// into a double. False if it is not, or an operand is infinite, NaN, or b is 0.
inline bool divide(VecD a, VecD b, VecD* count, VecD* rest) {
  const VecD x = wide_absolute(a), y = wide_absolute(b), quotient = x / y;
  if (!all_wide((quotient < 268435456.0) & (y < (double)kInfinity))) return false;
  VecD whole = wide_round(quotient), left = x - whole * y;
  const VecL below = left < 0.0;  // rounded up
  whole = below ? whole - 1.0 : whole;
  left = below ? left + y : left;
  const VecL beyond = left >= y;
  *count = beyond ? whole + 1.0 : whole;
  *rest = beyond ? left - y : left;
  return true;
}
inline bool wide_fmod(VecD a, VecD b, VecD* result) {  // the sign of the dividend
  VecD count, rest;
  if (!divide(a, b, &count, &rest)) return false;
  *result = wide_copy_sign(rest, a);
  return true;
}
inline bool wide_remainder(VecD a, VecD b, VecD* result) {  // the sign of the divisor
  VecD rest;
  if (!wide_fmod(a, b, &rest)) return false;
  *result = (rest != 0.0) & ((rest < 0.0) ^ (b < 0.0)) ? rest + b : rest;
  return true;
}
inline bool wide_floor_divide(VecD a, VecD b, VecD* result) {
  VecD count, rest;
  if (!divide(a, b, &count, &rest)) return false;
  const VecL negative = (VecL)wide_sign(a) ^ (VecL)wide_sign(b);  // the sign bit alone
  const VecD down = ((rest != 0.0) & (negative != 0)) ? count + 1.0 : count;
  *result = (VecD)((VecL)down | negative);
  return true;
}

double scalar_remainder(double a, double b) {
  const double rest = ::fmod(a, b);
  return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;
}
// The quotient rounded down; see the reference for why the remainder is taken off first.
double scalar_floor_divide(double a, double b) {
  if (b == 0) return a / b;
  const double rest = ::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return copysign(0.0, a / b);
  const double whole = ::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}
}  // namespace

void binary(const Queue&, BinaryOp op, int64_t n, Operand ak, const float* a, Operand bk, const float* b, float* out) {
  switch (op) {
    case BinaryOp::add: return binary_map(n, 1, ak, a, bk, b, out, [](Vec u, Vec v) { return u + v; });
    case BinaryOp::sub: return binary_map(n, 1, ak, a, bk, b, out, [](Vec u, Vec v) { return u - v; });
    case BinaryOp::mul: return binary_map(n, 1, ak, a, bk, b, out, [](Vec u, Vec v) { return u * v; });
    case BinaryOp::div: return binary_map(n, 2, ak, a, bk, b, out, [](Vec u, Vec v) { return u / v; });
    case BinaryOp::maximum:
      return binary_map(n, 1, ak, a, bk, b, out, [](Vec u, Vec v) { return select(is_nan(u) | (u > v), u, v); });
    case BinaryOp::minimum:
      return binary_map(n, 1, ak, a, bk, b, out, [](Vec u, Vec v) { return select(is_nan(u) | (u < v), u, v); });
    case BinaryOp::pow:
      return binary_wide(
          n, 20, ak, a, bk, b, out,
          [](VecD u, VecD v, VecD* result) {
            *result = pow(u, v);
            return true;
          },
          [](double u, double v) { return ::pow(u, v); });
    case BinaryOp::remainder: return binary_wide(n, 8, ak, a, bk, b, out, wide_remainder, scalar_remainder);
    case BinaryOp::floor_divide: return binary_wide(n, 8, ak, a, bk, b, out, wide_floor_divide, scalar_floor_divide);
    case BinaryOp::fmod: return binary_wide(n, 8, ak, a, bk, b, out, wide_fmod, [](double u, double v) { return ::fmod(u, v); });
    case BinaryOp::hypot:
      return binary_wide(
          n, 8, ak, a, bk, b, out,
          [](VecD u, VecD v, VecD* result) {
            const VecD sum = u * u + v * v;
            if (!all_wide(sum < (double)kInfinity)) return false;
            for (int k = 0; k < kWide; ++k) (*result)[k] = ::sqrt(sum[k]);
            return true;
          },
          [](double u, double v) { return ::hypot(u, v); });
    case BinaryOp::xlogy:
      return binary_map(n, 16, ak, a, bk, b, out,
                        [](Vec u, Vec v) { return select((u == 0.0f) & ~is_nan(v), Vec{}, u * log(v)); });
    case BinaryOp::atan2: return binary_map(n, 24, ak, a, bk, b, out, [](Vec u, Vec v) { return atan2(u, v); });
    case BinaryOp::pow_slope:
      return binary_wide(
          n, 20, ak, a, bk, b, out,
          [](VecD u, VecD v, VecD* result) {
            *result = v == 0.0 ? VecD{} : v * pow(u, v - 1.0);
            return all_wide(wide_absolute(v) < 1e15);  // the power of beyond is 0, infinite or has another sign
          },
          [](double u, double v) { return v == 0 ? 0 : v * ::pow(u, v - 1); });
    case BinaryOp::count: return;
  }
}

void axpy(const Queue&, int64_t n, double alpha, const float* x, float* y) {
  const float factor = (float)alpha;
  map(n, 1, x, y, y, [factor](Vec u, Vec v) { return u * factor + v; });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
