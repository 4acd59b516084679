// Functions that C has not, or not for several threads, in double, for the CPU and for devices alike: the logarithm of the gamma
// function with its derivatives, and the inverse of the error function. Internal to whoever includes them, since files of other
// instruction sets do.
#pragma once

#include <math.h>

#ifndef CNNX_BOTH
#ifdef __CUDACC__
#define CNNX_BOTH __host__ __device__
#else
#define CNNX_BOTH
#endif
#endif

namespace cnnx::special {

CNNX_BOTH static inline double lgamma(double x) {
#ifdef __CUDA_ARCH__
  return ::lgamma(x);
#else
  int sign;  // C's lgamma leaves it in a variable that all threads share
  return ::lgamma_r(x, &sign);
#endif
}

// The derivative of lgamma: by the reflection below 0, by the recurrence to where the asymptotic series holds to the last digits.
CNNX_BOTH static inline double digamma(double x) {
  constexpr double kPi = 3.14159265358979323846;
  if (x == 0) return copysign(INFINITY, -x);
  double result = 0;
  if (x < 0) {
    const double part = x - nearbyint(x);
    if (part == 0 || part != part) return NAN;  // a pole, from either side another infinity; -inf
    result = -kPi / tan(kPi * part);
    x = 1 - x;
  }
  for (; x < 10; x += 1) result -= 1 / x;
  const double z = 1 / (x * x);
  const double tail =
      z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
  return result + (log(x) - 0.5 / x - tail);
}

// The sum of (a + k)^-s over k = 0, 1, ..., by Euler and Maclaurin's formula, for a well above s.
CNNX_BOTH static inline double power_tail(double s, double a) {
  // B_2k / (2k)! for k = 1, 2, ...
  constexpr double kTerms[] = {1.0 / 12,         -1.0 / 720, 1.0 / 30240, -1.0 / 1209600, 1.0 / 47900160, -691.0 / 1307674368000,
                               1.0 / 74724249600};
  const double power = pow(a, -s);
  double result = power * a / (s - 1) + power / 2, factor = power * s / a;
  for (int k = 0; k < 7; ++k) {
    result += kTerms[k] * factor;
    factor *= (s + 2 * k + 1) * (s + 2 * k + 2) / (a * a);
  }
  return a < INFINITY ? result : a == a ? 0 : a;
}

// The n-th derivative of digamma, n >= 1: (-1)^(n + 1) n! times the sum of (x + k)^-(n + 1) over k = 0, 1, ...
CNNX_BOTH static inline double polygamma(double x, double n) {
  if (n == 0) return digamma(x);
  const double s = n + 1, far = s + 12, sign = fmod(n, 2) == 1 ? 1 : -1, scale = sign * tgamma(s);
  if (x <= 0 && floor(x) == x) return fabs(x) == INFINITY ? NAN : sign * INFINITY;
  double sum = 0;
  if (x < -far) {  // what lies far below 0 is the difference of two such sums
    const double skipped = floor(-far - x) + 1;
    sum = (fmod(s, 2) == 1 ? -1 : 1) * (power_tail(s, 1 - x - skipped) - power_tail(s, 1 - x));
    x += skipped;
  }
  // Of a large n few terms count: those at |x| < 2, and beyond them until one is nothing beside the sum.
  if (s > 1100 && x < -2) x += floor(-2 - x);
  for (; x < far; x += 1) {
    const double term = pow(x, -s);
    sum += term;
    if (x > 1 && !(term > fabs(sum) * 1e-18)) return scale * sum;  // also of a sum that is NaN
  }
  return scale * (sum + power_tail(s, x));
}

// Giles' approximation (GPU Computing Gems, 2011), polished by Halley's steps on what is left to 1.
CNNX_BOTH static inline double erfinv(double y) {
  constexpr double kNear[] = {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                              -0.00125372503, -0.00417768164, 0.246640727,    1.50140941};
  constexpr double kFar[] = {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                             -0.0076224613,   0.00943887047,  1.00167406,    2.83297682};
  const double size = fabs(y), rest = 1 - size;
  if (!(size < 1)) return size == 1 ? copysign(INFINITY, y) : NAN;
  const double w = -log(rest * (1 + size)), t = w < 5 ? w - 2.5 : sqrt(w) - 3;
  double x = 0;
  for (int k = 0; k < 9; ++k) x = x * t + (w < 5 ? kNear[k] : kFar[k]);
  // Nearer to 1 than a float's: from erfc(x) = e^(-x^2) / (x sqrt(pi)), about.
  x = w < 16 ? x * size : sqrt(-log(rest * 1.77245385090551602730 * sqrt(w)));
  for (int i = 0; i < 3; ++i) {
    const double error = size > 0.5 ? rest - erfc(x) : erf(x) - size;
    const double step = error / (1.12837916709551257390 * exp(-x * x));  // 2 / sqrt(pi)
    x -= step / (1 + x * step);
  }
  return copysign(x, y);
}

}  // namespace cnnx::special
