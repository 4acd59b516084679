// exp, log and their kin on vectors of floats. Errors are bounded by tests/test_vec_math.py on every target, in units in the last
// place of the correctly rounded result: exp, log 2; expm1, log1p, tanh, sigmoid, erf 3; sinh,
// cosh, logit, tanhshrink 6; normal_cdf 12. NaN stays NaN, and infinities, overflow,
// signed zeros and denormal results are those of the exact functions. Without a fused multiply-add (v2) the bounds hold too.
#pragma once

#include "kernels/cpu/vec.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

inline Vec as_float(VecI v) { return (Vec)v; }
inline VecI as_int(Vec v) { return (VecI)v; }
// Integers that may pass the ends of their range (the bits of negative numbers and NaN, whose results are replaced) wrap round.
typedef uint32_t VecU __attribute__((vector_size(kLanes * 4)));
inline VecI wrapping_subtract(VecI a, VecI b) { return (VecI)((VecU)a - (VecU)b); }
inline Vec to_float(VecI v) { return __builtin_convertvector(v, Vec); }
inline Vec absolute(Vec v) { return as_float(as_int(v) & 0x7fffffff); }
// The magnitude of v with the sign of s.
inline Vec copy_sign(Vec v, Vec s) { return as_float((as_int(v) & 0x7fffffff) | (as_int(s) & (int32_t)0x80000000)); }
inline VecI is_nan(Vec v) { return v != v; }
inline Vec constant(float x) { return broadcast(x); }
inline bool all(VecI mask) {
  int32_t bits = -1;
  for (int i = 0; i < kLanes; ++i) bits &= mask[i];
  return bits != 0;
}

// ln 2 in two parts: multiples of the first by an exponent are exact.
inline constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f, kLog2E = 1.44269504088896341f;
inline constexpr float kInfinity = __builtin_inff();

