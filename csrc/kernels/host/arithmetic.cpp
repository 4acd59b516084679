// Arithmetic, comparisons, bits and products of matrices, for operands that are broadcast.
#include <type_traits>

#include "cnnx/dtype.h"
#include "cnnx/error.h"
#include "kernels/dispatch.h"
#include "kernels/host/host.h"

namespace cnnx::host {
namespace {

// Two operands of type T, with the steps of their innermost rows.
template <class T>
struct Operands {
  Operands(const StridedShape<3>& s, const ElementOperand& first, const ElementOperand& second)
      : numbers{number_of<T>(first), number_of<T>(second)},
        a(first.data != nullptr ? static_cast<const T*>(first.data) : &numbers[0]),
        b(second.data != nullptr ? static_cast<const T*>(second.data) : &numbers[1]),
        a_step(s.stride[1][s.ndim - 1]),
        b_step(s.stride[2][s.ndim - 1]) {}
  Operands(const Operands&) = delete;
  T numbers[2];
  const T *a, *b;
  int64_t a_step, b_step;
};

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
  return b == T(0) ? T(0) : static_cast<T>(a / b);
}

template <class T>
T rest(T a, T b) {
  if constexpr (std::is_signed_v<T>) {
    if (b == T(-1)) return T(0);
  }
  return b == T(0) ? T(0) : static_cast<T>(a % b);
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
    else return a;  // refused before
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

template <BinaryOp op>
void binary_integers(DType dtype, const StridedShape<3>& s, const ElementOperand& a, const ElementOperand& b, void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_integral_v<T>) {
      const Operands<T> operands(s, a, b);
      const int64_t step = s.stride[0][s.ndim - 1];
      for_each_row(s, 1, [&](int64_t n, const int64_t (&at)[3]) {
        T* to = static_cast<T*>(out) + at[0];
        const T *x = operands.a + at[1], *y = operands.b + at[2];
        for (int64_t i = 0; i < n; ++i) to[i * step] = apply<op>(x[i * operands.a_step], y[i * operands.b_step]);
      });
    }
  });
}

// Whether a row is read or written as the kernels do: element by element, or (an operand) one element.
bool is_row(int64_t step) { return step == 0 || step == 1; }

// Rows by the kernel of the instruction set; what lies otherwise goes through a buffer.
template <class T>
void binary_floating(const Queue& queue, BinaryOp op, const StridedShape<3>& s, const ElementOperand& a, const ElementOperand& b,
                     void* out) {
  constexpr int64_t kBuffer = 256;
  const Operands<T> operands(s, a, b);
  const int64_t a_step = operands.a_step, b_step = operands.b_step, step = s.stride[0][s.ndim - 1];
  const KernelTable<T>& table = kernels<T>();
  T* to = static_cast<T*>(out);
  const Operand a_kind = a_step == 0 ? Operand::scalar : Operand::full, b_kind = b_step == 0 ? Operand::scalar : Operand::full;
  const bool plain = step == 1 && is_row(a_step) && is_row(b_step);
  if (plain && s.ndim == 1) return table.binary(queue, op, s.extent[0], a_kind, operands.a, b_kind, operands.b, to);
  for_each_row(s, 0.5, [&](int64_t n, const int64_t (&at)[3]) {
    const T *x = operands.a + at[1], *y = operands.b + at[2];
    T* z = to + at[0];
    if (plain) return table.binary(queue, op, n, a_kind, x, b_kind, y, z);
    T buffers[3][kBuffer];
    for (int64_t begin = 0; begin < n; begin += kBuffer) {
      const int64_t count = std::min(kBuffer, n - begin);
      const auto read = [&](const T* from, int64_t from_step, T* buffer) {
        if (is_row(from_step)) return from + begin * from_step;
        for (int64_t i = 0; i < count; ++i) buffer[i] = from[(begin + i) * from_step];
        return static_cast<const T*>(buffer);
      };
      T* target = step == 1 ? z + begin : buffers[2];
      table.binary(queue, op, count, a_kind, read(x, a_step, buffers[0]), b_kind, read(y, b_step, buffers[1]), target);
      if (step != 1)
        for (int64_t i = 0; i < count; ++i) z[(begin + i) * step] = target[i];
    }
  });
}

}  // namespace

