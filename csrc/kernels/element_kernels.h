// Kernels over elements that are the same on the CPU and on devices but for the loops around them: definitions, for one file of
// each backend, in the namespace CNNX_ELEMENT_LOOPS, which has these (host/host.h, cuda/elementwise.h), for contiguous out and x:
//   map(queue, op, n, x, out, f)                 out[i] = f(x[i])
//   map2_strided<T>(queue, op, s, a, b, out, f)  out[i] = f(a[i], b[i]) for operands a and b of type T; operand 0 is out
//   generate(queue, op, n, out, f)               out[i] = f(i)
//   with_op<count>(op, f)                        f(op), as a constant where the loops are to know it
#pragma once

#include "cnnx/dtype.h"
#include "kernels/element_functions.h"

namespace cnnx::CNNX_ELEMENT_LOOPS {

void compare(const Queue& queue, CompareOp op, DType dtype, const StridedShape<3>& s, const ElementOperand& a,
             const ElementOperand& b, bool* out) {
  dispatch(dtype, [&]<class T>(T) {
    with_op<4>(op, [&]<class Op>(Op known) { map2_strided<T>(queue, "compare", s, a, b, out, Compare<T, Op>{known}); });
  });
}

void bitwise(const Queue& queue, BitOp op, DType dtype, const StridedShape<3>& s, const ElementOperand& a,
             const ElementOperand& b, void* out) {
  dispatch(dtype, [&]<class T>(T) {
    if constexpr (std::is_integral_v<T>)
      with_op<3>(op, [&]<class Op>(Op known) {
        map2_strided<T>(queue, "bitwise", s, a, b, static_cast<T*>(out), Bitwise<T, Op>{known});
      });
  });
}

void test(const Queue& queue, TestOp op, DType dtype, int64_t n, const void* x, bool* out) {
  dispatch(dtype, [&]<class T>(T) {
    with_op<5>(op, [&]<class Op>(Op known) { map(queue, "test", n, static_cast<const T*>(x), out, Test<T, Op>{known}); });
  });
}

void integer_unary(const Queue& queue, UnaryOp op, DType dtype, int64_t n, double a, double b, const void* x, void* out) {
  dispatch(dtype, [&]<class T>(T) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      map(queue, "integer_unary", n, static_cast<const T*>(x), static_cast<T*>(out), IntegerFunction<T>(op, a, b));
  });
}

void search_sorted(const Queue& queue, DType dtype, int64_t n, int64_t values_per_row, int64_t length, bool right,
                   const void* rows, const int64_t* order, const void* values, int64_t* out) {
  dispatch(dtype, [&]<class T>(T) {
    generate(queue, "searchsorted", n, out,
             PlaceInOrder<T>{static_cast<const T*>(rows), order, static_cast<const T*>(values), length, values_per_row, right});
  });
}

void arange(const Queue& queue, DType dtype, int64_t n, double start, double step, void* out) {
  dispatch(dtype, [&]<class T>(T) { generate(queue, "arange", n, static_cast<T*>(out), Range<T>{start, step}); });
}

void arange_integer(const Queue& queue, DType dtype, int64_t n, int64_t start, int64_t step, void* out) {
  dispatch(dtype, [&]<class T>(T) {
    generate(queue, "arange", n, static_cast<T*>(out),
             IntegerRange<T>{static_cast<uint64_t>(start), static_cast<uint64_t>(step)});
  });
}

void linspace(const Queue& queue, DType dtype, int64_t n, double start, double end, void* out) {
  const double step = n > 1 ? (end - start) / static_cast<double>(n - 1) : 0.0;
  dispatch(dtype, [&]<class T>(T) { generate(queue, "linspace", n, static_cast<T*>(out), Linspace<T>{n, start, end, step}); });
}

}  // namespace cnnx::CNNX_ELEMENT_LOOPS
