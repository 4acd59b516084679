// What one element of an arithmetic kernel does. `op` is a constant where that pays, so that the switch goes away.
#pragma once

#include "kernels/cuda/elementwise.h"

namespace cnnx::cuda {

inline const char* binary_name(BinaryOp op) {
  constexpr const char* kNames[] = {"add",       "sub",          "mul",  "div",   "pow",   "maximum", "minimum",
                                    "remainder", "floor_divide", "fmod", "hypot", "xlogy", "pow"};
  static_assert(sizeof(kNames) / sizeof(*kNames) == static_cast<size_t>(BinaryOp::count));
  return kNames[static_cast<int>(op)];
}

// The quotient rounded down, from the exact remainder: dividing first could round up to the next integer.
__device__ inline double floor_quotient(double a, double b) {
  if (b == 0) return a / b;
  const double rest = fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return copysign(0.0, a / b);
  const double whole = floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

// The divisions with a remainder go through double, as on the CPU: exact, then rounded.
template <class T>
__device__ inline T float_arithmetic(BinaryOp op, T a, T b) {
  switch (op) {
    case BinaryOp::add: return a + b;
    case BinaryOp::sub: return a - b;
    case BinaryOp::mul: return a * b;
    case BinaryOp::div: return a / b;
    case BinaryOp::pow: return pow(a, b);
    case BinaryOp::maximum: return a != a || a > b ? a : b;
    case BinaryOp::minimum: return a != a || a < b ? a : b;
    case BinaryOp::remainder: {  // the sign of the divisor
      const double divisor = b, rest = fmod(static_cast<double>(a), divisor);
      return static_cast<T>(rest != 0 && (divisor < 0) != (rest < 0) ? rest + divisor : rest);
    }
    case BinaryOp::floor_divide: return static_cast<T>(floor_quotient(a, b));
    case BinaryOp::hypot: return hypot(a, b);
    case BinaryOp::xlogy: return a == 0 && b == b ? T(0) : a * log(b);
    case BinaryOp::pow_slope:
      return static_cast<T>(b == 0 ? 0 : static_cast<double>(b) * pow(static_cast<double>(a), static_cast<double>(b) - 1));
    default: return static_cast<T>(fmod(static_cast<double>(a), static_cast<double>(b)));  // the sign of the dividend
  }
}

// Without a comparison that compilers call pointless for unsigned types.
template <class T>
__device__ inline bool is_negative(T x) {
  if constexpr (std::is_signed_v<T>) return x < T(0);
  else return false;
}

__device__ inline bool divides(BinaryOp op) {
  return op == BinaryOp::remainder || op == BinaryOp::fmod || op == BinaryOp::floor_divide || op == BinaryOp::div;
}

// Wrapping arithmetic by way of unsigned numbers; the divisor is not 0.
template <class T>
__device__ inline T integer_arithmetic(BinaryOp op, T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    return op == BinaryOp::add || op == BinaryOp::maximum ? a || b : a && b;
  } else {
    const uint64_t x = static_cast<uint64_t>(static_cast<int64_t>(a)), y = static_cast<uint64_t>(static_cast<int64_t>(b));
    switch (op) {
      case BinaryOp::add: return static_cast<T>(x + y);
      case BinaryOp::sub: return static_cast<T>(x - y);
      case BinaryOp::mul: return static_cast<T>(x * y);
      case BinaryOp::maximum: return a > b ? a : b;
      case BinaryOp::minimum: return a < b ? a : b;
      case BinaryOp::pow: {
        const bool minus_one = std::is_signed_v<T> && a == static_cast<T>(-1);
        if (is_negative(b)) return a == T(1) ? T(1) : minus_one ? static_cast<T>(b % 2 == 0 ? 1 : -1) : T(0);
        uint64_t result = 1, factor = x;
        for (uint64_t e = y; e > 0; e >>= 1) {
          if (e & 1) result *= factor;
          factor *= factor;
        }
        return static_cast<T>(result);
      }
      default: break;
    }
    // The smallest number over -1 does not fit.
    const bool negates = std::is_signed_v<T> && b == static_cast<T>(-1);
    const T quotient = negates ? static_cast<T>(0 - x) : static_cast<T>(a / b), rest = negates ? T(0) : static_cast<T>(a % b);
    const bool below = rest != T(0) && is_negative(rest) != is_negative(b);
    switch (op) {
      case BinaryOp::div: return quotient;
      case BinaryOp::fmod: return rest;
      case BinaryOp::remainder: return below ? static_cast<T>(rest + b) : rest;
      default: return below ? static_cast<T>(quotient - 1) : quotient;
    }
  }
}

}  // namespace cnnx::cuda
