// Reductions over the middle extent of (outer, reduce, inner). inner == 1: rows lie in the lanes and are folded at the end.
// inner > 1: the lanes hold neighbouring columns, and nothing is folded. Sums are taken in blocks of fixed size, so that
// their error does not grow with the length and the result does not depend on the thread count. Where a partial sum is too large
// for a float, the block or the columns are added again in double: the mean, or a sum of both signs, may be an ordinary number.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec_double.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int64_t kBlock = 8192;       // elements of a row that one accumulator set takes
constexpr int64_t kColumnBlock = 128;  // rows of a column sum between two levels

enum class Kind { sum, product, extreme };

struct Sum {
  static constexpr Kind kKind = Kind::sum;
  static Vec start() { return Vec{}; }
  static Vec combine(Vec a, Vec b) { return a + b; }
  static float combine(float a, float b) { return a + b; }
};
struct Product {
  static constexpr Kind kKind = Kind::product;
  static Vec start() { return constant(1.0f); }
  static Vec combine(Vec a, Vec b) { return a * b; }
  static float combine(float a, float b) { return a * b; }
};
// A NaN wins over everything.
struct Max {
  static constexpr Kind kKind = Kind::extreme;
  static Vec start() { return constant(-kInfinity); }
  static Vec combine(Vec a, Vec b) { return select(is_nan(a) | (a > b), a, b); }
  static float combine(float a, float b) { return a != a || a > b ? a : b; }
};
struct Min {
  static constexpr Kind kKind = Kind::extreme;
  static Vec start() { return constant(kInfinity); }
  static Vec combine(Vec a, Vec b) { return select(is_nan(a) | (a < b), a, b); }
  static float combine(float a, float b) { return a != a || a < b ? a : b; }
};

template <class Op>
float fold(Vec v) {
  alignas(64) float buffer[kLanes];
  store(buffer, v);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) buffer[i] = Op::combine(buffer[i], buffer[i + width]);
  return buffer[0];
}

// Rare, and so kept out of the loops that call it.
__attribute__((noinline, cold)) double double_sum(const float* x, int64_t n, int64_t step) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += (double)x[i * step];
  return sum;
}

// Up to kBlock elements.
template <class Op>
float reduce_floats(const float* x, int64_t n) {
  if (n < kLanes) {
    float result = n > 0 ? x[0] : Op::start()[0];
    for (int64_t i = 1; i < n; ++i) result = Op::combine(result, x[i]);
    return result;
  }
  Vec a = load(x), b = Op::start(), c = b, d = b;
  int64_t i = kLanes;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    a = Op::combine(a, load(x + i));
    b = Op::combine(b, load(x + i + kLanes));
    c = Op::combine(c, load(x + i + 2 * kLanes));
    d = Op::combine(d, load(x + i + 3 * kLanes));
  }
  for (; i + kLanes <= n; i += kLanes) a = Op::combine(a, load(x + i));
  if (i < n) b = Op::combine(b, select(first_lanes(n - i), load_partial(x + i, n - i), Op::start()));
  return fold<Op>(Op::combine(Op::combine(a, b), Op::combine(c, d)));
}

template <class Op>
double reduce_block(const float* x, int64_t n) {
  const float result = reduce_floats<Op>(x, n);
  if constexpr (Op::kKind == Kind::sum)
    if (!(result - result == 0.0f)) return double_sum(x, n, 1);
  return result;
}

// Rows in the lanes. A row's blocks are folded in double, in order.
template <class Op>
void reduce_rows(const Queue& queue, const ReduceShape& s, double scale, const float* x, float* y) {
  const int64_t blocks = s.reduce > 0 ? (s.reduce + kBlock - 1) / kBlock : 1;
  if (blocks == 1) {
    const int64_t rows_per_unit = s.reduce < kBlock ? 1 + kBlock / (s.reduce + 1) : 1;
    parallel_for((s.outer + rows_per_unit - 1) / rows_per_unit, 0.2 * kBlock, [&](int64_t unit) {
      const int64_t begin = unit * rows_per_unit, end = begin + rows_per_unit < s.outer ? begin + rows_per_unit : s.outer;
      for (int64_t o = begin; o < end; ++o) y[o] = (float)(reduce_block<Op>(x + o * s.reduce, s.reduce) * scale);
    });
    return;
  }
  double* partial = (double*)queue.scratch(0, (size_t)(s.outer * blocks) * sizeof(double));
  parallel_for(s.outer * blocks, 0.2 * kBlock, [&](int64_t unit) {
    const int64_t o = unit / blocks, begin = unit % blocks * kBlock;
    partial[unit] = reduce_block<Op>(x + o * s.reduce + begin, s.reduce - begin < kBlock ? s.reduce - begin : kBlock);
  });
  for (int64_t o = 0; o < s.outer; ++o) {
    double result = partial[o * blocks];
    for (int64_t k = 1; k < blocks; ++k) {
      const double next = partial[o * blocks + k];
      if constexpr (Op::kKind == Kind::sum) result += next;
      else if constexpr (Op::kKind == Kind::product) result *= next;
      else result = Op::combine((float)result, (float)next);
    }
    y[o] = (float)(result * scale);
  }
}

