// Softmax over the middle extent of (outer, reduce, inner). A panel is kLanes rows side by side in the lanes, so that maximum
// and sum need no folding: inner > 1 has them in memory already, and short rows of inner == 1 (class scores) are transposed
// into one. Long rows of inner == 1 lie in the lanes themselves.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec_math.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int64_t kShortRow = 64;
constexpr double kCost = 1.0;  // nanoseconds per element

inline Vec load_n(const float* p, int64_t n) { return n == kLanes ? load(p) : load_partial(p, n); }
inline void store_n(float* p, Vec v, int64_t n) {
  if (n == kLanes) store(p, v);
  else store_partial(p, v, n);
}
inline Vec larger(Vec a, Vec b) { return select(is_nan(a) | (a > b), a, b); }
// What to subtract before exp when the maximum is infinite: inf - inf would be NaN.
inline Vec finite_shift(Vec shift) { return select(absolute(shift) == kInfinity, Vec{}, shift); }

// `width` rows side by side, `step` floats from one element to the next.
Vec panel_max(int64_t reduce, int64_t step, int64_t width, const float* x) {
  Vec best = constant(-kInfinity);
  for (int64_t r = 0; r < reduce; ++r) best = larger(load_n(x + r * step, width), best);
  return best;
}

void panel_softmax(bool log_form, int64_t reduce, int64_t step, int64_t width, const float* x, float* y) {
  const Vec shift = panel_max(reduce, step, width, x);
  Vec sum = Vec{};
  if (log_form) {
    for (int64_t r = 0; r < reduce; ++r) sum += exp(load_n(x + r * step, width) - shift);
    const Vec log_sum = log(sum);
    for (int64_t r = 0; r < reduce; ++r) store_n(y + r * step, (load_n(x + r * step, width) - shift) - log_sum, width);
    return;
  }
  for (int64_t r = 0; r < reduce; ++r) {
    const Vec e = exp(load_n(x + r * step, width) - shift);
    store_n(y + r * step, e, width);
    sum += e;
  }
  for (int64_t r = 0; r < reduce; ++r) store_n(y + r * step, load_n(y + r * step, width) / sum, width);
}

void panel_backward(bool log_form, int64_t reduce, int64_t step, int64_t width, const float* g, const float* y, float* out) {
  Vec sum = Vec{};
  for (int64_t r = 0; r < reduce; ++r) {
    const Vec d = load_n(g + r * step, width);
    sum += log_form ? d : d * load_n(y + r * step, width);
  }
  for (int64_t r = 0; r < reduce; ++r) {
    const Vec d = load_n(g + r * step, width), v = load_n(y + r * step, width);
    store_n(out + r * step, log_form ? d - exp(v) * sum : v * (d - sum), width);
  }
}

Vec panel_logsumexp(int64_t reduce, int64_t step, int64_t width, const float* x) {
  const Vec shift = finite_shift(panel_max(reduce, step, width, x));
  Vec sum = Vec{};
  for (int64_t r = 0; r < reduce; ++r) sum += exp(load_n(x + r * step, width) - shift);
  return shift + log(sum);
}

// `width` short rows of `reduce` floats, to and from a panel of step kLanes.
inline void transpose_in(int64_t reduce, int64_t width, const float* rows, float* panel) {
  for (int64_t k = 0; k < width; ++k)
    for (int64_t r = 0; r < reduce; ++r) panel[r * kLanes + k] = rows[k * reduce + r];
}
inline void transpose_out(int64_t reduce, int64_t width, const float* panel, float* rows) {
  for (int64_t k = 0; k < width; ++k)
    for (int64_t r = 0; r < reduce; ++r) rows[k * reduce + r] = panel[r * kLanes + k];
}

float fold_max(Vec v) {
  float best = v[0];
  for (int i = 1; i < kLanes; ++i) best = best != best || best > v[i] ? best : v[i];
  return best;
}

// Sum of f over a long row's vectors, in four accumulators; the tail is filled so that it adds nothing.
template <class F>
float row_sum(int64_t n, const F& f) {
  Vec sums[4] = {};
  int64_t i = 0;
  int turn = 0;
  for (; i + kLanes <= n; i += kLanes) sums[turn++ & 3] += f(i, (int64_t)kLanes);
  if (i < n) sums[turn & 3] += select(first_lanes(n - i), f(i, n - i), Vec{});
  return horizontal_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

float row_max(int64_t n, const float* x) {
  Vec best = constant(-kInfinity);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) best = larger(load(x + i), best);
  if (i < n) best = larger(select(first_lanes(n - i), load_partial(x + i, n - i), constant(-kInfinity)), best);
  return fold_max(best);
}

template <class F>
void row_map(int64_t n, float* y, const F& f) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t width = n - i < kLanes ? n - i : kLanes;
    store_n(y + i, f(i, width), width);
  }
}

