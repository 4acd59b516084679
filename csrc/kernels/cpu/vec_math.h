// exp, log and their kin on vectors of floats. Errors are bounded by tests/test_vec_math.py on every target, in units in the last
// place of the correctly rounded result: exp, log 2; expm1, log1p, tanh, sigmoid, erf 3; asin, acos, atan, atan2 4; sinh,
// cosh, asinh, acosh, atanh, erfinv, logit, tanhshrink 6; normal_cdf, erfc 12. NaN stays NaN, and infinities, overflow,
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
template <class F>
inline Vec each_lane(Vec v, const F& f) {
  for (int i = 0; i < kLanes; ++i) v[i] = f(v[i]);
  return v;
}
inline Vec square_root(Vec v) {  // an instruction: the compiler makes one of the loop
  return each_lane(v, [](float x) { return sqrtf(x); });
}
inline bool all(VecI mask) {
  int32_t bits = -1;
  for (int i = 0; i < kLanes; ++i) bits &= mask[i];
  return bits != 0;
}

// ln 2 in two parts: multiples of the first by an exponent are exact.
inline constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f, kLog2E = 1.44269504088896341f;
inline constexpr float kInfinity = __builtin_inff();
inline constexpr float kLn2 = 0.69314718055994530942f, kPi = 3.14159265358979323846f, kHalfPi = 1.57079632679489661923f;

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

// Around 0 as log1p of what grows like x; far out as log(2 x), where the squares would be too large.
inline Vec asinh(Vec x) {
  const Vec magnitude = absolute(x), s = magnitude * magnitude;
  const Vec near = log1p(magnitude + s / (square_root(s + 1.0f) + 1.0f));
  return copy_sign(select(magnitude > 1e10f, log(magnitude) + kLn2, near), x);
}
inline Vec acosh(Vec x) {
  const Vec t = x - 1.0f, near = log1p(t + square_root(t * 2.0f + t * t));
  return select(x < 1.0f, constant(__builtin_nanf("")), select(x > 1e10f, log(x) + kLn2, near));
}
inline Vec atanh(Vec x) {
  const Vec magnitude = absolute(x);
  return copy_sign(log1p(magnitude * 2.0f / (1.0f - magnitude)) * 0.5f, x);
}

// asin(x) = x + x s P(s) with s = x^2, for |x| <= 1/2; the polynomial is a least maximum of the relative error.
inline Vec asin_inside(Vec x, Vec s) {
  Vec p = constant(4.221856594e-2f);
  p = p * s + 2.414760180e-2f;
  p = p * s + 4.547709972e-2f;
  p = p * s + 7.495241612e-2f;
  p = p * s + 1.666675359e-1f;
  return x + x * s * p;
}
// Beyond 1/2 by the half angle: asin(x) = pi / 2 - 2 asin(sqrt((1 - x) / 2)).
struct AsinParts {
  VecI is_far;
  Vec angle;  // far: of the half angle, twice
};
inline AsinParts asin_parts(Vec magnitude) {
  const VecI is_far = magnitude > 0.5f;
  const Vec half = (1.0f - magnitude) * 0.5f, s = select(is_far, half, magnitude * magnitude);
  const Vec angle = asin_inside(select(is_far, square_root(half), magnitude), s);
  return {is_far, select(is_far, angle * 2.0f, angle)};
}
inline Vec asin(Vec x) {
  const AsinParts parts = asin_parts(absolute(x));
  return copy_sign(select(parts.is_far, kHalfPi - parts.angle, parts.angle), x);
}
inline Vec acos(Vec x) {
  const AsinParts parts = asin_parts(absolute(x));
  const Vec far = select(x < 0.0f, kPi - parts.angle, parts.angle);
  return select(parts.is_far, far, kHalfPi - copy_sign(parts.angle, x));
}