// Columns in the lanes; `width` <= kLanes of them.
template <class Op>
Vec reduce_columns(const ReduceShape& s, const float* x, int64_t width) {
  Vec total = Op::start();
  for (int64_t begin = 0; begin < s.reduce; begin += kColumnBlock) {
    const int64_t end = begin + kColumnBlock < s.reduce ? begin + kColumnBlock : s.reduce;
    Vec block = Op::start();
    if (width == kLanes) {
      for (int64_t r = begin; r < end; ++r) block = Op::combine(block, load(x + r * s.inner));
    } else {
      for (int64_t r = begin; r < end; ++r) block = Op::combine(block, load_partial(x + r * s.inner, width));
    }
    total = Op::combine(total, block);
  }
  return total;
}

template <class Op>
void reduce_inner(const ReduceShape& s, double scale, const float* x, float* y) {
  const int64_t bands = (s.inner + kLanes - 1) / kLanes;
  const float factor = (float)scale;
  // Several bands to a unit, so that a unit is worth its start.
  const int64_t per_unit = 1 + kBlock / (s.reduce * kLanes + 1);
  const int64_t total = s.outer * bands;
  parallel_for((total + per_unit - 1) / per_unit, 0.3 * (double)(per_unit * s.reduce * kLanes), [&](int64_t unit) {
    const int64_t end = (unit + 1) * per_unit < total ? (unit + 1) * per_unit : total;
    VecI finite = VecI{} - 1;
    for (int64_t at = unit * per_unit; at < end; ++at) {
      const int64_t o = at / bands, i = at % bands * kLanes;
      const int64_t width = s.inner - i < kLanes ? s.inner - i : kLanes;
      const Vec result = reduce_columns<Op>(s, x + o * s.reduce * s.inner + i, width) * factor;
      if constexpr (Op::kKind == Kind::sum) finite &= (result - result) == 0.0f;
      if (width == kLanes) store(y + o * s.inner + i, result);
      else store_partial(y + o * s.inner + i, result, width);
    }
    if (all(finite)) return;
    for (int64_t at = unit * per_unit; at < end; ++at)
      for (int64_t o = at / bands, i = at % bands * kLanes, k = i; k < s.inner && k < i + kLanes; ++k) {
        float* to = y + o * s.inner + k;
        if (!(*to - *to == 0.0f)) *to = (float)(double_sum(x + o * s.reduce * s.inner + k, s.reduce, s.inner) * scale);
      }
  });
}

template <class Op>
void reduce_with(const Queue& queue, const ReduceShape& s, double scale, const float* x, float* y) {
  if (s.inner == 1) reduce_rows<Op>(queue, s, scale, x, y);
  else reduce_inner<Op>(s, scale, x, y);
}

}  // namespace

void reduce(const Queue& queue, ReduceOp op, const ReduceShape& s, const float* x, float* y) {
  switch (op) {
    case ReduceOp::sum: return reduce_with<Sum>(queue, s, 1, x, y);
    case ReduceOp::mean: return reduce_with<Sum>(queue, s, 1 / (double)s.reduce, x, y);
    case ReduceOp::prod: return reduce_with<Product>(queue, s, 1, x, y);
    case ReduceOp::max: return reduce_with<Max>(queue, s, 1, x, y);
    case ReduceOp::min: return reduce_with<Min>(queue, s, 1, x, y);
  }
}

