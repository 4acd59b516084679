// The kernels over elements of any dtype on the CPU: plain loops, compiled once, for whatever is not worth a version for each
// instruction set. Where floats are added, multiplied or compared by the million, they call those.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "device/parallel.h"
#include "kernels/shapes.h"
#include "kernels/table.h"

namespace cnnx::host {

#define ELEMENT(name, signature) CNNX_DECLARE(name, signature);
#include "kernels/elements.def"

// Elements of one unit of work. Longer rows are cut into pieces of as many.
constexpr int64_t kElementsPerUnit = 16384;

// Calls row(n, at) for the innermost rows of `s`, or pieces of them, in any order and on all threads: n elements from the
// operands' offsets at[].
template <int kOperands, class Row>
void for_each_row(const StridedShape<kOperands>& s, double element_cost, const Row& row) {
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
      row(count, at);
      for (int d = last - 1; d >= 0; --d) {
        for (int k = 0; k < kOperands; ++k) at[k] += s.stride[k][d];
        if (++position[d] < s.extent[d]) break;
        for (int k = 0; k < kOperands; ++k) at[k] -= s.stride[k][d] * s.extent[d];
        position[d] = 0;
      }
    }
  });
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

}  // namespace cnnx::host
