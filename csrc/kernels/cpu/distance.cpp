// Distances of all pairs of rows, from the differences themselves: nothing but the rows and the result is held, and close rows
// lose no digits, as they do in |x|^2 + |y|^2 - 2 x y. A tile of pairs shares its loads; features lie in the lanes.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec_double.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int kX = 2, kY = 4;  // rows of a tile

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// What a norm does to the differences of a pair of rows. Missing lanes hold differences of 0, which add nothing.
struct Count {
  static Vec add(Vec sum, Vec d) { return sum + select(d == 0.0f, Vec{}, select(is_nan(d), d, constant(1.0f))); }
  static float fold(Vec sum) { return horizontal_sum(sum); }
};
struct Absolute {
  static Vec add(Vec sum, Vec d) { return sum + absolute(d); }
  static float fold(Vec sum) { return horizontal_sum(sum); }
};
struct Squares {
  static Vec add(Vec sum, Vec d) { return sum + d * d; }
  static float fold(Vec sum) { return horizontal_sum(sum); }
};
struct Largest {  // a NaN wins
  static Vec add(Vec best, Vec d) {
    const Vec size = absolute(d);
    return select(is_nan(best) | (best > size), best, size);
  }
  static float fold(Vec v) {
    float best = v[0];
    for (int i = 1; i < kLanes; ++i) best = best != best || best > v[i] ? best : v[i];
    return best;
  }
};

template <class Op>
void tile(int64_t features, const float* const (&x)[kX], const float* const (&y)[kY], float (&result)[kX][kY]) {
  Vec sums[kX][kY] = {};
  int64_t k = 0;
  for (; k + kLanes <= features; k += kLanes) {
    Vec left[kX];
    for (int i = 0; i < kX; ++i) left[i] = load(x[i] + k);
    for (int j = 0; j < kY; ++j) {
      const Vec right = load(y[j] + k);
      for (int i = 0; i < kX; ++i) sums[i][j] = Op::add(sums[i][j], left[i] - right);
    }
  }
  for (int i = 0; i < kX; ++i)
    for (int j = 0; j < kY; ++j) {
      if (k < features)
        sums[i][j] = Op::add(sums[i][j], load_partial(x[i] + k, features - k) - load_partial(y[j] + k, features - k));
      result[i][j] = Op::fold(sums[i][j]);
    }
}

// Half a vector of differences in double; missing ones are 0.
inline VecD wide_difference(int64_t k, int64_t features, const float* x, const float* y) {
  if (k + kWide <= features) return load_wide(x + k) - load_wide(y + k);
  return load_wide_partial(x + k, features - k) - load_wide_partial(y + k, features - k);
}
inline double wide_sum(VecD v) {
  double sum = 0;
  for (int i = 0; i < kWide; ++i) sum += v[i];
  return sum;
}

// Where float squares are too large or too small.
float wide_euclidean(int64_t features, const float* x, const float* y) {
  VecD sum = {};
  for (int64_t k = 0; k < features; k += kWide) {
    const VecD d = wide_difference(k, features, x, y);
    sum += d * d;
  }
  return (float)::sqrt(wide_sum(sum));
}
float euclidean(float sum, int64_t features, const float* x, const float* y) {
  return sum > 1e-30f && sum < kInfinity ? sqrtf(sum) : wide_euclidean(features, x, y);
}

// Any p, scaled by the largest difference.
float general(double p, float largest, int64_t features, const float* x, const float* y) {
  if (!(largest > 0.0f && largest < kInfinity)) return largest;
  VecD sum = {};
  for (int64_t k = 0; k < features; k += kWide)
    sum += pow(wide_absolute(wide_difference(k, features, x, y)) / (double)largest, wide_constant(p));
  // What exp2 gives for a difference of 0 is far below the last place.
  return (float)((double)largest * ::pow(wide_sum(sum), 1 / p));
}

template <class Op, class Finish>
void forward(const CdistShape& s, const float* x, const float* y, float* distance, const Finish& finish) {
  const int64_t bands = (s.x_rows + kX - 1) / kX;
  parallel_for(s.batch * bands, 0.1 * (double)(s.y_rows * s.features), [&](int64_t unit) {
    const int64_t b = unit / bands, i = unit % bands * kX;
    const float *left = x + b * s.x_step(), *right = y + b * s.y_step();
    const float* rows[kX];
    for (int u = 0; u < kX; ++u) rows[u] = left + smaller(i + u, s.x_rows - 1) * s.features;  // the last again behind the end
    for (int64_t j = 0; j < s.y_rows; j += kY) {
      const float* others[kY];
      for (int v = 0; v < kY; ++v) others[v] = right + smaller(j + v, s.y_rows - 1) * s.features;
      float result[kX][kY];
      tile<Op>(s.features, rows, others, result);
      for (int u = 0; u < kX && i + u < s.x_rows; ++u)
        for (int v = 0; v < kY && j + v < s.y_rows; ++v)
          distance[(b * s.x_rows + i + u) * s.y_rows + j + v] = finish(result[u][v], rows[u], others[v]);
    }
  });
}

}  // namespace

