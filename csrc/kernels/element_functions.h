// What the kernels over elements of any dtype make of an element, for the CPU and for devices alike. Where a function has an
// operation `op`, that is a value or, where a loop of its own pays, a std::integral_constant, which leaves no switch in the loop.
// Compile without contraction to fused multiply-adds (elementary.h).
#pragma once

#include <math.h>

#include <limits>
#include <type_traits>

#include "kernels/elementary.h"
#include "kernels/philox.h"
#include "kernels/shapes.h"

namespace cnnx {

// Without a comparison that compilers call pointless for unsigned types.
template <class T>
CNNX_BOTH bool is_negative(T x) {
  if constexpr (std::is_signed_v<T>) return x < T(0);
  else return false;
}

// A float becomes an integer by way of a wide one, so that negative numbers wrap in uint8 instead of being undefined.
template <class To, class From>
struct Convert {
  CNNX_BOTH To operator()(From value) const {
    if constexpr (std::is_same_v<To, bool>) return value != From(0);
    else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>)
      return value >= From(-9.2233720368547758e18) && value < From(9.2233720368547758e18)
                 ? static_cast<To>(static_cast<int64_t>(value))
                 : static_cast<To>(INT64_MIN);
    else return static_cast<To>(value);
  }
};

// The quotient rounded down, from the exact remainder: dividing first could round up to the next integer.
CNNX_BOTH inline double floor_quotient(double a, double b) {
  if (b == 0) return a / b;
  const double rest = fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return copysign(0.0, a / b);
  const double whole = floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

// The divisions with a remainder go through double: exact, then rounded.
template <class T, class Op = BinaryOp>
struct FloatArithmetic {
  Op op;
  CNNX_BOTH T operator()(T a, T b) const {
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
      case BinaryOp::atan2: return atan2(a, b);
      case BinaryOp::pow_slope:
        return static_cast<T>(b == 0 ? 0 : static_cast<double>(b) * pow(static_cast<double>(a), static_cast<double>(b) - 1));
      default: return static_cast<T>(fmod(static_cast<double>(a), static_cast<double>(b)));  // the sign of the dividend
    }
  }
};

// Overflow wraps, by way of unsigned numbers. Functions that mark themselves OneByOne are too large to have several copies in a
// loop.
template <class T, class Op = BinaryOp>
struct IntegerArithmetic {
  using OneByOne = void;
  Op op;
  CNNX_BOTH T operator()(T a, T b) const {
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
      if (b == T(0)) return T(0);
      // The smallest number over -1 does not fit: processors would trap.
      const bool negates = std::is_signed_v<T> && b == static_cast<T>(-1);
      const T quotient = negates ? static_cast<T>(0 - x) : static_cast<T>(a / b), rest = negates ? T(0) : static_cast<T>(a % b);
      const bool below = rest != T(0) && is_negative(rest) != is_negative(b);
      switch (op) {
        case BinaryOp::div: return quotient;  // rounded to zero
        case BinaryOp::fmod: return rest;
        case BinaryOp::remainder: return below ? static_cast<T>(rest + b) : rest;
        default: return below ? static_cast<T>(quotient - 1) : quotient;
      }
    }
  }
};

template <class T, class Op = CompareOp>
struct Compare {
  Op op;
  CNNX_BOTH bool operator()(T a, T b) const {
    switch (op) {
      case CompareOp::eq: return a == b;
      case CompareOp::ne: return a != b;
      case CompareOp::lt: return a < b;
      default: return a <= b;
    }
  }
};

template <class T, class Op = BitOp>
struct Bitwise {
  Op op;
  CNNX_BOTH T operator()(T a, T b) const {
    switch (op) {
      case BitOp::bit_and: return static_cast<T>(a & b);
      case BitOp::bit_or: return static_cast<T>(a | b);
      default: return static_cast<T>(a ^ b);
    }
  }
};

template <class T, class Op = TestOp>
struct Test {
  Op op;
  CNNX_BOTH bool operator()(T x) const {
    if (op == TestOp::logical_not) return !(x != T(0));
    if constexpr (std::is_floating_point_v<T>) {
      const bool finite = x - x == T(0);
      switch (op) {
        case TestOp::isnan: return x != x;
        case TestOp::isinf: return x == x && !finite;
        case TestOp::signbit: return copysign(T(1), x) < T(0);
        default: return finite;
      }
    } else {
      return op == TestOp::signbit ? is_negative(x) : op == TestOp::isfinite;
    }
  }
};

// The functions of UnaryOp that keep integers. Overflow wraps.
template <class T>
struct IntegerFunction {
  UnaryOp op;
  double a, b;
  T low, high;  // the bounds of clamp as T

