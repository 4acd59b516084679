// Layer, group and instance normalisation.
//
//   lanes  [blocks][rows][runs][repeat][L]   a row holds L images' statistics side by side: nothing is folded
//   plain  [batch][rows][runs][repeat]       vectors lie along a row, or along a run where its parameter is shared
//
// A row is read for its statistics and, from the cache, again for the result. Gradients of weight and bias are summed over a
// fixed number of parts of the rows, each into memory of its own, and the parts are then added in order.
#include "kernels/cpu/moments.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int64_t kParts = 16;

inline int64_t row_count(const GroupNormShape& s) { return (s.lanes == 1 ? s.batch : ceil_div(s.batch, kLanes)) * s.rows; }

template <class F>
inline void for_rows(const GroupNormShape& s, double passes, const F& f) {
  const int64_t rows = row_count(s), size = s.reduce() * s.lanes, per_unit = max(1, 4096 / (size + 1));
  parallel_for(ceil_div(rows, per_unit), pass_cost(passes * (double)(size * per_unit)), [&](int64_t unit) {
    for (int64_t row = unit * per_unit; row < min(rows, (unit + 1) * per_unit); ++row) f(row);
  });
}

// Lanes.

// The per-image numbers of a row of blocks, from and to (batch, rows).
struct RowImages {
  int64_t first, live, row;
  RowImages(const GroupNormShape& s, int64_t unit)
      : first(unit / s.rows * kLanes), live(min(kLanes, s.batch - first)), row(unit % s.rows) {}
  Vec get(const GroupNormShape& s, const float* values) const {
    Vec v{};
    for (int64_t lane = 0; lane < live; ++lane) v[lane] = values[(first + lane) * s.rows + row];
    return v;
  }
  void put(const GroupNormShape& s, float* values, Vec v) const {
    for (int64_t lane = 0; lane < live; ++lane) values[(first + lane) * s.rows + row] = v[lane];
  }
};

void forward_lanes(const GroupNormShape& s, double eps, const float* input, const float* weight, const float* bias, float* output,
                   float* mean, float* inv_std) {
  const int64_t size = s.reduce();
  for_rows(s, 3, [&](int64_t unit) {
    const float* x = input + unit * size * kLanes;
    float* y = output + unit * size * kLanes;
    const LaneMoments moments = lane_moments(size, [&](int64_t i) { return load(x + i * kLanes); });
    const RowImages images(s, unit);
    Vec deviation{};
    for (int64_t lane = 0; lane < images.live; ++lane)
      deviation[lane] = (float)inverse_deviation((double)moments.squares[lane] / (double)size, eps);
    images.put(s, mean, moments.mean);
    images.put(s, inv_std, deviation);
    const int64_t param = s.first_param(images.row);
    for (int64_t run = 0; run < s.runs; ++run) {
      const Vec scale = deviation * broadcast(at(weight, param + run, 1)), shift = broadcast(at(bias, param + run, 0));
      for (int64_t i = run * s.repeat; i < (run + 1) * s.repeat; ++i)
        store(y + i * kLanes, (load(x + i * kLanes) - moments.mean) * scale + shift);
    }
  });
}

// What a part adds the gradients of weight and bias to: [2][params][width].
struct ParamSums {
  float *weight, *bias;
};

void backward_row_lanes(const GroupNormShape& s, int64_t unit, const float* grad_output, const float* input, const float* mean,
                        const float* inv_std, const float* weight, float* grad_input, const ParamSums* sums) {
  const int64_t size = s.reduce();
  const float *g = grad_output + unit * size * kLanes, *x = input + unit * size * kLanes;
  const RowImages images(s, unit);
  const Vec centre = images.get(s, mean), deviation = images.get(s, inv_std);
  const VecI live = first_lanes(images.live);
  const int64_t param = s.first_param(images.row);
  Vec sum{}, product{};
  for (int64_t run = 0; run < s.runs; ++run) {
    const float *gr = g + run * s.repeat * kLanes, *xr = x + run * s.repeat * kLanes;
    const LaneSums of_run = lane_sums(
        s.repeat, centre, [&](int64_t i) { return load(gr + i * kLanes); }, [&](int64_t i) { return load(xr + i * kLanes); });
    const Vec w = broadcast(at(weight, param + run, 1));
    sum += w * of_run.gradient;
    product += w * of_run.product;
    if (sums != nullptr) {
      float *to_weight = sums->weight + (param + run) * kLanes, *to_bias = sums->bias + (param + run) * kLanes;
      store(to_weight, load(to_weight) + select(live, of_run.product * deviation, Vec{}));
      store(to_bias, load(to_bias) + select(live, of_run.gradient, Vec{}));
    }
  }
  if (grad_input == nullptr) return;
  const Vec per_value = broadcast(1.0f / (float)size);
  const Vec slope = deviation * deviation * deviation * product * per_value, offset = deviation * sum * per_value;
  float* to = grad_input + unit * size * kLanes;
  for (int64_t run = 0; run < s.runs; ++run) {
    const Vec scale = deviation * broadcast(at(weight, param + run, 1));
    for (int64_t i = run * s.repeat; i < (run + 1) * s.repeat; ++i)
      store(to + i * kLanes, load(g + i * kLanes) * scale - ((load(x + i * kLanes) - centre) * slope + offset));
  }
}

