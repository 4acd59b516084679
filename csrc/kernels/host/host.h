// The kernels over elements of any dtype on the CPU: plain loops, compiled once, for whatever is not worth a version for each
// instruction set. Where floats are added, multiplied or compared by the million, they call those.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "device/parallel.h"
#include "kernels/philox.h"
#include "kernels/shapes.h"
#include "kernels/table.h"

#define CNNX_ELEMENT_LOOPS host  // of kernels/element_kernels.h

namespace cnnx::host {

#define ELEMENT(name, signature) CNNX_DECLARE(name, signature);
#include "kernels/elements.def"

// Elements of one unit of work. Longer rows are cut into pieces of as many.
constexpr int64_t kElementsPerUnit = 16384;

// Calls row(context, n, at) for the innermost rows of `s`, or pieces of them, in any order and on all threads: n elements from
// the operands' offsets at[]. A function, not a template of what it calls: dtypes and ops make hundreds of those.
template <int kOperands>
using RowFunction = void (*)(const void* context, int64_t n, const int64_t (&at)[kOperands]);
template <int kOperands>
__attribute__((noinline)) void walk_rows(const StridedShape<kOperands>& s, double element_cost, RowFunction<kOperands> row,
                                         const void* context) {
  const int last = s.ndim - 1;
  const int64_t n = s.extent[last], total = s.numel();
  if (total == 0) return;
  const int64_t rows = total / n, pieces = (n + kElementsPerUnit - 1) / kElementsPerUnit;
  const int64_t rows_per_unit = pieces > 1 ? 1 : std::min(rows, 1 + kElementsPerUnit / n);
  const int64_t units = pieces > 1 ? rows * pieces : (rows + rows_per_unit - 1) / rows_per_unit;
  parallel_for(units, element_cost * static_cast<double>(std::min(n, kElementsPerUnit) * rows_per_unit), [&](int64_t unit) {
    const int64_t first = unit / pieces * rows_per_unit, end = std::min(rows, first + rows_per_unit);
    const int64_t begin = unit % pieces * kElementsPerUnit, count = std::min(n - begin, pieces > 1 ? kElementsPerUnit : n);
    int64_t position[kMaxDims] = {}, at[kOperands];
    for (int k = 0; k < kOperands; ++k) at[k] = begin * s.stride[k][last];
    for (int64_t d = last - 1, rest = first; d >= 0; --d) {
      position[d] = rest % s.extent[d];
      rest /= s.extent[d];
      for (int k = 0; k < kOperands; ++k) at[k] += s.stride[k][d] * position[d];
    }
    for (int64_t r = first; r < end; ++r) {
      row(context, count, at);
      for (int d = last - 1; d >= 0; --d) {
        for (int k = 0; k < kOperands; ++k) at[k] += s.stride[k][d];
        if (++position[d] < s.extent[d]) break;
        for (int k = 0; k < kOperands; ++k) at[k] -= s.stride[k][d] * s.extent[d];
        position[d] = 0;
      }
    }
  });
}

// The same of anything that can be called: row(n, at).
template <int kOperands, class Row>
void for_each_row(const StridedShape<kOperands>& s, double element_cost, const Row& row) {
  const RowFunction<kOperands> call = [](const void* context, int64_t n, const int64_t (&at)[kOperands]) {
    (*static_cast<const Row*>(context))(n, at);
  };
  walk_rows(s, element_cost, call, &row);
}

// The same in order, one after the other.
template <int kOperands, class Row>
void for_each_row_in_order(const StridedShape<kOperands>& s, const Row& row) {
  const int last = s.ndim - 1;
  if (s.numel() == 0) return;
  int64_t position[kMaxDims] = {}, at[kOperands] = {};
  for (int64_t r = 0, rows = s.numel() / s.extent[last]; r < rows; ++r) {
    row(s.extent[last], at);
    for (int d = last - 1; d >= 0; --d) {
      for (int k = 0; k < kOperands; ++k) at[k] += s.stride[k][d];
      if (++position[d] < s.extent[d]) break;
      for (int k = 0; k < kOperands; ++k) at[k] -= s.stride[k][d] * s.extent[d];
      position[d] = 0;
    }
  }
}

// Calls f(begin, end) for pieces of [0, n), on all threads.
template <class F>
void for_each_piece(int64_t n, double element_cost, const F& f) {
  const int64_t units = (n + kElementsPerUnit - 1) / kElementsPerUnit;
  parallel_for(units, element_cost * static_cast<double>(std::min(n, kElementsPerUnit)),
               [&](int64_t unit) { f(unit * kElementsPerUnit, std::min(n, (unit + 1) * kElementsPerUnit)); });
}

// The number of an operand as an element.
template <class T>
T number_of(const ElementOperand& operand) {
  if constexpr (std::is_floating_point_v<T>) return static_cast<T>(operand.real);
  else return static_cast<T>(operand.integer);
}

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

// ---- The loops of kernels/element_kernels.h.

// The operation as a constant, one of kCount: each has a loop without a switch.
template <int kCount, class Op, class F>
void with_op(Op op, const F& f) {
  if constexpr (kCount > 1)
    if (static_cast<int>(op) < kCount - 1) return with_op<kCount - 1>(op, f);
  f(std::integral_constant<Op, static_cast<Op>(kCount - 1)>());
}

template <class In, class Out, class F>
void map(const Queue&, const char*, int64_t n, const In* x, Out* out, const F& f) {
  for_each_piece(n, 0.5, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = f(x[i]);
  });
}

// Small functions have a loop for each case, so that the compiler sees steps it can vectorise.
template <class T, class Out, class F>
void map2_strided(const Queue&, const char*, const StridedShape<3>& s, const ElementOperand& a, const ElementOperand& b, Out* out,
                  const F& f) {
  const Operands<T> operands(s, a, b);
  const int64_t a_step = operands.a_step, b_step = operands.b_step, step = s.stride[0][s.ndim - 1];
  for_each_row(s, 0.5, [&](int64_t n, const int64_t (&at)[3]) {
    const T *x = operands.a + at[1], *y = operands.b + at[2];
    Out* to = out + at[0];
    if constexpr (!requires { typename F::OneByOne; }) {
      if (step == 1 && a_step == 1 && b_step == 1) {
        for (int64_t i = 0; i < n; ++i) to[i] = f(x[i], y[i]);
        return;
      }
      if (step == 1 && a_step == 1 && b_step == 0) {
        const T value = *y;
        for (int64_t i = 0; i < n; ++i) to[i] = f(x[i], value);
        return;
      }
    }
    for (int64_t i = 0; i < n; ++i) to[i * step] = f(x[i * a_step], y[i * b_step]);
  });
}

template <class T, class F>
void generate(const Queue&, const char*, int64_t n, T* out, const F& f) {
  for_each_piece(n, 0.5, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = f(i);
  });
}

template <class T, class F>
void draw(const Queue&, const char*, int64_t n, uint64_t seed, uint64_t call, T* out, const F& f) {
  for_each_piece((n + F::kCount - 1) / F::kCount, 40, [&](int64_t begin, int64_t end) {
    for (int64_t counter = begin; counter < end; ++counter) {
      uint32_t words[4];
      T values[F::kCount];
      philox4x32(seed, call, static_cast<uint64_t>(counter), words);
      f(words, values);
      const int64_t first = counter * F::kCount, count = std::min<int64_t>(F::kCount, n - first);
      for (int64_t k = 0; k < count; ++k) out[first + k] = values[k];
    }
  });
}

}  // namespace cnnx::host
