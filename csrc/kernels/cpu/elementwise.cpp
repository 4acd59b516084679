// Element-wise functions, contiguous. One loop template; a function is what it does to one Vec. Rare functions take C's
// scalar ones. Work is cut into chunks of fixed size.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec_math.h"

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
void map(int64_t n, double cost, const float* x, float* y, const F& f) {
  for_chunks(n, cost, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) store(y + i, f(load(x + i)));
    if (i < end) store_partial(y + i, f(load_partial(x + i, end - i)), end - i);
  });
}

template <class F>
void map_scalars(int64_t n, double cost, const float* x, float* y, const F& f) {
  for_chunks(n, cost, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = f(x[i]);
  });
}

template <class F>
void map(int64_t n, double cost, const float* a, const float* b, float* y, const F& f) {
  for_chunks(n, cost, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) store(y + i, f(load(a + i), load(b + i)));
    if (i < end) store_partial(y + i, f(load_partial(a + i, end - i), load_partial(b + i, end - i)), end - i);
  });
}

inline Vec sign_of(Vec v) { return select(v > 0.0f, constant(1.0f), select(v < 0.0f, constant(-1.0f), Vec{})); }

// sin(x + quarter pi / 2) for |x| <= kSineRange, to 1 unit in the last place: in double, so that no digits go near the zeros;
// the compiler makes vectors of it. pi / 2 is taken off in two parts, multiples of the first being exact.
constexpr float kSineRange = 1e5f;
inline float sine(float x, int32_t quarter) {
  constexpr double kTwoOverPi = 0.63661977236758134308, kHalfPiHigh = 1.57079632673412561417e+00,
                   kHalfPiLow = 6.07710050650619224932e-11;
  const double n = nearbyint(x * kTwoOverPi);
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

// x^n by squaring, for small whole n.
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
    map_scalars(n, 60, x, y, [exponent](float v) { return (float)::pow((double)v, exponent); });
  }
}

void unary(UnaryOp op, int64_t n, double a, double b, const float* x, float* y) {
  switch (op) {
    case UnaryOp::neg: return map(n, 1, x, y, [](Vec v) { return -v; });
    case UnaryOp::abs: return map(n, 1, x, y, [](Vec v) { return absolute(v); });
    case UnaryOp::sign: return map(n, 1, x, y, [](Vec v) { return sign_of(v); });
    case UnaryOp::exp: return map(n, 12, x, y, [](Vec v) { return exp(v); });
    case UnaryOp::expm1: return map(n, 24, x, y, [](Vec v) { return expm1(v); });
    case UnaryOp::log: return map(n, 16, x, y, [](Vec v) { return log(v); });
    case UnaryOp::log1p: return map(n, 24, x, y, [](Vec v) { return log1p(v); });
    case UnaryOp::log2: return map_scalars(n, 40, x, y, [](float v) { return (float)::log2((double)v); });
    case UnaryOp::log10: return map_scalars(n, 40, x, y, [](float v) { return (float)::log10((double)v); });
    case UnaryOp::sqrt: return map_scalars(n, 2, x, y, [](float v) { return sqrtf(v); });
    case UnaryOp::rsqrt: return map_scalars(n, 4, x, y, [](float v) { return 1.0f / sqrtf(v); });
    case UnaryOp::reciprocal: return map(n, 2, x, y, [](Vec v) { return 1.0f / v; });
    case UnaryOp::square: return map(n, 1, x, y, [](Vec v) { return v * v; });
    case UnaryOp::sin: return sines(n, 0, nullptr, 1, x, y);
    case UnaryOp::cos: return sines(n, 1, nullptr, 1, x, y);
    case UnaryOp::tanh: return map(n, 24, x, y, [](Vec v) { return tanh(v); });
    case UnaryOp::sigmoid: return map(n, 16, x, y, [](Vec v) { return sigmoid(v); });
    case UnaryOp::erf: return map(n, 32, x, y, [](Vec v) { return erf(v); });
    case UnaryOp::floor: return map_scalars(n, 1, x, y, [](float v) { return floorf(v); });
    case UnaryOp::ceil: return map_scalars(n, 1, x, y, [](float v) { return ceilf(v); });
    case UnaryOp::round: return map_scalars(n, 1, x, y, [](float v) { return nearbyintf(v); });
    case UnaryOp::trunc: return map_scalars(n, 1, x, y, [](float v) { return truncf(v); });
    case UnaryOp::relu: return map(n, 1, x, y, [](Vec v) { return select(v <= 0.0f, Vec{}, v); });
    case UnaryOp::leaky_relu: {
      const float slope = (float)a;
      return map(n, 1, x, y, [slope](Vec v) { return select(v > 0.0f, v, v * slope); });
    }
    case UnaryOp::clamp: {
      const Vec low = constant((float)a), high = constant((float)b);
      return map(n, 1, x, y, [low, high](Vec v) {
        v = select(v < low, low, v);
        return select(v > high, high, v);
      });
    }
    case UnaryOp::pow_scalar: return power(n, a, x, y);
    case UnaryOp::count: return;
  }
}