// Plain. Calls f(first value, count, scale and shift as functions of the distance from there) for the pieces of a row that
// vectors may run along: the runs, or the whole row where every value has its own parameters.
template <class F>
inline void for_pieces(const GroupNormShape& s, const float* weight, const float* bias, int64_t param, const F& f) {
  if (s.repeat == 1) {
    const auto read = [&](const float* values, float absent) {
      return [values, absent, param, n = s.runs](int64_t i) {
        if (values == nullptr) return broadcast(absent);
        return i + kLanes <= n ? load(values + param + i) : load_partial(values + param + i, n - i);
      };
    };
    f((int64_t)0, s.runs, read(weight, 1), read(bias, 0), (int64_t)0);
  } else {
    for (int64_t run = 0; run < s.runs; ++run) {
      const Vec w = broadcast(at(weight, param + run, 1)), b = broadcast(at(bias, param + run, 0));
      f(run * s.repeat, s.repeat, [w](int64_t) { return w; }, [b](int64_t) { return b; }, run);
    }
  }
}

// Calls body(i, get, put) for the vectors of n floats, the last one partial.
template <class Body>
inline void for_vectors(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, [](const float* p) { return load(p); }, [](float* p, Vec v) { store(p, v); });
  if (i < n)
    body(
        i, [rest = n - i](const float* p) { return load_partial(p, rest); },
        [rest = n - i](float* p, Vec v) { store_partial(p, v, rest); });
}

void forward_plain(const GroupNormShape& s, double eps, const float* input, const float* weight, const float* bias, float* output,
                   float* mean, float* inv_std) {
  const int64_t size = s.reduce();
  for_rows(s, 3, [&](int64_t row) {
    const float* x = input + row * size;
    float* y = output + row * size;
    Moments moments;
    const int64_t vectors = size / kLanes;
    if (vectors > 0) moments.add((double)vectors, lane_moments(vectors, [&](int64_t i) { return load(x + i * kLanes); }), kLanes);
    for (int64_t i = vectors * kLanes; i < size; ++i) moments.add(1, (double)x[i], 0);
    const double unit = inverse_deviation(moments.squares / moments.count, eps);
    mean[row] = (float)moments.mean;
    inv_std[row] = (float)unit;
    const Vec centre = broadcast(mean[row]), deviation = broadcast(inv_std[row]);
    for_pieces(s, weight, bias, s.first_param(row % s.rows),
               [&](int64_t first, int64_t count, const auto& scale, const auto& shift, int64_t) {
                 for_vectors(count, [&](int64_t i, const auto& get, const auto& put) {
                   put(y + first + i, (get(x + first + i) - centre) * (deviation * scale(i)) + shift(i));
                 });
               });
  });
}

