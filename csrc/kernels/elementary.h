// sin, cos, tan and exp in double with the same bits on the CPU and on a GPU, whose libraries differ by the last place: what is
// drawn and computed for an image must not depend on where. Pairs of doubles carry each function to about 2^-56 before it is
// rounded once, so results are the correctly rounded ones but for a few in a thousand (exp: one in a hundred). Arguments up to
// 2^19. Compile without contraction to fused multiply-adds: those that are wanted are written.
#pragma once

#include <cmath>

#ifdef __CUDACC__
#define CNNX_BOTH __host__ __device__
#else
#define CNNX_BOTH
#endif

namespace cnnx::elementary {

struct Pair {
  double high, low;  // the value is their sum; |low| is at most half a unit in the last place of high
};

CNNX_BOTH inline Pair sum(double a, double b) {
  const double s = a + b, t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}
CNNX_BOTH inline Pair product(Pair a, Pair b) {
  const double p = a.high * b.high;
  return sum(p, fma(a.high, b.high, -p) + (a.high * b.low + a.low * b.high));
}
CNNX_BOTH inline double rounded(Pair a) { return a.high + a.low; }
CNNX_BOTH inline double quotient(Pair a, Pair b) {
  const double q = a.high / b.high;
  return q + (fma(-q, b.high, a.high) + (a.low - q * b.low)) / b.high;
}

struct Circle {
  Pair sine, cosine;
};

// Reduced to [-pi/4, pi/4] by a pi/2 in three parts (33, 33 and 53 bits), then Taylor series, whose first terms are pairs.
CNNX_BOTH inline Circle circle(double x) {
  const double turns = nearbyint(x * 0.63661977236758138);
  const double rest = x - turns * 1.57079632673412561417e+00;
  Pair r = sum(rest, -turns * 6.07710050630396597660e-11);
  r = sum(r.high, r.low - turns * 2.02226624879595063154e-21);
  const Pair z = product(r, r);
  const double s = z.high;
  const double sine_tail =
      1.0 / 120 +
      s * (-1.0 / 5040 + s * (1.0 / 362880 + s * (-1.0 / 39916800 + s * (1.0 / 6227020800 + s * (-1.0 / 1307674368000 +
                                                                                                 s * (1.0 / 355687428096000))))));
  const double cosine_tail =
      1.0 / 24 +
      s * (-1.0 / 720 + s * (1.0 / 40320 + s * (-1.0 / 3628800 +
                                                s * (1.0 / 479001600 + s * (-1.0 / 87178291200 + s * (1.0 / 20922789888000))))));
  Pair inner = sum(-1.0 / 6, s * sine_tail);
  inner.low += -9.25185853854297066e-18;  // -1/6 is not a double
  const Pair change = product(r, product(z, inner));
  Pair sine = sum(r.high, change.high);
  sine = sum(sine.high, sine.low + (r.low + change.low));
  Pair cosine = sum(1.0, -0.5 * s);
  cosine = sum(cosine.high, cosine.low + (s * s * cosine_tail - 0.5 * z.low));
  const Pair minus_sine{-sine.high, -sine.low}, minus_cosine{-cosine.high, -cosine.low};
  switch (static_cast<int>(turns) & 3) {
    case 0: return {sine, cosine};
    case 1: return {cosine, minus_sine};
    case 2: return {minus_sine, minus_cosine};
    default: return {minus_cosine, sine};
  }
}

CNNX_BOTH inline double sine(double x) { return rounded(circle(x).sine); }
CNNX_BOTH inline double cosine(double x) { return rounded(circle(x).cosine); }
CNNX_BOTH inline double tangent(double x) {
  const Circle c = circle(x);
  return quotient(c.sine, c.cosine);
}

// 2^k e^r, |r| <= log(2) / 2.
CNNX_BOTH inline double exponential(double x) {
  const double k = nearbyint(x * 1.4426950408889634);
  const Pair r = sum(x - k * 6.93147180369123816490e-01, -k * 1.90821492927058770002e-10);
  const double h = r.high;
  double tail = 1.0;
  for (int n = 15; n > 2; --n) tail = 1.0 + h / n * tail;
  const Pair first = sum(1.0, h);
  return ldexp(first.high + (first.low + (r.low + h * r.low + 0.5 * (h * h) * tail)), static_cast<int>(k));
}

}  // namespace cnnx::elementary