void unary_backward(UnaryOp op, int64_t n, double a, double b, const float* g, const float* x, const float* y, float* out) {
  constexpr float kLn2 = 0.69314718055994530942f, kLn10 = 2.30258509299404568402f, kTwoOverSqrtPi = 1.12837916709551257390f;
  switch (op) {
    case UnaryOp::neg: return map(n, 1, g, out, [](Vec d) { return -d; });
    case UnaryOp::abs: return map(n, 1, g, x, out, [](Vec d, Vec v) { return d * sign_of(v); });
    case UnaryOp::exp: return map(n, 1, g, y, out, [](Vec d, Vec v) { return d * v; });
    case UnaryOp::expm1: return map(n, 1, g, y, out, [](Vec d, Vec v) { return d * (v + 1.0f); });
    case UnaryOp::log: return map(n, 2, g, x, out, [](Vec d, Vec v) { return d / v; });
    case UnaryOp::log1p: return map(n, 2, g, x, out, [](Vec d, Vec v) { return d / (v + 1.0f); });
    case UnaryOp::log2: return map(n, 2, g, x, out, [](Vec d, Vec v) { return d / (v * kLn2); });
    case UnaryOp::log10: return map(n, 2, g, x, out, [](Vec d, Vec v) { return d / (v * kLn10); });
    case UnaryOp::sqrt: return map(n, 2, g, y, out, [](Vec d, Vec v) { return d / (v * 2.0f); });
    case UnaryOp::rsqrt: return map(n, 2, g, y, out, [](Vec d, Vec v) { return d * -0.5f * (v * v * v); });
    case UnaryOp::reciprocal: return map(n, 1, g, y, out, [](Vec d, Vec v) { return -d * (v * v); });
    case UnaryOp::square: return map(n, 1, g, x, out, [](Vec d, Vec v) { return d * (v * 2.0f); });
    case UnaryOp::sin: return sines(n, 1, g, 1, x, out);
    case UnaryOp::cos: return sines(n, 0, g, -1, x, out);
    case UnaryOp::tanh: return map(n, 1, g, y, out, [](Vec d, Vec v) { return d * (1.0f - v * v); });
    case UnaryOp::sigmoid: return map(n, 1, g, y, out, [](Vec d, Vec v) { return d * ((1.0f - v) * v); });
    case UnaryOp::erf: return map(n, 16, g, x, out, [](Vec d, Vec v) { return d * kTwoOverSqrtPi * exp(-v * v); });
    case UnaryOp::sign:
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::round:
    case UnaryOp::trunc: memset(out, 0, (size_t)n * sizeof(float)); return;
    case UnaryOp::relu: return map(n, 1, g, y, out, [](Vec d, Vec v) { return select(v <= 0.0f, Vec{}, d); });
    case UnaryOp::leaky_relu: {
      const float slope = (float)a;
      return map(n, 1, g, x, out, [slope](Vec d, Vec v) { return select(v > 0.0f, d, d * slope); });
    }
    case UnaryOp::clamp: {
      const Vec low = constant((float)a), high = constant((float)b);
      return map(n, 1, g, x, out, [low, high](Vec d, Vec v) { return select((v >= low) & (v <= high), d, Vec{}); });
    }
    case UnaryOp::pow_scalar: {
      if (a == 0) {
        memset(out, 0, (size_t)n * sizeof(float));
        return;
      }
      const float factor = (float)a;
      if (is_small_whole(a - 1)) {
        const int whole = (int)(a - 1);
        return map(n, 4, g, x, out, [factor, whole](Vec d, Vec v) { return d * factor * whole_power(v, whole); });
      }
      return for_chunks(n, 60, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) out[i] = (float)(g[i] * a * ::pow((double)x[i], a - 1));
      });
    }
    case UnaryOp::count: return;
  }
}

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

