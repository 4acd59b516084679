// VecD: half a vector's floats as doubles, for functions whose float result needs more digits on the way: log2, pow, remainders.
// Results are within 1e-11 of the exact ones, so the float that they round to is within one unit in the last place, and exact
// where the exact value is a float (powers of two, whole powers).
#pragma once

#include "kernels/cpu/vec_math.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {

inline constexpr int kWide = kLanes / 2;
typedef double VecD __attribute__((vector_size(kLanes * 4)));
typedef int64_t VecL __attribute__((vector_size(kLanes * 4)));
typedef uint64_t VecUL __attribute__((vector_size(kLanes * 4)));
typedef float HalfVec __attribute__((vector_size(kLanes * 2)));
typedef float HalfUnaligned __attribute__((vector_size(kLanes * 2), aligned(4), may_alias));

namespace {

inline VecD load_wide(const float* p) { return __builtin_convertvector(*reinterpret_cast<const HalfUnaligned*>(p), VecD); }
inline void store_wide(float* p, VecD v) { *reinterpret_cast<HalfUnaligned*>(p) = __builtin_convertvector(v, HalfVec); }
inline VecD wide_constant(double x) { return x - VecD{}; }
// The first n < kWide values, ones behind them.
inline VecD load_wide_partial(const float* p, int64_t n) {
  VecD v = wide_constant(1.0);
  for (int64_t i = 0; i < n; ++i) v[i] = (double)p[i];
  return v;
}
inline void store_wide_partial(float* p, VecD v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = (float)v[i];
}

inline constexpr int64_t kSignBit = INT64_MIN;
inline VecD wide_absolute(VecD v) { return (VecD)((VecL)v & INT64_MAX); }
inline VecD wide_sign(VecD v) { return (VecD)((VecL)v & kSignBit); }
inline VecD wide_copy_sign(VecD v, VecD s) { return (VecD)(((VecL)v & INT64_MAX) | ((VecL)s & kSignBit)); }
inline bool all_wide(VecL mask) {
  int64_t bits = -1;
  for (int i = 0; i < kWide; ++i) bits &= mask[i];
  return bits != 0;
}

// Adding 1.5 * 2^52 rounds to a whole number, which then lies in the lower bits; for |v| < 2^51.
inline constexpr double kRound = 6755399441055744.0;
inline VecD wide_round(VecD v) { return (v + kRound) - kRound; }

// A logarithm's argument as 2^e m, the mantissa m in [sqrt(1/2), sqrt 2) as s = (m - 1) / (m + 1) for a series; e is exact.
struct LogParts {
  VecD e, s;
};
inline LogParts log_parts(VecD x) {
  const VecUL bits = (VecUL)x;
  // The exponent plus 1024, taken where the mantissa crosses sqrt(1/2).
  const VecUL raised = (bits - 0x3fe6a09e667f3bcdu + (1024ull << 52)) >> 52;
  const VecD e = (VecD)(raised | 0x4330000000000000u) - (4503599627370496.0 + 1024.0);
  const VecD m = (VecD)(bits - (raised << 52) + (1024ull << 52));
  return {e, (m - 1.0) / (m + 1.0)};
}

// NaN below zero.
inline VecD log2(VecD x) {
  const auto [e, s] = log_parts(x);
  const VecD z = s * s;
  VecD p = wide_constant(2.0 / 17);
  p = p * z + 2.0 / 15;
  p = p * z + 2.0 / 13;
  p = p * z + 2.0 / 11;
  p = p * z + 2.0 / 9;
  p = p * z + 2.0 / 7;
  p = p * z + 2.0 / 5;
  p = p * z + 2.0 / 3;
  p = p * z + 2.0;
  VecD result = e + p * s * 1.44269504088896340736;
  result = x == 0.0 ? wide_constant(-(double)kInfinity) : result;
  result = x == (double)kInfinity ? x : result;
  return ((x < 0.0) | (x != x)) ? wide_constant(__builtin_nan("")) : result;
}

// For a result that becomes a float: 0 or infinite beyond |x| = 300.
inline VecD exp2(VecD x) {
  x = x > 300.0 ? wide_constant(300.0) : x;
  x = x < -300.0 ? wide_constant(-300.0) : x;
  const VecD shifted = x + kRound;
  const VecD r = (x - (shifted - kRound)) * 0.69314718055994530942;
  VecD p = wide_constant(1.0 / 3628800);
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return x != x ? x : (VecD)((VecUL)p + ((VecUL)shifted << 52));
}

// With C's special values. Not inlined: it is long, and has several callers.
[[gnu::noinline]] inline VecD pow(VecD x, VecD y) {
  const VecD magnitude = wide_absolute(x), infinite = wide_constant((double)kInfinity);
  VecD result = exp2(y * log2(magnitude));
  // Large exponents are even.
  const VecD exponent = wide_absolute(y) > 1e15 ? wide_constant(2.0) : y;
  const VecL whole = wide_round(exponent) == exponent, odd = whole & (wide_round(exponent * 0.5) != exponent * 0.5);
  result = ((VecL)x < 0) & odd ? -result : result;
  result = (x < 0.0) & (magnitude != infinite) & ~whole ? wide_constant(__builtin_nan("")) : result;
  const VecL one = (y == 0.0) | (x == 1.0) | ((magnitude == 1.0) & (wide_absolute(y) == infinite));
  return one ? wide_constant(1.0) : result;
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