// Partial vectors are zero behind their end, so that what is summed there is zero too (x - mean is not, but g is).
void backward_row_plain(const GroupNormShape& s, int64_t row, const float* grad_output, const float* input, const float* mean,
                        const float* inv_std, const float* weight, float* grad_input, const ParamSums* sums) {
  const int64_t size = s.reduce();
  const float *g = grad_output + row * size, *x = input + row * size;
  const Vec centre = broadcast(mean[row]), deviation = broadcast(inv_std[row]);
  const int64_t param = s.first_param(row % s.rows);
  Vec sum{}, product{};
  for_pieces(s, weight, nullptr, param, [&](int64_t first, int64_t count, const auto& scale, const auto&, int64_t run) {
    Vec run_sum{}, run_product{};
    for_vectors(count, [&](int64_t i, const auto& get, const auto& put) {
      const Vec gradient = get(g + first + i), with_value = gradient * (get(x + first + i) - centre);
      sum += scale(i) * gradient;
      product += scale(i) * with_value;
      if (sums == nullptr) return;
      if (s.repeat == 1) {
        put(sums->weight + param + i, get(sums->weight + param + i) + with_value * deviation);
        put(sums->bias + param + i, get(sums->bias + param + i) + gradient);
      } else {
        run_sum += gradient;
        run_product += with_value;
      }
    });
    if (sums != nullptr && s.repeat > 1) {
      sums->weight[param + run] += horizontal_sum(run_product) * inv_std[row];
      sums->bias[param + run] += horizontal_sum(run_sum);
    }
  });
  if (grad_input == nullptr) return;
  const double unit = (double)inv_std[row], per_value = 1 / (double)size;
  const Vec slope = broadcast((float)(unit * unit * unit * (double)horizontal_sum(product) * per_value));
  const Vec offset = broadcast((float)(unit * (double)horizontal_sum(sum) * per_value));
  float* to = grad_input + row * size;
  for_pieces(s, weight, nullptr, param, [&](int64_t first, int64_t count, const auto& scale, const auto&, int64_t) {
    for_vectors(count, [&](int64_t i, const auto& get, const auto& put) {
      put(to + first + i, get(g + first + i) * (deviation * scale(i)) - ((get(x + first + i) - centre) * slope + offset));
    });
  });
}

}  // namespace

void group_norm_forward(const Queue&, const GroupNormShape& s, double eps, const float* input, const float* weight,
                        const float* bias, float* output, float* mean, float* inv_std) {
  if (s.lanes == 1) forward_plain(s, eps, input, weight, bias, output, mean, inv_std);
  else forward_lanes(s, eps, input, weight, bias, output, mean, inv_std);
}

void group_norm_backward(const Queue& queue, const GroupNormShape& s, const float* grad_output, const float* input,
                         const float* mean, const float* inv_std, const float* weight, float* grad_input, float* grad_weight,
                         float* grad_bias) {
  const auto row_gradient = [&](int64_t row, const ParamSums* sums) {
    if (s.lanes == 1) backward_row_plain(s, row, grad_output, input, mean, inv_std, weight, grad_input, sums);
    else backward_row_lanes(s, row, grad_output, input, mean, inv_std, weight, grad_input, sums);
  };
  if (grad_weight == nullptr && grad_bias == nullptr) return for_rows(s, 5, [&](int64_t row) { row_gradient(row, nullptr); });

  const int64_t rows = row_count(s), parts = min(rows, kParts), width = s.params * s.lanes;
  float* partial = (float*)queue.scratch(0, (size_t)(2 * parts * width) * sizeof(float));
  parallel_for(parts, pass_cost(5.0 * (double)(rows * s.reduce() * s.lanes) / (double)parts), [&](int64_t part) {
    const ParamSums sums{partial + 2 * part * width, partial + (2 * part + 1) * width};
    memset(sums.weight, 0, (size_t)(2 * width) * sizeof(float));
    for (int64_t row = part * rows / parts; row < (part + 1) * rows / parts; ++row) row_gradient(row, &sums);
  });
  constexpr int64_t kParamsPerUnit = 64;
  parallel_for(ceil_div(s.params, kParamsPerUnit), (double)(2 * kParamsPerUnit * parts * s.lanes), [&](int64_t unit) {
    for (int64_t p = unit * kParamsPerUnit; p < min(s.params, (unit + 1) * kParamsPerUnit); ++p) {
      double totals[2] = {};
      for (int64_t part = 0; part < parts; ++part)
        for (int64_t which = 0; which < 2; ++which)
          for (int64_t lane = 0; lane < s.lanes; ++lane)
            totals[which] += (double)partial[(2 * part + which) * width + p * s.lanes + lane];
      if (grad_weight != nullptr) grad_weight[p] = (float)totals[0];
      if (grad_bias != nullptr) grad_bias[p] = (float)totals[1];
    }
  });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