template <class F>
void binary_scalars(int64_t n, double cost, Operand a_kind, const float* a, Operand b_kind, const float* b, float* out,
                    const F& f) {
  const int64_t a_step = a_kind == Operand::full ? 1 : 0, b_step = b_kind == Operand::full ? 1 : 0;
  for_chunks(n, cost, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = (float)f((double)a[i * a_step], (double)b[i * b_step]);
  });
}

// The quotient rounded down; see the reference for why the remainder is taken off first.
double floor_quotient(double a, double b) {
  if (b == 0) return a / b;
  const double rest = ::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return copysign(0.0, a / b);
  const double whole = ::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

void binary(BinaryOp op, int64_t n, Operand ak, const float* a, Operand bk, const float* b, float* out) {
  switch (op) {
    case BinaryOp::add: return binary_map(n, 1, ak, a, bk, b, out, [](Vec u, Vec v) { return u + v; });
    case BinaryOp::sub: return binary_map(n, 1, ak, a, bk, b, out, [](Vec u, Vec v) { return u - v; });
    case BinaryOp::mul: return binary_map(n, 1, ak, a, bk, b, out, [](Vec u, Vec v) { return u * v; });
    case BinaryOp::div: return binary_map(n, 2, ak, a, bk, b, out, [](Vec u, Vec v) { return u / v; });
    case BinaryOp::maximum:
      return binary_map(n, 1, ak, a, bk, b, out, [](Vec u, Vec v) { return select(is_nan(u) | (u > v), u, v); });
    case BinaryOp::minimum:
      return binary_map(n, 1, ak, a, bk, b, out, [](Vec u, Vec v) { return select(is_nan(u) | (u < v), u, v); });
    case BinaryOp::pow: return binary_scalars(n, 60, ak, a, bk, b, out, [](double u, double v) { return ::pow(u, v); });
    case BinaryOp::remainder:
      return binary_scalars(n, 40, ak, a, bk, b, out, [](double u, double v) {
        const double rest = ::fmod(u, v);
        return rest != 0 && (v < 0) != (rest < 0) ? rest + v : rest;
      });
    case BinaryOp::floor_divide:
      return binary_scalars(n, 40, ak, a, bk, b, out, [](double u, double v) { return floor_quotient(u, v); });
    case BinaryOp::fmod: return binary_scalars(n, 40, ak, a, bk, b, out, [](double u, double v) { return ::fmod(u, v); });
    case BinaryOp::count: return;
  }
}

void axpy(int64_t n, double alpha, const float* x, float* y) {
  const float factor = (float)alpha;
  map(n, 1, x, y, y, [factor](Vec u, Vec v) { return u * factor + v; });
}

}  // namespace

void fill_elementwise(KernelTable<float>& table) {
  table.unary = unary;
  table.unary_backward = unary_backward;
  table.binary = binary;
  table.axpy = axpy;
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
