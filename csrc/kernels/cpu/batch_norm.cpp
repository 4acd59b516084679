// Batch normalisation.
//
//   lanes  [blocks][channels][spatial][L]   a channel is one run of `spatial` vectors per block
//   plain  [batch][channels][spatial]       a channel is one run of `spatial` floats per image
//   plain  [batch][channels], spatial 1     L channels side by side are a strip: one vector per row
//
// A unit of work is a channel (or a strip). Its values are read twice, for the statistics and for the result, and a channel of a
// training batch fits into the second-level cache, so that main memory sees the input and the output once each.
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/moments.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// grad_input = scale * gradient + slope * (x - mean) + offset.
struct GradientLine {
  float scale, slope, offset;
};
// The two sums are over the `count` values of the channel.
inline GradientLine gradient_line(bool batch_statistics, double sum, double product, double count, double inv_std,
                                  double weight) {
  const double scale = inv_std * weight;
  if (!batch_statistics) return {(float)scale, 0.0f, 0.0f};
  return {(float)scale, (float)(-scale * inv_std * inv_std * product / count), (float)(-scale * sum / count)};
}

// Channel by channel.

// Calls f(offset, vectors, live lanes, floats behind the vectors) for every run of channel c.
template <class F>
inline void for_runs(const ChannelShape& s, int64_t c, const F& f) {
  if (s.lanes == 1) {
    for (int64_t n = 0; n < s.batch; ++n)
      f((n * s.channels + c) * s.spatial, s.spatial / kLanes, (int64_t)kLanes, s.spatial % kLanes);
  } else {
    for (int64_t n = 0; n < s.batch; n += kLanes)
      f((n / kLanes * s.channels + c) * s.spatial * kLanes, s.spatial, min(kLanes, s.batch - n), (int64_t)0);
  }
}

// output = map(vector of each input), over one run.
template <class Map, class... In>
inline void map_run(int64_t vectors, int64_t tail, float* output, const Map& map, const In*... input) {
  for (int64_t i = 0; i < vectors; ++i) store(output + i * kLanes, map(load(input + i * kLanes)...));
  if (tail > 0) store_partial(output + vectors * kLanes, map(load_partial(input + vectors * kLanes, tail)...), tail);
}

Moments channel_moments(const ChannelShape& s, int64_t c, const float* input) {
  Moments all;
  for_runs(s, c, [&](int64_t offset, int64_t vectors, int64_t live, int64_t tail) {
    const float* x = input + offset;
    if (vectors > 0) all.add((double)vectors, lane_moments(vectors, [&](int64_t i) { return load(x + i * kLanes); }), live);
    for (int64_t i = vectors * kLanes; i < vectors * kLanes + tail; ++i) all.add(1, (double)x[i], 0);
  });
  return all;
}

void normalise_channel(const ChannelShape& s, int64_t c, const float* input, float mean, float scale, float shift,
                       float* output) {
  const Vec m = broadcast(mean), a = broadcast(scale), b = broadcast(shift);
  for_runs(s, c, [&](int64_t offset, int64_t vectors, int64_t, int64_t tail) {
    map_run(
        vectors, tail, output + offset, [&](Vec x) { return activated(s.activation, normalised(x, m, a, b)); }, input + offset);
  });
}

// Both sums of channel c, the second one of products with x - mean.
void channel_sums(const ChannelShape& s, int64_t c, const float* grad_output, const float* input, float mean, double* sum,
                  double* product) {
  *sum = *product = 0;
  for_runs(s, c, [&](int64_t offset, int64_t vectors, int64_t live, int64_t tail) {
    const float *g = grad_output + offset, *x = input + offset;
    const LaneSums lanes = lane_sums(
        vectors, broadcast(mean), [&](int64_t i) { return load(g + i * kLanes); },
        [&](int64_t i) { return load(x + i * kLanes); });
    for (int64_t i = 0; i < live; ++i) {
      *sum += (double)lanes.gradient[i];
      *product += (double)lanes.product[i];
    }
    for (int64_t i = vectors * kLanes; i < vectors * kLanes + tail; ++i) {
      *sum += (double)g[i];
      *product += (double)g[i] * ((double)x[i] - (double)mean);
    }
  });
}