namespace {
// The sum of the squares of up to kBlock elements.
float square_floats(const float* x, int64_t n) {
  Vec sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
    for (int k = 0; k < 4; ++k) {
      const Vec v = load(x + i + k * kLanes);
      sums[k] += v * v;
    }
  for (; i + kLanes <= n; i += kLanes) sums[0] += load(x + i) * load(x + i);
  if (i < n) {
    const Vec v = load_partial(x + i, n - i);
    sums[1] += v * v;
  }
  return horizontal_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Of n elements the sums of x - shift and of its square, in chains of doubles.
struct SquareSums {
  double first, second;
};
SquareSums square_sums(const float* x, int64_t n, double shift) {
  VecD first[2] = {}, second[2] = {};
  int64_t i = 0;
  const auto add = [&](int chain, VecD d) {
    first[chain] += d;
    second[chain] += d * d;
  };
  for (; i + 2 * kWide <= n; i += 2 * kWide) {
    add(0, load_wide(x + i) - shift);
    add(1, load_wide(x + i + kWide) - shift);
  }
  const VecD sum = first[0] + first[1], squares = second[0] + second[1];
  SquareSums result{0, 0};
  for (int k = 0; k < kWide; ++k) {
    result.first += sum[k];
    result.second += squares[k];
  }
  for (; i < n; ++i) {
    const double d = (double)x[i] - shift;
    result.first += d;
    result.second += d * d;
  }
  return result;
}

// What is below the rounding of the squares is 0, so that equal values have no deviation.
inline double about_mean(double first, double second, double count) {
  const double rest = second - first * first / count;
  return rest < second * 1e-12 ? 0 : rest;
}
inline float scaled_root(double squares, double scale, bool root) {
  return (float)(root ? ::sqrt(squares * scale) : squares * scale);
}
}  // namespace

void sum_squares(const Queue& queue, const ReduceShape& s, const float* x, const float* shift, double scale, bool root,
                 float* y) {
  const double count = (double)s.reduce;
  const auto finish = [&](int64_t at, double first, double second) {
    y[at] = scaled_root(shift != nullptr && s.reduce > 0 ? about_mean(first, second, count) : second, scale, root);
  };
  if (s.inner == 1) {
    const int64_t blocks = s.reduce > 0 ? (s.reduce + kBlock - 1) / kBlock : 1, per_unit = 1 + kBlock / (s.reduce + 1);
    SquareSums* partial = (SquareSums*)queue.scratch(0, (size_t)(s.outer * blocks) * sizeof(SquareSums));
    parallel_for((s.outer * blocks + per_unit - 1) / per_unit, 0.3 * kBlock, [&](int64_t unit) {
      const int64_t end = (unit + 1) * per_unit < s.outer * blocks ? (unit + 1) * per_unit : s.outer * blocks;
      for (int64_t at = unit * per_unit; at < end; ++at) {
        const int64_t o = at / blocks, begin = at % blocks * kBlock;
        const float* from = x + o * s.reduce + begin;
        const int64_t n = s.reduce - begin < kBlock ? s.reduce - begin : kBlock;
        // Without a shift nothing can cancel, so floats do where no square is too large or too small for them.
        const float quick = shift == nullptr ? square_floats(from, n) : 0;
        partial[at] = quick > 1e-25f && quick < kInfinity ? SquareSums{0, (double)quick}
                                                          : square_sums(from, n, shift != nullptr ? (double)shift[o] : 0);
      }
    });
    for (int64_t o = 0; o < s.outer; ++o) {
      SquareSums sums{0, 0};
      for (int64_t k = 0; k < blocks; ++k) {
        sums.first += partial[o * blocks + k].first;
        sums.second += partial[o * blocks + k].second;
      }
      finish(o, sums.first, sums.second);
    }
    return;
  }
  const int64_t bands = (s.inner + kWide - 1) / kWide;
  parallel_for(s.outer * bands, 0.3 * (double)(s.reduce * kWide), [&](int64_t unit) {
    const int64_t o = unit / bands, i = unit % bands * kWide, width = s.inner - i < kWide ? s.inner - i : kWide;
    const auto read = [width](const float* from) { return width == kWide ? load_wide(from) : load_wide_partial(from, width); };
    const VecD from = shift != nullptr ? read(shift + o * s.inner + i) : VecD{};
    VecD first = {}, second = {};
    for (int64_t r = 0; r < s.reduce; ++r) {
      const VecD d = read(x + (o * s.reduce + r) * s.inner + i) - from;
      first += d;
      second += d * d;
    }
    for (int64_t k = 0; k < width; ++k) finish(o * s.inner + i + k, first[k], second[k]);
  });
}

namespace {
// The first extreme of a row of scalars, the first NaN before all.
template <class Beats>
int64_t arg_of(const float* row, int64_t n, int64_t step, const Beats& beats) {
  int64_t best = 0;
  float extreme = row[0];
  if (extreme != extreme) return 0;
  for (int64_t r = 1; r < n; ++r) {
    const float value = row[r * step];
    if (value != value) return r;
    if (beats(value, extreme)) {
      extreme = value;
      best = r;
    }
  }
  return best;
}
}  // namespace

void arg_reduce(const Queue&, ReduceOp op, const ReduceShape& s, const float* x, int64_t* index) {
  const int64_t rows = s.outer * s.inner;
  const int64_t per_unit = 1 + kBlock / (s.reduce + 1);
  parallel_for((rows + per_unit - 1) / per_unit, (double)(per_unit * s.reduce), [&](int64_t unit) {
    const int64_t end = (unit + 1) * per_unit < rows ? (unit + 1) * per_unit : rows;
    for (int64_t row = unit * per_unit; row < end; ++row) {
      const float* start = x + row / s.inner * s.reduce * s.inner + row % s.inner;
      index[row] = op == ReduceOp::max ? arg_of(start, s.reduce, s.inner, [](float a, float b) { return a > b; })
                                       : arg_of(start, s.reduce, s.inner, [](float a, float b) { return a < b; });
    }
  });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
