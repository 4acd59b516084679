// Softmax and its kin over the middle extent of (outer, reduce, inner). The row's maximum is taken off first, so that exp cannot
// overflow.
#include <cmath>
#include <limits>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

template <class T>
double row_max(const ReduceShape& s, const T* row) {
  double best = -std::numeric_limits<double>::infinity();
  for (int64_t r = 0; r < s.reduce; ++r) {
    const double value = row[r * s.inner];
    if (value != value) return value;
    if (value > best) best = value;
  }
  return best;
}

// The sum of exp(x - shift) over a row.
template <class T>
double sum_exp(const ReduceShape& s, const T* row, double shift) {
  double sum = 0;
  for (int64_t r = 0; r < s.reduce; ++r) sum += std::exp(row[r * s.inner] - shift);
  return sum;
}

}  // namespace

template <class T>
void softmax(const Queue&, const ReduceShape& s, bool log, const T* x, T* y) {
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) {
      const int64_t start = o * s.reduce * s.inner + i;
      const double shift = row_max(s, x + start);
      const double sum = sum_exp(s, x + start, shift);
      for (int64_t r = 0; r < s.reduce; ++r) {
        const double value = x[start + r * s.inner] - shift;
        y[start + r * s.inner] = static_cast<T>(log ? value - std::log(sum) : std::exp(value) / sum);
      }
    }
}

template <class T>
void softmax_backward(const Queue&, const ReduceShape& s, bool log, const T* grad_output, const T* y, T* grad_input) {
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) {
      const int64_t start = o * s.reduce * s.inner + i;
      double sum = 0;
      for (int64_t r = 0; r < s.reduce; ++r) {
        const int64_t at = start + r * s.inner;
        sum += log ? double(grad_output[at]) : double(grad_output[at]) * y[at];
      }
      for (int64_t r = 0; r < s.reduce; ++r) {
        const int64_t at = start + r * s.inner;
        const double g = grad_output[at], value = y[at];
        grad_input[at] = static_cast<T>(log ? g - std::exp(value) * sum : value * (g - sum));
      }
    }
}

template <class T>
void logsumexp(const Queue&, const ReduceShape& s, const T* x, T* y) {
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) {
      const T* row = x + o * s.reduce * s.inner + i;
      double shift = row_max(s, row);
      if (std::isinf(shift)) shift = 0;  // inf - inf would be NaN
      y[o * s.inner + i] = static_cast<T>(shift + std::log(sum_exp(s, row, shift)));
    }
}

CNNX_INSTANTIATE(softmax, softmax_backward, logsumexp)

}  // namespace cnnx::reference