// Counts a batch, and moves the running statistics towards its own.
struct Mover {
  const RunningStatistics<float>& running;
  double momentum, unbiased;  // running.momentum or 1 / batches; count / (count - 1)

  Mover(const RunningStatistics<float>& r, double count) : running(r), momentum(r.momentum), unbiased(count / (count - 1)) {
    if (r.batches != nullptr) ++*r.batches;
    if (r.cumulative) momentum = 1.0 / (double)*r.batches;
  }
  void move(int64_t c, double mean, double spread) const {
    const auto to = [this](float& kept, double seen) { kept = (float)((1 - momentum) * (double)kept + momentum * seen); };
    if (running.mean != nullptr) to(running.mean[c], mean);
    if (running.variance != nullptr) to(running.variance[c], unbiased * spread);
  }
};

// Strips of columns: the lanes hold channels.

// Vectors at a distance of `step` floats; a strip at the right edge is narrower.
struct Strip {
  int64_t step, width;
  template <class F>
  void visit(const F& f) const {
    if (width == kLanes) f([](const float* p) { return load(p); }, [](float* p, Vec v) { store(p, v); });
    else f([this](const float* p) { return load_partial(p, width); }, [this](float* p, Vec v) { store_partial(p, v, width); });
  }
};

template <class F>
inline void for_strips(const ChannelShape& s, double passes, const F& f) {
  parallel_for(ceil_div(s.channels, kLanes), passes * pass_cost((double)(s.batch * kLanes)),
               [&](int64_t unit) { f(unit * kLanes, Strip{s.channels, min(kLanes, s.channels - unit * kLanes)}); });
}

// The per-channel numbers of a strip; `absent` where there are none.
inline Vec strip_of(const float* values, const Strip& strip, int64_t c, float absent) {
  return values != nullptr ? load_partial(values + c, strip.width) : broadcast(absent);
}

void normalise_strip(const ChannelShape& s, const Strip& strip, int64_t c, const float* input, Vec mean, Vec inv_std,
                     const float* weight, const float* bias, float* output) {
  const Vec scale = inv_std * strip_of(weight, strip, c, 1), shift = strip_of(bias, strip, c, 0);
  strip.visit([&](const auto& get, const auto& put) {
    for (int64_t n = 0; n < s.batch; ++n)
      put(output + n * strip.step + c, activated(s.activation, normalised(get(input + n * strip.step + c), mean, scale, shift)));
  });
}

void train_strips(const ChannelShape& s, double eps, const float* input, const float* weight, const float* bias, float* output,
                  float* mean, float* inv_std, const Mover& mover) {
  for_strips(s, 3, [&](int64_t c, const Strip& strip) {
    LaneMoments moments;
    strip.visit([&](const auto& get, const auto&) {
      moments = lane_moments(s.batch, [&](int64_t n) { return get(input + n * strip.step + c); });
    });
    for (int64_t i = 0; i < strip.width; ++i) {
      const double spread = (double)moments.squares[i] / (double)s.batch;
      mean[c + i] = moments.mean[i];
      inv_std[c + i] = (float)inverse_deviation(spread, eps);
      mover.move(c + i, (double)moments.mean[i], spread);
    }
    normalise_strip(s, strip, c, input, moments.mean, strip_of(inv_std, strip, c, 1), weight, bias, output);
  });
}

void backward_strips(const ChannelShape& s, bool batch_statistics, const float* grad_output, const float* input,
                     const float* mean, const float* inv_std, const float* weight, float* grad_input, float* grad_weight,
                     float* grad_bias) {
  for_strips(s, 4, [&](int64_t c, const Strip& strip) {
    const Vec centre = strip_of(mean, strip, c, 0);
    LaneSums sums;
    strip.visit([&](const auto& get, const auto&) {
      sums = lane_sums(
          s.batch, centre, [&](int64_t n) { return get(grad_output + n * strip.step + c); },
          [&](int64_t n) { return get(input + n * strip.step + c); });
    });
    Vec scale{}, slope{}, offset{};
    for (int64_t i = 0; i < strip.width; ++i) {
      const double sum = (double)sums.gradient[i], product = (double)sums.product[i], unit = (double)inv_std[c + i];
      if (grad_weight != nullptr) grad_weight[c + i] = (float)(product * unit);
      if (grad_bias != nullptr) grad_bias[c + i] = (float)sum;
      const GradientLine line =
          gradient_line(batch_statistics, sum, product, (double)s.batch, unit, (double)at(weight, c + i, 1));
      scale[i] = line.scale;
      slope[i] = line.slope;
      offset[i] = line.offset;
    }
    if (grad_input == nullptr) return;
    strip.visit([&](const auto& get, const auto& put) {
      for (int64_t n = 0; n < s.batch; ++n) {
        const int64_t row = n * strip.step + c;
        put(grad_input + row, get(grad_output + row) * scale + ((get(input + row) - centre) * slope + offset));
      }
    });
  });
}

