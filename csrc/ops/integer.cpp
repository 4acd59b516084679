// Integer and bool arithmetic, one template per operation.
#include "ops/integer.h"

#include <limits>

#include "core/copy.h"

namespace cnnx {
namespace {

// Wrapping arithmetic by way of unsigned types.
template <class T>
T wrap(uint64_t value) {
  return static_cast<T>(value);
}
template <class T>
uint64_t bits(T value) {
  return static_cast<uint64_t>(static_cast<int64_t>(value));
}

template <class T>
T divide_trunc(T a, T b) {
  if constexpr (std::is_signed_v<T>) {
    if (b == T(-1)) return wrap<T>(0 - bits(a));  // the smallest number over -1 does not fit: the processor would trap
  }
  return static_cast<T>(a / b);
}

template <class T>
T rest(T a, T b) {
  if constexpr (std::is_signed_v<T>) {
    if (b == T(-1)) return T(0);
  }
  return static_cast<T>(a % b);
}

template <class T>
T power(T base, T exponent) {
  if (exponent < T(0)) {
    if (base == T(1)) return T(1);
    if constexpr (std::is_signed_v<T>) {
      if (base == T(-1)) return exponent % 2 == 0 ? T(1) : T(-1);
    }
    return T(0);
  }
  uint64_t result = 1, factor = bits(base);
  for (uint64_t e = bits(exponent); e > 0; e >>= 1) {
    if (e & 1) result *= factor;
    factor *= factor;
  }
  return wrap<T>(result);
}

template <BinaryOp op, class T>
T apply(T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    if constexpr (op == BinaryOp::add || op == BinaryOp::maximum) return a || b;
    else if constexpr (op == BinaryOp::mul || op == BinaryOp::minimum) return a && b;
    else return a;  // refused by check_integer_operands
  } else {
    if constexpr (op == BinaryOp::add) return wrap<T>(bits(a) + bits(b));
    else if constexpr (op == BinaryOp::sub) return wrap<T>(bits(a) - bits(b));
    else if constexpr (op == BinaryOp::mul) return wrap<T>(bits(a) * bits(b));
    else if constexpr (op == BinaryOp::pow) return power(a, b);
    else if constexpr (op == BinaryOp::maximum) return a > b ? a : b;
    else if constexpr (op == BinaryOp::minimum) return a < b ? a : b;
    else if constexpr (op == BinaryOp::fmod) return rest(a, b);
    else if constexpr (op == BinaryOp::remainder) {
      const T r = rest(a, b);
      return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
    } else if constexpr (op == BinaryOp::floor_divide) {
      const T q = divide_trunc(a, b), r = rest(a, b);
      return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(q - 1) : q;
    } else {
      static_assert(op == BinaryOp::div);  // stands for the quotient rounded to zero
      return divide_trunc(a, b);
    }
  }
}

template <BinaryOp op, class T>
void row(int64_t n, const void* a, bool a_full, const void* b, bool b_full, void* out) {
  const T* x = static_cast<const T*>(a);
  const T* y = static_cast<const T*>(b);
  T* result = static_cast<T*>(out);
  const int64_t a_step = a_full ? 1 : 0, b_step = b_full ? 1 : 0;
  for (int64_t i = 0; i < n; ++i) result[i] = apply<op, T>(x[i * a_step], y[i * b_step]);
}

template <BinaryOp op>
BinaryRow row_for(DType dtype) {
  switch (dtype) {
    case DType::int64: return row<op, int64_t>;
    case DType::int32: return row<op, int32_t>;
    case DType::uint8: return row<op, uint8_t>;
    case DType::boolean: return row<op, bool>;
    default: throw TypeError("binary: not an integer type");
  }
}

}  // namespace

bool wraps(BinaryOp op) { return op == BinaryOp::add || op == BinaryOp::sub || op == BinaryOp::mul || op == BinaryOp::pow; }

bool divides(BinaryOp op) {
  return op == BinaryOp::remainder || op == BinaryOp::fmod || op == BinaryOp::floor_divide || op == BinaryOp::div;
}

BinaryRow integer_row(BinaryOp op, DType dtype) {
  switch (op) {
    case BinaryOp::add: return row_for<BinaryOp::add>(dtype);
    case BinaryOp::sub: return row_for<BinaryOp::sub>(dtype);
    case BinaryOp::mul: return row_for<BinaryOp::mul>(dtype);
    case BinaryOp::pow: return row_for<BinaryOp::pow>(dtype);
    case BinaryOp::maximum: return row_for<BinaryOp::maximum>(dtype);
    case BinaryOp::minimum: return row_for<BinaryOp::minimum>(dtype);
    case BinaryOp::remainder: return row_for<BinaryOp::remainder>(dtype);
    case BinaryOp::floor_divide: return row_for<BinaryOp::floor_divide>(dtype);
    case BinaryOp::fmod: return row_for<BinaryOp::fmod>(dtype);
    default: throw TypeError("div: true division of integers is computed in floating point");
  }
}

BinaryRow integer_trunc_row(DType dtype) { return row_for<BinaryOp::div>(dtype); }

void check_integer_type(const char* name, BinaryOp op, DType dtype) {
  if (dtype == DType::boolean && op != BinaryOp::add && op != BinaryOp::mul && op != BinaryOp::maximum && op != BinaryOp::minimum)
    throw TypeError(message(name, ": is not defined for bool tensors"));
}

void check_integer_operands(const char* name, BinaryOp op, const Tensor& right) {
  const DType dtype = right.dtype();
  check_integer_type(name, op, dtype);
  if (!divides(op)) return;
  Tensor whole = contiguous(right);
  const bool has_zero = dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* data = whole.data<T>();
    for (int64_t i = 0, n = whole.numel(); i < n; ++i)
      if (data[i] == T(0)) return true;
    return false;
  });
  if (has_zero) throw Error(message(name, ": integer division by zero"));
}

}  // namespace cnnx