  IntegerFunction(UnaryOp function, double first, double second)
      : op(function), a(first), b(second), low(nearest(first)), high(nearest(second)) {}
  // The T nearest to a bound, which may be infinite.
  static T nearest(double value) {
    constexpr T kMin = std::numeric_limits<T>::min(), kMax = std::numeric_limits<T>::max();
    if (value <= static_cast<double>(kMin)) return kMin;
    if (value >= static_cast<double>(kMax)) return kMax;
    return static_cast<T>(value);
  }
  CNNX_BOTH T operator()(T x) const {
    using Wide = std::make_unsigned_t<T>;
    switch (op) {
      case UnaryOp::neg: return static_cast<T>(Wide(0) - static_cast<Wide>(x));
      case UnaryOp::abs: return is_negative(x) ? static_cast<T>(Wide(0) - static_cast<Wide>(x)) : x;
      case UnaryOp::sign: return static_cast<T>((x > T(0)) - is_negative(x));
      case UnaryOp::square: return static_cast<T>(static_cast<Wide>(uint64_t(static_cast<Wide>(x)) * static_cast<Wide>(x)));
      case UnaryOp::relu: return is_negative(x) ? T(0) : x;
      case UnaryOp::clamp:
        if (static_cast<double>(x) < a) x = low;
        return static_cast<double>(x) > b ? high : x;
      default: return x;  // the roundings
    }
  }
};

// What a reduction begins with, and how it takes in a value. A NaN wins.
template <class T, class Op = ReduceOp>
struct Reduction {
  using Value = T;
  Op op;
  CNNX_BOTH T start() const {
    using Limits = std::numeric_limits<T>;
    if (op == ReduceOp::sum) return T(0);
    if (op == ReduceOp::prod) return T(1);
    if constexpr (std::is_floating_point_v<T>) return op == ReduceOp::max ? -Limits::infinity() : Limits::infinity();
    else return op == ReduceOp::max ? Limits::min() : Limits::max();
  }
  CNNX_BOTH T combine(T a, T b) const {
    using Wide = std::conditional_t<std::is_floating_point_v<T>, T, uint64_t>;
    switch (op) {
      case ReduceOp::max: return a != a || a > b ? a : b;
      case ReduceOp::min: return a != a || a < b ? a : b;
      case ReduceOp::prod: return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b));
      default: return static_cast<T>(static_cast<Wide>(a) + static_cast<Wide>(b));
    }
  }
};

// Whether a value takes the place of the best so far: the larger or smaller one, and NaN before all.
template <class T>
CNNX_BOTH bool beats(bool max, T value, T best) {
  if (best != best) return false;
  return value != value || (max ? value > best : value < best);
}

// The order of sorting. NaN is the largest.
template <class T>
struct Before {
  bool descending;
  CNNX_BOTH bool operator()(T a, T b) const { return descending ? smaller(b, a) : smaller(a, b); }
  CNNX_BOTH static bool smaller(T a, T b) { return a == a && (b != b || a < b); }
};

// What += makes of an element.
template <class T>
CNNX_BOTH T sum_of(T a, T b) {
  if constexpr (std::is_same_v<T, bool>) return a || b;
  else return static_cast<T>(a + b);
}
// An element in whose place a value is put. A NaN wins.
template <class T>
CNNX_BOTH T put_of(PutOp op, T element, T value) {
  switch (op) {
    case PutOp::add: return sum_of(element, value);
    case PutOp::multiply:
      if constexpr (std::is_same_v<T, bool>) return element && value;
      else return static_cast<T>(element * value);
    case PutOp::max: return beats(true, value, element) ? value : element;
    case PutOp::min: return beats(false, value, element) ? value : element;
    default: return value;
  }
}

// y = a before + b, of what the steps of a recurrence make one after the other: the step of both.
template <class T>
struct LinearStep {
  T a, b;
};
template <class T>
CNNX_BOTH LinearStep<T> join_steps(LinearStep<T> first, LinearStep<T> then) {
  return {then.a * first.a, then.a * first.b + then.b};
}
// The extreme of a run with its place: the last of equal ones, and NaN before all, as PyTorch's cummax has it.
template <class T>
struct Placed {
  T value;
  int64_t place;  // negative: of nothing
};
template <class T>
CNNX_BOTH Placed<T> later_extreme(bool max, Placed<T> first, Placed<T> then) {
  if (then.place < 0) return first;
  if (first.place < 0) return then;
  const bool keep =
      then.value == then.value && (first.value != first.value || (max ? then.value < first.value : then.value > first.value));
  return keep ? first : then;
}

// The place of a value in a row in ascending order: before or, `right`, behind equal elements. NaN is the largest.
template <class T>
struct PlaceInOrder {
  const T* rows;
  const int64_t* order;  // null: the rows are in order themselves
  const T* values;
  int64_t length, values_per_row;
  bool right;
  CNNX_BOTH int64_t operator()(int64_t i) const {
    const int64_t first = i / values_per_row * length;
    const T value = values[i];
    int64_t low = 0, high = length;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      const T element = rows[first + (order != nullptr ? order[first + middle] : middle)];
      const bool before = right ? !Before<T>::smaller(value, element) : Before<T>::smaller(element, value);
      if (before) low = middle + 1;
      else high = middle;
    }
    return low;
  }
};

