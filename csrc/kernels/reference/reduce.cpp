// Reductions over the middle extent of (outer, reduce, inner), accumulated in double.
#include <limits>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

// Whether `value` takes the place of `best`: the first extreme stays, and the first NaN beats everything.
bool beats(ReduceOp op, double value, double best) {
  if (best != best) return false;
  return value != value || (op == ReduceOp::max ? value > best : value < best);
}

double start_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::prod: return 1;
    case ReduceOp::max: return -std::numeric_limits<double>::infinity();
    case ReduceOp::min: return std::numeric_limits<double>::infinity();
    default: return 0;
  }
}

}  // namespace

template <class T>
void reduce(const Queue&, ReduceOp op, const ReduceShape& s, const T* x, T* y) {
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) {
      double result = start_of(op);
      for (int64_t r = 0; r < s.reduce; ++r) {
        const double value = x[(o * s.reduce + r) * s.inner + i];
        if (op == ReduceOp::prod) result *= value;
        else if (op == ReduceOp::sum || op == ReduceOp::mean) result += value;
        else if (beats(op, value, result)) result = value;
      }
      if (op == ReduceOp::mean) result /= static_cast<double>(s.reduce);
      y[o * s.inner + i] = static_cast<T>(result);
    }
}

template <class T>
void sum_squares(const Queue&, const ReduceShape& s, const T* x, const T* shift, double scale, bool root, T* y) {
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) {
      double first = 0, second = 0;
      for (int64_t r = 0; r < s.reduce; ++r) {
        const double d = double(x[(o * s.reduce + r) * s.inner + i]) - (shift != nullptr ? double(shift[o * s.inner + i]) : 0.0);
        first += d;
        second += d * d;
      }
      double result = second;
      if (shift != nullptr && s.reduce > 0) {
        result -= first * first / static_cast<double>(s.reduce);
        if (result < second * 1e-12) result = 0;  // rounding alone: the values are equal
      }
      result *= scale;
      y[o * s.inner + i] = static_cast<T>(root ? std::sqrt(result) : result);
    }
}

template <class T>
void arg_reduce(const Queue&, ReduceOp op, const ReduceShape& s, const T* x, int64_t* index) {
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) {
      const T* row = x + o * s.reduce * s.inner + i;
      int64_t best = 0;
      for (int64_t r = 1; r < s.reduce; ++r)
        if (beats(op, row[r * s.inner], row[best * s.inner])) best = r;
      index[o * s.inner + i] = best;
    }
}

CNNX_INSTANTIATE(reduce, sum_squares, arg_reduce)

}  // namespace cnnx::reference