bool has_strips(const ChannelShape& s) { return s.lanes == 1 && s.spatial == 1; }

}  // namespace

void batch_norm_train(const Queue&, const ChannelShape& s, double eps, const float* input, const float* weight, const float* bias,
                      float* output, float* mean, float* inv_std, const RunningStatistics<float>& running) {
  const Mover mover(running, (double)s.count());
  if (has_strips(s)) return train_strips(s, eps, input, weight, bias, output, mean, inv_std, mover);
  parallel_for(s.channels, pass_cost(3.0 * (double)s.count()), [&](int64_t c) {
    const Moments moments = channel_moments(s, c, input);
    const double spread = moments.squares / moments.count, unit = inverse_deviation(spread, eps);
    mean[c] = (float)moments.mean;
    inv_std[c] = (float)unit;
    mover.move(c, moments.mean, spread);
    normalise_channel(s, c, input, mean[c], inv_std[c] * at(weight, c, 1), at(bias, c, 0), output);
  });
}

void batch_norm_apply(const Queue&, const ChannelShape& s, const float* input, const float* mean, const float* inv_std,
                      const float* weight, const float* bias, float* output) {
  if (has_strips(s)) {
    for_strips(s, 2, [&](int64_t c, const Strip& strip) {
      normalise_strip(s, strip, c, input, strip_of(mean, strip, c, 0), strip_of(inv_std, strip, c, 1), weight, bias, output);
    });
    return;
  }
  parallel_for(s.channels, pass_cost(2.0 * (double)s.count()), [&](int64_t c) {
    normalise_channel(s, c, input, mean[c], inv_std[c] * at(weight, c, 1), at(bias, c, 0), output);
  });
}

void batch_norm_backward(const Queue&, const ChannelShape& s, bool batch_statistics, const float* grad_output, const float* input,
                         const float* mean, const float* inv_std, const float* weight, float* grad_input, float* grad_weight,
                         float* grad_bias) {
  if (has_strips(s))
    return backward_strips(s, batch_statistics, grad_output, input, mean, inv_std, weight, grad_input, grad_weight, grad_bias);
  const bool sums_wanted = batch_statistics || grad_weight != nullptr || grad_bias != nullptr;
  parallel_for(s.channels, pass_cost(5.0 * (double)s.count()), [&](int64_t c) {
    double sum = 0, product = 0;
    if (sums_wanted) channel_sums(s, c, grad_output, input, mean[c], &sum, &product);
    if (grad_weight != nullptr) grad_weight[c] = (float)(product * (double)inv_std[c]);
    if (grad_bias != nullptr) grad_bias[c] = (float)sum;
    if (grad_input == nullptr) return;
    const GradientLine line =
        gradient_line(batch_statistics, sum, product, (double)s.count(), (double)inv_std[c], (double)at(weight, c, 1));
    const Vec scale = broadcast(line.scale), slope = broadcast(line.slope), shift = broadcast(line.offset);
    const Vec centre = broadcast(mean[c]);
    for_runs(s, c, [&](int64_t offset, int64_t vectors, int64_t, int64_t tail) {
      if (batch_statistics)
        map_run(
            vectors, tail, grad_input + offset, [&](Vec g, Vec x) { return g * scale + ((x - centre) * slope + shift); },
            grad_output + offset, input + offset);
      else map_run(vectors, tail, grad_input + offset, [&](Vec g) { return g * scale; }, grad_output + offset);
    });
  });
}

void batch_norm_inv_std(const Queue&, int64_t channels, double eps, const float* variance, float* inv_std) {
  for (int64_t c = 0; c < channels; ++c) inv_std[c] = (float)(1 / sqrt(variance[c] + eps));
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