void cdist(const Queue&, const CdistShape& s, double p, const float* x, const float* y, float* distance) {
  const auto as_it_is = [](float result, const float*, const float*) { return result; };
  if (p == 0) return forward<Count>(s, x, y, distance, as_it_is);
  if (p == 1) return forward<Absolute>(s, x, y, distance, as_it_is);
  if (p == (double)kInfinity) return forward<Largest>(s, x, y, distance, as_it_is);
  const int64_t features = s.features;
  if (p == 2)
    return forward<Squares>(s, x, y, distance,
                            [features](float sum, const float* a, const float* b) { return euclidean(sum, features, a, b); });
  forward<Largest>(s, x, y, distance,
                   [p, features](float largest, const float* a, const float* b) { return general(p, largest, features, a, b); });
}

namespace {
inline Vec sign_of(Vec v) { return select(v > 0.0f, constant(1.0f), select(v < 0.0f, constant(-1.0f), Vec{})); }

// out[k] += slope(x[k] - y[k]).
template <class Slope>
void add_slopes(int64_t features, const float* x, const float* y, float* out, const Slope& slope) {
  int64_t k = 0;
  for (; k + kLanes <= features; k += kLanes) store(out + k, load(out + k) + slope(load(x + k) - load(y + k)));
  if (const int64_t left = features - k; left > 0)
    store_partial(out + k, load_partial(out + k, left) + slope(load_partial(x + k, left) - load_partial(y + k, left)), left);
}

// The same of four pairs whose slopes are factors of the differences.
void add_multiples(int64_t features, const float* x, const float* const (&y)[kY], const float (&factor)[kY], float* out) {
  int64_t k = 0;
  for (; k + kLanes <= features; k += kLanes) {
    const Vec row = load(x + k);
    Vec sum = (row - load(y[0] + k)) * factor[0];
    for (int v = 1; v < kY; ++v) sum += (row - load(y[v] + k)) * factor[v];
    store(out + k, load(out + k) + sum);
  }
  for (; k < features; ++k)
    for (int v = 0; v < kY; ++v) out[k] += (x[k] - y[v][k]) * factor[v];
}

// |d / distance|^(p - 1) with the sign of d; a difference of 0 has no slope.
void add_general(double p, float grad, float distance, int64_t features, const float* x, const float* y, float* out) {
  for (int64_t k = 0; k < features; k += kWide) {
    const VecD d = wide_difference(k, features, x, y);
    const VecD power = pow(wide_absolute(d) / (double)distance, wide_constant(p - 1));
    const VecD slope = d == 0.0 ? VecD{} : wide_copy_sign(power, d) * (double)grad;
    for (int i = 0; i < kWide && k + i < features; ++i) out[k + i] = (float)(out[k + i] + slope[i]);
  }
}
}  // namespace

void cdist_backward(const Queue&, const CdistShape& s, double p, bool transposed, const float* grad, const float* distance,
                    const float* x, const float* y, float* grad_x) {
  parallel_for(s.batch * s.x_rows, 0.3 * (double)(s.y_rows * s.features), [&](int64_t unit) {
    const int64_t b = unit / s.x_rows, i = unit % s.x_rows;
    const float *row = x + b * s.x_step() + i * s.features, *right = y + b * s.y_step();
    float* out = grad_x + unit * s.features;
    memset(out, 0, (size_t)s.features * sizeof(float));
    if (p == 0) return;
    const int64_t first = b * s.x_rows * s.y_rows + (transposed ? i : i * s.y_rows), step = transposed ? s.x_rows : 1;
    for (int64_t j = 0; j < s.y_rows; j += kY) {
      const float* others[kY];
      float factor[kY];
      for (int v = 0; v < kY; ++v) {
        const int64_t at = first + smaller(j + v, s.y_rows - 1) * step;
        const float g = j + v < s.y_rows ? grad[at] : 0.0f, length = distance[at];
        const float* other = others[v] = right + smaller(j + v, s.y_rows - 1) * s.features;
        factor[v] = 0;
        if (length == 0.0f || j + v >= s.y_rows) continue;
        if (p == 1) {
          add_slopes(s.features, row, other, out, [g](Vec d) { return sign_of(d) * g; });
        } else if (p == (double)kInfinity) {
          add_slopes(s.features, row, other, out,
                     [g, length](Vec d) { return select(absolute(d) == length, sign_of(d) * g, Vec{}); });
        } else if (p == 2) {
          factor[v] = g / length;
          if (fabsf(factor[v]) < kInfinity) continue;
          // The quotient of the difference and a tiny distance is an ordinary number.
          factor[v] = 0;
          add_slopes(s.features, row, other, out, [g, length](Vec d) { return d / length * g; });
        } else {
          add_general(p, g, length, s.features, row, other, out);
        }
      }
      if (p == 2) add_multiples(s.features, row, others, factor, out);
    }
  });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
