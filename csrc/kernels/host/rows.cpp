// Along rows: integer reductions, running sums, products of the others.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "cnnx/dtype.h"
#include "kernels/element_functions.h"
#include "kernels/host/host.h"

namespace cnnx::host {
namespace {

// Calls f(x of the row's first element, position of its result) for the rows of `s`, on all threads.
template <class F>
void for_each_line(const ReduceShape& s, double element_cost, const F& f) {
  const int64_t lines = s.outer * s.inner, lines_per_unit = 1 + kElementsPerUnit / std::max<int64_t>(s.reduce, 1);
  parallel_for((lines + lines_per_unit - 1) / lines_per_unit, element_cost * static_cast<double>(lines_per_unit * s.reduce),
               [&](int64_t unit) {
                 const int64_t end = std::min(lines, (unit + 1) * lines_per_unit);
                 for (int64_t line = unit * lines_per_unit; line < end; ++line)
                   f(line / s.inner * s.reduce * s.inner + line % s.inner, line);
               });
}

}  // namespace

void integer_reduce(const Queue&, ReduceOp op, DType dtype, const ReduceShape& s, const void* x, void* y) {
  dispatch(dtype, [&]<class T>(T) {
    const Reduction<T> reduction{op};
    if constexpr (std::is_integral_v<T>)
      for_each_line(s, 1, [&](int64_t first, int64_t line) {
        const T* row = static_cast<const T*>(x) + first;
        T result = reduction.start();
        for (int64_t r = 0; r < s.reduce; ++r) result = reduction.combine(result, row[r * s.inner]);
        static_cast<T*>(y)[line] = result;
      });
  });
}

void integer_arg_reduce(const Queue&, ReduceOp op, DType dtype, const ReduceShape& s, const void* x, int64_t* index) {
  const bool max = op == ReduceOp::max;
  dispatch(dtype, [&]<class T>(T) {
    if constexpr (std::is_integral_v<T>)
      for_each_line(s, 1, [&](int64_t first, int64_t line) {
        const T* row = static_cast<const T*>(x) + first;
        int64_t best = 0;
        for (int64_t r = 1; r < s.reduce; ++r)
          if (beats(max, row[r * s.inner], row[best * s.inner])) best = r;
        index[line] = best;
      });
  });
}

void cumsum(const Queue&, DType dtype, const ReduceShape& s, bool from_back, const void* x, void* y) {
  dispatch(dtype, [&]<class T>(T) {
    using Sum = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;
    for_each_line(s, 1, [&](int64_t first, int64_t) {
      const T* from = static_cast<const T*>(x) + first;
      T* to = static_cast<T*>(y) + first;
      Sum total = 0;
      for (int64_t k = 0; k < s.reduce; ++k) {
        const int64_t at = (from_back ? s.reduce - 1 - k : k) * s.inner;
        total += static_cast<Sum>(from[at]);
        to[at] = static_cast<T>(total);
      }
    });
  });
}

void linear_scan(const Queue&, DType dtype, const ReduceShape& s, bool from_back, const void* a, const void* b, void* y) {
  dispatch(dtype, [&]<class T>(T) {
    using Number = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
    for_each_line(s, 2, [&](int64_t first, int64_t) {
      Number value = b == nullptr ? Number(1) : Number(0);
      for (int64_t k = 0; k < s.reduce; ++k) {
        const int64_t at = first + (from_back ? s.reduce - 1 - k : k) * s.inner;
        value = static_cast<Number>(static_cast<const T*>(a)[at]) * value;
        if (b != nullptr) value += static_cast<Number>(static_cast<const T*>(b)[at]);
        static_cast<T*>(y)[at] = static_cast<T>(value);
      }
    });
  });
}

void extreme_scan(const Queue&, DType dtype, const ReduceShape& s, bool max, const void* x, void* y, int64_t* index) {
  dispatch(dtype, [&]<class T>(T) {
    for_each_line(s, 2, [&](int64_t first, int64_t) {
      Placed<T> best{T(), -1};
      for (int64_t k = 0; k < s.reduce; ++k) {
        const int64_t at = first + k * s.inner;
        best = later_extreme(max, best, {static_cast<const T*>(x)[at], k});
        static_cast<T*>(y)[at] = best.value;
        index[at] = best.place;
      }
    });
  });
}

void products_of_others(const Queue&, DType dtype, int64_t rows, int64_t n, const void* x, const void* g, void* out) {
  dispatch_floating("prod", dtype, [&]<class T>(T) {
    for_each_line({rows, n, 1}, 4, [&](int64_t first, int64_t row) {
      multiply_others(n, static_cast<const T*>(x) + first, static_cast<const T*>(g)[row], static_cast<T*>(out) + first);
    });
  });
}

void add_norm(const Queue&, DType dtype, double p, int64_t count, const int64_t* sizes, void* const* lists, double* norm) {
  const bool largest = std::isinf(p);
  double total = largest ? *norm : std::pow(*norm, p);
  dispatch_floating("clip_grad_norm_", dtype, [&]<class T>(T) {
    for (int64_t k = 0; k < count; ++k) {
      const T* x = static_cast<const T*>(lists[k]);
      for (int64_t i = 0; i < sizes[k]; ++i) {
        const double size = std::abs(static_cast<double>(x[i]));
        if (largest) total = size > total || std::isnan(size) ? size : total;
        else total += p == 2 ? size * size : std::pow(size, p);
      }
    }
  });
  *norm = largest ? total : std::pow(total, 1 / p);
}

void clip_norm(const Queue&, DType dtype, double max_norm, int64_t count, const int64_t* sizes, void* const* lists,
               const double* norm) {
  const double scale = max_norm / (*norm + 1e-6);
  if (scale >= 1) return;  // a NaN scales too, as in PyTorch
  dispatch_floating("clip_grad_norm_", dtype, [&]<class T>(T) {
    for (int64_t k = 0; k < count; ++k) {
      T* x = static_cast<T*>(lists[k]);
      for_each_piece(sizes[k], 0.5, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) x[i] = static_cast<T>(x[i] * scale);
      });
    }
  });
}

}  // namespace cnnx::host