void binary(const Queue& queue, BinaryOp op, DType dtype, const StridedShape<3>& s, const ElementOperand& a,
            const ElementOperand& b, void* out) {
  if (dtype == DType::float32) return binary_floating<float>(queue, op, s, a, b, out);
  if (dtype == DType::float64) return binary_floating<double>(queue, op, s, a, b, out);
  switch (op) {
    case BinaryOp::add: return binary_integers<BinaryOp::add>(dtype, s, a, b, out);
    case BinaryOp::sub: return binary_integers<BinaryOp::sub>(dtype, s, a, b, out);
    case BinaryOp::mul: return binary_integers<BinaryOp::mul>(dtype, s, a, b, out);
    case BinaryOp::div: return binary_integers<BinaryOp::div>(dtype, s, a, b, out);
    case BinaryOp::pow: return binary_integers<BinaryOp::pow>(dtype, s, a, b, out);
    case BinaryOp::maximum: return binary_integers<BinaryOp::maximum>(dtype, s, a, b, out);
    case BinaryOp::minimum: return binary_integers<BinaryOp::minimum>(dtype, s, a, b, out);
    case BinaryOp::remainder: return binary_integers<BinaryOp::remainder>(dtype, s, a, b, out);
    case BinaryOp::floor_divide: return binary_integers<BinaryOp::floor_divide>(dtype, s, a, b, out);
    case BinaryOp::fmod: return binary_integers<BinaryOp::fmod>(dtype, s, a, b, out);
    default: throw TypeError("binary: not an operation of integers");
  }
}

namespace {
// Each case its own loop, so that the compiler sees steps it can vectorise.
template <class T, class R, class F>
void map_rows(const StridedShape<3>& s, const ElementOperand& a, const ElementOperand& b, R* out, const F& f) {
  const Operands<T> operands(s, a, b);
  const int64_t a_step = operands.a_step, b_step = operands.b_step, step = s.stride[0][s.ndim - 1];
  for_each_row(s, 0.5, [&](int64_t n, const int64_t (&at)[3]) {
    const T *x = operands.a + at[1], *y = operands.b + at[2];
    R* to = out + at[0];
    if (step == 1 && a_step == 1 && b_step == 1) {
      for (int64_t i = 0; i < n; ++i) to[i] = f(x[i], y[i]);
    } else if (step == 1 && a_step == 1 && b_step == 0) {
      const T value = *y;
      for (int64_t i = 0; i < n; ++i) to[i] = f(x[i], value);
    } else {
      for (int64_t i = 0; i < n; ++i) to[i * step] = f(x[i * a_step], y[i * b_step]);
    }
  });
}
}  // namespace

void compare(const Queue&, CompareOp op, DType dtype, const StridedShape<3>& s, const ElementOperand& a, const ElementOperand& b,
             bool* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    switch (op) {
      case CompareOp::eq: return map_rows<T>(s, a, b, out, [](T x, T y) { return x == y; });
      case CompareOp::ne: return map_rows<T>(s, a, b, out, [](T x, T y) { return x != y; });
      case CompareOp::lt: return map_rows<T>(s, a, b, out, [](T x, T y) { return x < y; });
      case CompareOp::le: return map_rows<T>(s, a, b, out, [](T x, T y) { return x <= y; });
    }
  });
}

void bitwise(const Queue&, BitOp op, DType dtype, const StridedShape<3>& s, const ElementOperand& a, const ElementOperand& b,
             void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_integral_v<T>) {
      T* to = static_cast<T*>(out);
      switch (op) {
        case BitOp::bit_and: return map_rows<T>(s, a, b, to, [](T x, T y) { return static_cast<T>(x & y); });
        case BitOp::bit_or: return map_rows<T>(s, a, b, to, [](T x, T y) { return static_cast<T>(x | y); });
        case BitOp::bit_xor: return map_rows<T>(s, a, b, to, [](T x, T y) { return static_cast<T>(x ^ y); });
      }
    }
  });
}

namespace {
// Exact, and rare.
template <class T>
void integer_gemm(const GemmShape& s, const T* a, const T* b, T* c) {
  for (int64_t m = 0; m < s.m; ++m)
    for (int64_t n = 0; n < s.n; ++n) {
      T sum = 0;
      for (int64_t k = 0; k < s.k; ++k) sum = static_cast<T>(sum + a[m * s.a_row + k * s.a_col] * b[k * s.b_row + n * s.b_col]);
      c[m * s.c_row + n * s.c_col] = sum;
    }
}
}  // namespace

void matmul(const Queue& queue, DType dtype, const GemmShape& s, const StridedShape<3>& batch, const void* a, const void* b,
            void* c) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (!std::is_same_v<T, bool>) {
      const int last = batch.ndim - 1;
      for_each_row_in_order(batch, [&](int64_t n, const int64_t (&at)[3]) {
        for (int64_t i = 0; i < n; ++i) {
          T* to = static_cast<T*>(c) + at[0] + i * batch.stride[0][last];
          const T* x = static_cast<const T*>(a) + at[1] + i * batch.stride[1][last];
          const T* y = static_cast<const T*>(b) + at[2] + i * batch.stride[2][last];
          if constexpr (std::is_floating_point_v<T>) kernels<T>().gemm(queue, s, x, y, to);
          else integer_gemm(s, x, y, to);
        }
      });
    }
  });
}

}  // namespace cnnx::host