// x = n ln 2 + r with |r| <= ln 2 / 2 and n a whole number; q = e^r - 1.
struct ExpParts {
  VecI n;
  Vec q;
};
inline ExpParts exp_parts(Vec x) {
  const Vec magic = constant(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
  const Vec shifted = x * kLog2E + magic;
  const Vec n = shifted - magic;
  Vec r = x - n * kLn2High;
  r = r - n * kLn2Low;
  Vec p = constant(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return {wrapping_subtract(as_int(shifted), as_int(magic)), p * (r * r) + r};
}

// 2^n for -126 <= n <= 127.
inline Vec power_of_two(VecI n) { return (Vec)(((VecU)n + 127u) << 23); }

inline Vec exp(Vec x) {
  // Beyond these the result is 0 or infinite anyway, and the exponent stays in reach of two factors.
  x = select(x > 89.0f, constant(89.0f), x);
  x = select(x < -104.0f, constant(-104.0f), x);
  const ExpParts parts = exp_parts(x);
  // Two factors: the result may be denormal, or 2^128 times something below 1.
  const VecI half = parts.n >> 1;
  return (parts.q + 1.0f) * power_of_two(half) * power_of_two(parts.n - half);
}

// For -20 <= x <= 20.
inline Vec expm1_inside(Vec x) {
  const ExpParts parts = exp_parts(x);
  const Vec scale = power_of_two(parts.n);
  return scale * parts.q + (scale - 1.0f);
}

inline Vec expm1(Vec x) {
  const Vec large = exp(x);
  Vec inside = select(x > 20.0f, constant(20.0f), x);
  inside = select(inside < -20.0f, constant(-20.0f), inside);
  const Vec result = expm1_inside(inside);
  // A zero keeps its sign.
  return select(x > 20.0f, large, select(x == 0.0f, x, result));
}

inline Vec log(Vec x) {
  const VecI tiny = x < 1.17549435e-38f;  // denormal: scaled into the normal range
  const Vec scaled = select(tiny, x * 8388608.0f, x);
  // The mantissa as m in [sqrt(1/2), sqrt(2)), the exponent to match.
  const VecI bits = wrapping_subtract(as_int(scaled), VecI{} + 0x3f3504f3);
  const Vec e = to_float((bits >> 23) - (tiny & 23));
  const Vec f = as_float((bits & 0x007fffff) + 0x3f3504f3) - 1.0f;
  const Vec z = f * f;
  Vec p = constant(7.0376836292e-2f);
  p = p * f + -1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f + -1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f + -1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f + -2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  Vec tail = p * f * z;
  tail = tail + e * kLn2Low;
  tail = tail - z * 0.5f;
  Vec result = (f + tail) + e * kLn2High;
  result = select(x == 0.0f, constant(-kInfinity), result);
  result = select(x == kInfinity, x, result);
  return select((x < 0.0f) | is_nan(x), constant(__builtin_nanf("")), result);
}

inline Vec log1p(Vec x) {
  const Vec u = x + 1.0f;
  // What rounding 1 + x lost, to first order.
  const Vec lost = x - (u - 1.0f);
  const Vec result = log(u) + lost / u;
  const VecI plain = (u == 0.0f) | (x == kInfinity);
  return select(x == 0.0f, x, select(plain, log(u), result));
}

inline Vec tanh(Vec x) {
  // Odd, and 1 to all bits from 9.02 on.
  const Vec magnitude = absolute(x);
  const Vec t = expm1_inside(select(magnitude > 10.0f, constant(10.0f), magnitude) * 2.0f);
  return copy_sign(t / (t + 2.0f), x);
}

// Half of e^x, and nothing lost where e^x itself would be too large: x / 2 is exact, so both factors are good to 2 units.
inline Vec half_exp(Vec x) {
  const Vec root = exp(x * 0.5f);
  return root * 0.5f * root;
}

// Odd; the smaller exponential is 0 to all bits from 10 on.
inline Vec sinh(Vec x) {
  const Vec magnitude = absolute(x), grown = expm1_inside(select(magnitude > 10.0f, constant(10.0f), magnitude));
  return copy_sign(select(magnitude > 10.0f, half_exp(magnitude), (grown + grown / (grown + 1.0f)) * 0.5f), x);
}

inline Vec cosh(Vec x) {
  const Vec magnitude = absolute(x), e = exp(select(magnitude > 10.0f, constant(10.0f), magnitude));
  return select(magnitude > 10.0f, half_exp(magnitude), (e + 1.0f / e) * 0.5f);
}

// x - tanh(x). Where that would cancel, by the continued fraction x / (1 + x^2 / (3 + x^2 / (5 + ...))) of tanh down to 11; else
// with tanh as above. Both are a quotient.
inline Vec tanhshrink(Vec x) {
  const Vec magnitude = absolute(x), s = x * x, t = expm1_inside(select(magnitude > 10.0f, constant(10.0f), magnitude) * 2.0f);
  const VecI near = magnitude < 1.0f;
  const Vec quotient =
      select(near, (s + 189.0f) * s + 3465.0f, t) / select(near, ((s + 210.0f) * s + 4725.0f) * s + 10395.0f, t + 2.0f);
  return select(near, s * quotient * x, x - copy_sign(quotient, x));
}

inline Vec sigmoid(Vec x) {
  const Vec e = exp(-absolute(x));
  return select(x < 0.0f, e, constant(1.0f)) / (e + 1.0f);
}

inline Vec erf(Vec x) {
  Vec t = absolute(x);
  const Vec s = x * x;
  Vec near = constant(-5.96761703e-4f);
  near = near * s + 4.99119423e-3f;
  near = near * s + -2.67681349e-2f;
  near = near * s + 1.12819925e-1f;
  near = near * s + -3.76125336e-1f;
  near = near * s + 1.28379166e-1f;
  near = near * x + x;
  // 1 - exp(polynomial) where that loses nothing.
  const VecI is_far = t > 0.927734375f;
  t = select(t > 4.5f, constant(4.5f), t);
  Vec far = constant(-1.72853470e-5f);
  far = far * t + 3.83197126e-4f;
  far = far * t + -3.88396438e-3f;
  far = far * t + 2.42546219e-2f;
  far = far * t + -1.06777877e-1f;
  far = far * t + -6.34846687e-1f;
  far = far * t + -1.28717512e-1f;
  far = far * t - t;
  return select(is_far, copy_sign(1.0f - exp(far), x), near);
}

// log(x / (1 - x)); around 1/2, where the quotient is near 1, by what it differs from 1: 2 x - 1 is exact there.
inline Vec logit(Vec x) {
  const Vec rest = 1.0f - x;
  const VecI near = (x > 0.25f) & (x < 0.75f);
  return select(near, log1p(select(near, x * 2.0f - 1.0f, Vec{}) / rest), log(x / rest));
}

// e^(-x^2), the square in two parts, since the exponent is large.
inline Vec exp_minus_square(Vec x) {
  const Vec m = select(absolute(x) > 12.0f, constant(12.0f), absolute(x));
  const Vec upper = as_float(as_int(m) & (int32_t)0xfffff000), lower = m - upper;
  const Vec high = -(upper * upper), low = -(upper + m) * lower;
  const Vec sum = high + low, e = exp(sum);
  return select(is_nan(x), x, e + e * ((high - sum) + low));
}

// log(1 + e^x) without overflow.
inline Vec softplus(Vec x) { return select(x < 0.0f, Vec{}, x) + log1p(exp(-absolute(x))); }

// The normal distribution function: half of erfc(|x| / sqrt 2) on the left, 1 minus that on the right, so that no digits are lost
// in the tail. erfc(z) = t e^(-z^2 + P(t)), t = 1 / (1 + z / 2) (Press et al., Numerical Recipes, erfcc). The exponent is large,
// so it is kept in two parts.
inline Vec normal_cdf(Vec x) {
  const Vec m = select(absolute(x) > 20.0f, constant(20.0f), absolute(x));
  const Vec t = 1.0f / (m * 0.35355339f + 1.0f);
  Vec p = constant(0.17087277f);
  p = p * t + -0.82215223f;
  p = p * t + 1.48851587f;
  p = p * t + -1.13520398f;
  p = p * t + 0.27886807f;
  p = p * t + -0.18628806f;
  p = p * t + 0.09678418f;
  p = p * t + 0.37409196f;
  p = p * t + 1.00002368f;
  p = p * t + -1.26551223f;
  // -m^2 / 2 exactly: the square of the upper 12 bits, and the rest.
  const Vec upper = as_float(as_int(m) & (int32_t)0xfffff000), lower = m - upper;
  const Vec high = upper * upper * -0.5f, low = (upper + m) * lower * -0.5f;
  const Vec sum = high + (p + low), rest = (high - sum) + (p + low);
  const Vec e = exp(sum);
  const Vec tail = t * 0.5f * (e + e * rest);
  return select(is_nan(x), x, select(x < 0.0f, tail, 1.0f - tail));
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