// An index within the extent; negative: out of range.
CNNX_BOTH inline int64_t index_within(int64_t index, int64_t extent, bool wraps) {
  if (wraps && index < 0) index += extent;
  return index < extent ? index : -1;
}

// The coordinates of element i of a row-major array.
CNNX_BOTH inline void coordinates_of(int64_t i, int ndim, const int64_t* extent, int64_t* out) {
  for (int d = ndim - 1; d >= 0; --d) {
    out[d] = i % extent[d];
    i /= extent[d];
  }
}

// to[i] = g times the product of the others of a row: by products from both ends, exact with zeros.
template <class T>
CNNX_BOTH void multiply_others(int64_t n, const T* row, T g, T* to) {
  double before = 1;
  for (int64_t i = 0; i < n; ++i) {
    to[i] = static_cast<T>(before);
    before *= row[i];
  }
  double behind = g;
  for (int64_t i = n - 1; i >= 0; --i) {
    to[i] = static_cast<T>(to[i] * behind);
    behind *= row[i];
  }
}

// ---- Values made of their place.

template <class T>
struct Range {
  double start, step;
  CNNX_BOTH T operator()(int64_t i) const { return Convert<T, double>()(start + static_cast<double>(i) * step); }
};
template <class T>
struct IntegerRange {
  uint64_t start, step;
  CNNX_BOTH T operator()(int64_t i) const {
    return static_cast<T>(static_cast<int64_t>(start + static_cast<uint64_t>(i) * step));
  }
};
// From both ends, so that the last value is `end` itself.
template <class T>
struct Linspace {
  int64_t n;
  double start, end, step;
  CNNX_BOTH T operator()(int64_t i) const {
    return Convert<T, double>()(i < (n + 1) / 2 ? start + step * static_cast<double>(i)
                                                : end - step * static_cast<double>(n - 1 - i));
  }
};

// ---- Random values: kCount of the four words of a Philox counter. Words per element: one for float32, two where 53 bits or a
// 64-bit range are wanted.

template <class T>
struct Uniform {
  static constexpr int kCount = std::is_same_v<T, float> ? 4 : 2;
  T from, span, limit;
  CNNX_BOTH T scaled(T u) const {
    const T value = from + span * u;
    return value >= limit && from < limit ? nextafter(limit, from) : value;  // rounding must not reach the limit
  }
  CNNX_BOTH void operator()(const uint32_t* words, T* values) const {
    if constexpr (std::is_same_v<T, float>)
      for (int k = 0; k < 4; ++k) values[k] = scaled(uniform01(words[k]));
    else
      for (int k = 0; k < 2; ++k) values[k] = scaled(uniform01_double(words[2 * k], words[2 * k + 1]));
  }
};

// Box-Muller: two uniforms give two normals. The radius takes 1 - u in (0, 1], so its logarithm is finite.
template <class T>
struct Normal {
  static constexpr int kCount = std::is_same_v<T, float> ? 4 : 2;
  double mean, stddev;
  CNNX_BOTH void pair(double u, double v, T* out) const {
    constexpr double kHalfPi = 1.57079632679489661923;
    const double quarter = rint(4.0 * v), angle = kHalfPi * (4.0 * v - quarter);  // from the nearest quarter turn on
    const double radius = stddev * sqrt(-2.0 * log(1.0 - u)), c = cos(angle), s = sin(angle);
    const int turns = static_cast<int>(quarter) & 3;
    const double x = turns % 2 == 0 ? c : s, y = turns % 2 == 0 ? s : c;
    out[0] = static_cast<T>(mean + radius * (turns == 1 || turns == 2 ? -x : x));
    out[1] = static_cast<T>(mean + radius * (turns >= 2 ? -y : y));
  }
  CNNX_BOTH void operator()(const uint32_t* words, T* values) const {
    if constexpr (std::is_same_v<T, float>) {
      pair(words[0] * 0x1p-32, words[1] * 0x1p-32, values);
      pair(words[2] * 0x1p-32, words[3] * 0x1p-32, values + 2);
    } else {
      pair(uniform01_double(words[0], words[1]), uniform01_double(words[2], words[3]), values);
    }
  }
};

template <class T>
struct Bernoulli {
  static constexpr int kCount = 4;
  double p;
  CNNX_BOTH void operator()(const uint32_t* words, T* values) const {
    for (int k = 0; k < 4; ++k) values[k] = static_cast<T>(static_cast<double>(uniform01(words[k])) < p);
  }
};

template <class T>
struct Integers {
  static constexpr int kCount = 2;
  uint64_t low, range;
  CNNX_BOTH void operator()(const uint32_t* words, T* values) const {
    for (int k = 0; k < 2; ++k)
      values[k] = static_cast<T>(static_cast<int64_t>(low + scale_to_range(join(words[2 * k], words[2 * k + 1]), range)));
  }
};

}  // namespace cnnx
