// What one element of an arithmetic kernel does. `op` is a constant where that pays, so that the switch goes away.
#pragma once

#include "kernels/cuda/cuda.h"

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

}  // namespace cnnx::cuda
