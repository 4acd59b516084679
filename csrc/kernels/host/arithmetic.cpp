// Arithmetic, comparisons, bits and products of matrices, for operands that are broadcast.
#include <type_traits>

#include "cnnx/dtype.h"
#include "cnnx/error.h"
#include "kernels/dispatch.h"
#include "kernels/element_functions.h"
#include "kernels/host/host.h"

namespace cnnx::host {
namespace {

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
  if (op > BinaryOp::fmod) throw TypeError("binary: not an operation of integers");
  dispatch(dtype, [&]<class T>(T) {
    const auto run = [&](const auto& f) { map2_strided<T>(queue, "binary", s, a, b, static_cast<T*>(out), f); };
    if constexpr (std::is_same_v<T, bool>) run(IntegerArithmetic<T>{op});
    else if constexpr (std::is_integral_v<T>)
      with_op<static_cast<int>(BinaryOp::fmod) + 1>(op, [&]<class Op>(Op known) { run(IntegerArithmetic<T, Op>{known}); });
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
  dispatch(dtype, [&]<class T>(T) {
    if constexpr (!std::is_same_v<T, bool>) {
      const int last = batch.ndim - 1;
      for_each_row_in_order(batch, [&](int64_t n, const int64_t (&at)[3]) {
        for (int64_t i = 0; i < n; ++i) {
          T* to = static_cast<T*>(c) + at[0] + i * batch.stride[0][last];
          const T* x = static_cast<const T*>(a) + at[1] + i * batch.stride[1][last];
          const T* y = static_cast<const T*>(b) + at[2] + i * batch.stride[2][last];
          if constexpr (std::is_same_v<T, float>) (s.in_bfloat16 ? bfloat16_kernels() : kernels<T>()).gemm(queue, s, x, y, to);
          else if constexpr (std::is_floating_point_v<T>) kernels<T>().gemm(queue, s, x, y, to);
          else integer_gemm(s, x, y, to);
        }
      });
    }
  });
}

}  // namespace cnnx::host