void row_softmax(bool log_form, int64_t n, const float* x, float* y) {
  const Vec shift = constant(row_max(n, x));
  if (log_form) {
    const float sum = row_sum(n, [&](int64_t i, int64_t width) { return exp(load_n(x + i, width) - shift); });
    const Vec log_sum = log(constant(sum));
    row_map(n, y, [&](int64_t i, int64_t width) { return (load_n(x + i, width) - shift) - log_sum; });
    return;
  }
  const Vec sum = constant(row_sum(n, [&](int64_t i, int64_t width) {
    const Vec e = exp(load_n(x + i, width) - shift);
    store_n(y + i, e, width);
    return e;
  }));
  row_map(n, y, [&](int64_t i, int64_t width) { return load_n(y + i, width) / sum; });
}

void row_backward(bool log_form, int64_t n, const float* g, const float* y, float* out) {
  const Vec sum = constant(row_sum(n, [&](int64_t i, int64_t width) {
    const Vec d = load_n(g + i, width);
    return log_form ? d : d * load_n(y + i, width);
  }));
  row_map(n, out, [&](int64_t i, int64_t width) {
    const Vec d = load_n(g + i, width), v = load_n(y + i, width);
    return log_form ? d - exp(v) * sum : v * (d - sum);
  });
}

// panel(o, i, width) for inner > 1, short(first row, width) or row(o) for inner == 1: whatever the shape calls for.
template <class Panel, class Short, class Row>
void for_rows(const ReduceShape& s, const Panel& panel, const Short& short_rows, const Row& row) {
  if (s.inner == 0) return;
  if (s.inner > 1) {
    const int64_t bands = (s.inner + kLanes - 1) / kLanes;
    parallel_for(s.outer * bands, kCost * (double)(s.reduce * kLanes), [&](int64_t unit) {
      const int64_t i = unit % bands * kLanes;
      panel(unit / bands, i, s.inner - i < kLanes ? s.inner - i : kLanes);
    });
  } else if (s.reduce <= kShortRow) {
    parallel_for((s.outer + kLanes - 1) / kLanes, kCost * (double)(s.reduce * kLanes), [&](int64_t unit) {
      const int64_t first = unit * kLanes;
      short_rows(first, s.outer - first < kLanes ? s.outer - first : kLanes);
    });
  } else {
    parallel_for(s.outer, kCost * (double)s.reduce, row);
  }
}

}  // namespace

void softmax(const Queue&, const ReduceShape& s, bool log_form, const float* x, float* y) {
  for_rows(
      s,
      [&](int64_t o, int64_t i, int64_t width) {
        const int64_t start = o * s.reduce * s.inner + i;
        panel_softmax(log_form, s.reduce, s.inner, width, x + start, y + start);
      },
      [&](int64_t first, int64_t width) {
        alignas(64) float panel[kShortRow * kLanes] = {};
        transpose_in(s.reduce, width, x + first * s.reduce, panel);
        panel_softmax(log_form, s.reduce, kLanes, kLanes, panel, panel);
        transpose_out(s.reduce, width, panel, y + first * s.reduce);
      },
      [&](int64_t o) { row_softmax(log_form, s.reduce, x + o * s.reduce, y + o * s.reduce); });
}

void softmax_backward(const Queue&, const ReduceShape& s, bool log_form, const float* g, const float* y, float* out) {
  for_rows(
      s,
      [&](int64_t o, int64_t i, int64_t width) {
        const int64_t start = o * s.reduce * s.inner + i;
        panel_backward(log_form, s.reduce, s.inner, width, g + start, y + start, out + start);
      },
      [&](int64_t first, int64_t width) {
        alignas(64) float gradient[kShortRow * kLanes] = {}, value[kShortRow * kLanes] = {};
        transpose_in(s.reduce, width, g + first * s.reduce, gradient);
        transpose_in(s.reduce, width, y + first * s.reduce, value);
        panel_backward(log_form, s.reduce, kLanes, kLanes, gradient, value, gradient);
        transpose_out(s.reduce, width, gradient, out + first * s.reduce);
      },
      [&](int64_t o) { row_backward(log_form, s.reduce, g + o * s.reduce, y + o * s.reduce, out + o * s.reduce); });
}

void logsumexp(const Queue&, const ReduceShape& s, const float* x, float* y) {
  for_rows(
      s,
      [&](int64_t o, int64_t i, int64_t width) {
        store_n(y + o * s.inner + i, panel_logsumexp(s.reduce, s.inner, width, x + o * s.reduce * s.inner + i), width);
      },
      [&](int64_t first, int64_t width) {
        alignas(64) float panel[kShortRow * kLanes] = {};
        transpose_in(s.reduce, width, x + first * s.reduce, panel);
        store_n(y + first, panel_logsumexp(s.reduce, kLanes, kLanes, panel), width);
      },
      [&](int64_t o) {
        const float* row = x + o * s.reduce;
        const Vec shift = finite_shift(constant(row_max(s.reduce, row)));
        const float sum = row_sum(s.reduce, [&](int64_t i, int64_t width) { return exp(load_n(row + i, width) - shift); });
        y[o] = (shift + log(constant(sum)))[0];
      });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
