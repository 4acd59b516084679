// Fills, copies, choices, tests and triangles.
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "cnnx/dtype.h"
#include "kernels/host/host.h"

namespace cnnx::host {

void fill(const Queue&, DType dtype, int64_t n, const void* value, void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    const T element = *static_cast<const T*>(value);
    T* to = static_cast<T*>(out);
    for_each_piece(n, 0.25, [&](int64_t begin, int64_t end) { std::fill(to + begin, to + end, element); });
  });
}

namespace {
template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, bool>) return value != From(0);
  // By way of a wide integer, so that negative numbers wrap in uint8 instead of being undefined.
  else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>)
    return value >= From(-9.2233720368547758e18) && value < From(9.2233720368547758e18)
               ? static_cast<To>(static_cast<int64_t>(value))
               : static_cast<To>(INT64_MIN);
  else return static_cast<To>(value);
}

template <class To, class From>
void copy_row(int64_t n, To* to, int64_t to_step, const From* from, int64_t from_step) {
  if (to_step == 1 && from_step == 1) {
    if constexpr (std::is_same_v<To, From>) std::memcpy(to, from, static_cast<size_t>(n) * sizeof(To));
    else
      for (int64_t i = 0; i < n; ++i) to[i] = convert<To>(from[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i) to[i * to_step] = convert<To>(from[i * from_step]);
}
}  // namespace

void copy(const Queue&, const StridedShape<2>& s, DType out_type, void* out, DType in_type, const void* in) {
  const int64_t to_step = s.stride[0][s.ndim - 1], from_step = s.stride[1][s.ndim - 1];
  dispatch(out_type, [&](auto out_tag) {
    dispatch(in_type, [&](auto in_tag) {
      using To = decltype(out_tag);
      using From = decltype(in_tag);
      for_each_row(s, 0.5, [=](int64_t n, const int64_t (&at)[2]) {
        copy_row(n, static_cast<To*>(out) + at[0], to_step, static_cast<const From*>(in) + at[1], from_step);
      });
    });
  });
}

namespace {
// Values as bits, so that a choice is a blend of two words and never a branch; inlined for steps that the compiler knows, it
// becomes vectors.
typedef uint8_t Bits8 __attribute__((may_alias));
typedef uint32_t Bits32 __attribute__((may_alias));
typedef uint64_t Bits64 __attribute__((may_alias));

template <class T>
inline void choose_row(int64_t n, const Bits8* c, const T* x, const T* y, T* to, int64_t step_c, int64_t step_a, int64_t step_b) {
  for (int64_t i = 0; i < n; ++i) {
    const T mask = static_cast<T>(-static_cast<T>(c[i * step_c] != 0));
    to[i] = static_cast<T>((x[i * step_a] & mask) | (y[i * step_b] & ~mask));
  }
}

template <class T>
void choose_rows(const StridedShape<4>& s, const void* condition, const void* a, const void* b, void* out) {
  const int last = s.ndim - 1;
  const int64_t step_c = s.stride[1][last], step_a = s.stride[2][last], step_b = s.stride[3][last];
  for_each_row(s, 0.5, [=](int64_t n, const int64_t (&at)[4]) {
    const Bits8* c = static_cast<const Bits8*>(condition) + at[1];
    const T* x = static_cast<const T*>(a) + at[2];
    const T* y = static_cast<const T*>(b) + at[3];
    T* to = static_cast<T*>(out) + at[0];
    if (step_c == 1 && step_a == 1 && step_b == 1) choose_row(n, c, x, y, to, 1, 1, 1);
    else if (step_c == 1 && step_a == 1 && step_b == 0) choose_row(n, c, x, y, to, 1, 1, 0);
    else if (step_c == 1 && step_a == 0 && step_b == 1) choose_row(n, c, x, y, to, 1, 0, 1);
    else choose_row(n, c, x, y, to, step_c, step_a, step_b);
  });
}
}  // namespace

void choose(const Queue&, DType dtype, const StridedShape<4>& s, const bool* condition, const ElementOperand& a,
            const ElementOperand& b, void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    const T numbers[2] = {number_of<T>(a), number_of<T>(b)};
    const void* x = a.data != nullptr ? a.data : &numbers[0];
    const void* y = b.data != nullptr ? b.data : &numbers[1];
    if constexpr (sizeof(T) == 1) choose_rows<Bits8>(s, condition, x, y, out);
    else if constexpr (sizeof(T) == 4) choose_rows<Bits32>(s, condition, x, y, out);
    else choose_rows<Bits64>(s, condition, x, y, out);
  });
}

namespace {
template <TestOp op, class T>
bool is_true(T x) {
  if constexpr (op == TestOp::logical_not) return !(x != T(0));
  else if constexpr (op == TestOp::isnan) return x != x;
  else if constexpr (!std::is_floating_point_v<T>) return op == TestOp::isfinite;
  else if constexpr (op == TestOp::isinf) return std::isinf(x);
  else return std::isfinite(x);
}

template <TestOp op>
void test_each(DType dtype, int64_t n, const void* x, bool* out) {
  dispatch(dtype, [&](auto tag) {
    const auto* from = static_cast<const decltype(tag)*>(x);
    for_each_piece(n, 0.5, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = is_true<op>(from[i]);
    });
  });
}
}  // namespace

void test(const Queue&, TestOp op, DType dtype, int64_t n, const void* x, bool* out) {
  switch (op) {
    case TestOp::logical_not: return test_each<TestOp::logical_not>(dtype, n, x, out);
    case TestOp::isnan: return test_each<TestOp::isnan>(dtype, n, x, out);
    case TestOp::isinf: return test_each<TestOp::isinf>(dtype, n, x, out);
    case TestOp::isfinite: return test_each<TestOp::isfinite>(dtype, n, x, out);
  }
}

namespace {
// A bound of clamp, perhaps infinite, as the nearest T.
template <class T>
T saturated(double value) {
  if (value <= static_cast<double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
  if (value >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

// Overflow wraps.
template <class T>
T integer_value(UnaryOp op, T x, double a, double b) {
  using Wide = std::make_unsigned_t<T>;
  switch (op) {
    case UnaryOp::neg: return static_cast<T>(Wide(0) - static_cast<Wide>(x));
    case UnaryOp::abs: return x < T(0) ? static_cast<T>(Wide(0) - static_cast<Wide>(x)) : x;
    case UnaryOp::sign: return static_cast<T>((x > T(0)) - (x < T(0)));
    case UnaryOp::square: return static_cast<T>(static_cast<Wide>(uint64_t(static_cast<Wide>(x)) * static_cast<Wide>(x)));
    case UnaryOp::relu: return x < T(0) ? T(0) : x;
    case UnaryOp::clamp: {
      if (static_cast<double>(x) < a) x = saturated<T>(a);
      return static_cast<double>(x) > b ? saturated<T>(b) : x;
    }
    default: return x;  // the roundings
  }
}
}  // namespace

void integer_unary(const Queue&, UnaryOp op, DType dtype, int64_t n, double a, double b, const void* x, void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      const T* from = static_cast<const T*>(x);
      T* to = static_cast<T*>(out);
      for_each_piece(n, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) to[i] = integer_value(op, from[i], a, b);
      });
    }
  });
}

void triangle(const Queue&, DType dtype, int64_t matrices, int64_t rows, int64_t columns, int64_t diagonal, bool lower, void* x) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* data = static_cast<T*>(x);
    for (int64_t m = 0; m < matrices; ++m)
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c)
          if (lower ? c - r > diagonal : c - r < diagonal) data[(m * rows + r) * columns + c] = T(0);
  });
}

}  // namespace cnnx::host