// For 0 <= x <= 1; beyond tan(pi / 8) as pi / 4 and the rest.
inline Vec atan_inside(Vec x) {
  const VecI is_far = x > 0.41421356f;
  const Vec t = select(is_far, (x - 1.0f) / (x + 1.0f), x), s = t * t;
  Vec p = constant(8.060307801e-2f);
  p = p * s + -1.387984902e-1f;
  p = p * s + 1.997792572e-1f;
  p = p * s + -3.333295584e-1f;
  return select(is_far, constant(0.5f * kHalfPi), Vec{}) + (t + t * s * p);
}
inline Vec atan(Vec x) {
  const Vec magnitude = absolute(x);
  const VecI beyond = magnitude > 1.0f;
  const Vec angle = atan_inside(select(beyond, 1.0f / magnitude, magnitude));
  return copy_sign(select(beyond, kHalfPi - angle, angle), x);
}
// The angle of the point (x, y), with C's values at zeros of both signs and infinities.
inline Vec atan2(Vec y, Vec x) {
  const Vec height = absolute(y), width = absolute(x);
  const VecI steep = height > width;
  const Vec small = select(steep, width, height), large = select(steep, height, width);
  const Vec ratio = select(large == 0.0f, Vec{}, select(small == large, constant(1.0f), small / large));
  Vec angle = atan_inside(ratio);
  angle = select(steep, kHalfPi - angle, angle);
  angle = select(as_int(x) < 0, kPi - angle, angle);
  return select(is_nan(x) | is_nan(y), constant(__builtin_nanf("")), copy_sign(angle, y));
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

// erfc(z) / t = e^(-z^2 + P(t)), t = 1 / (1 + z / 2), z >= 0 (Press et al., Numerical Recipes, erfcc). The exponent is large,
// so it is kept in two parts: -z^2 = high + low.
inline Vec erfc_over(Vec t, Vec high, Vec low) {
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
  const Vec sum = high + (p + low), rest = (high - sum) + (p + low);
  const Vec e = exp(sum);
  return e + e * rest;
}

// No digits are lost in the tail, on the right.
inline Vec erfc(Vec x) {
  const Vec m = select(absolute(x) > 12.0f, constant(12.0f), absolute(x)), t = 1.0f / (m * 0.5f + 1.0f);
  const Vec upper = as_float(as_int(m) & (int32_t)0xfffff000), lower = m - upper;
  const Vec tail = t * erfc_over(t, -(upper * upper), -(upper + m) * lower);
  return select(is_nan(x), x, select(x < 0.0f, 2.0f - tail, tail));
}

// The inverse of erf: x P(w) with w = -log(1 - x^2) (Giles, GPU Computing Gems, 2011).
inline Vec erfinv(Vec x) {
  const Vec w = -log((1.0f - x) * (x + 1.0f));
  const VecI near = w < 5.0f;
  const Vec t = select(near, w - 2.5f, square_root(w) - 3.0f);
  Vec p = select(near, constant(2.81022636e-08f), constant(-0.000200214257f));
  p = p * t + select(near, constant(3.43273939e-07f), constant(0.000100950558f));
  p = p * t + select(near, constant(-3.5233877e-06f), constant(0.00134934322f));
  p = p * t + select(near, constant(-4.39150654e-06f), constant(-0.00367342844f));
  p = p * t + select(near, constant(0.00021858087f), constant(0.00573950773f));
  p = p * t + select(near, constant(-0.00125372503f), constant(-0.0076224613f));
  p = p * t + select(near, constant(-0.00417768164f), constant(0.00943887047f));
  p = p * t + select(near, constant(0.246640727f), constant(1.00167406f));
  p = p * t + select(near, constant(1.50140941f), constant(2.83297682f));
  return select(absolute(x) == 1.0f, copy_sign(constant(kInfinity), x), p * x);
}

// The normal distribution function: half of erfc(|x| / sqrt 2) on the left, 1 minus that on the right, so that no digits are lost
// in the tail.
inline Vec normal_cdf(Vec x) {
  const Vec m = select(absolute(x) > 20.0f, constant(20.0f), absolute(x));
  const Vec t = 1.0f / (m * 0.35355339f + 1.0f);
  // -m^2 / 2 exactly: the square of the upper 12 bits, and the rest.
  const Vec upper = as_float(as_int(m) & (int32_t)0xfffff000), lower = m - upper;
  const Vec high = upper * upper * -0.5f, low = (upper + m) * lower * -0.5f;
  const Vec tail = t * 0.5f * erfc_over(t, high, low);
  return select(is_nan(x), x, select(x < 0.0f, tail, 1.0f - tail));
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
