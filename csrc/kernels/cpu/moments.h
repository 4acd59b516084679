// Means, variances and the sums of a normalisation's gradient, lane by lane.
//
// Moments are kept per lane, chunk by chunk. Deviations are from the mean of what came before: a large mean costs no accuracy,
// and neither does a mean that moves, because no chunk is longer than what came before it, so that the move itself is part of the
// variance. Lanes meet only at the end of a run, in double and in a fixed order; dead ones are left out there.
#pragma once

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/tile.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// Nanoseconds that one thread takes for a pass over so many floats.
inline double pass_cost(double floats) { return 0.1 * floats; }

constexpr int64_t kChunk = 128;  // vectors

// The sums of deviation(i) and of its square for i < n, in four chains each.
struct DeviationSums {
  Vec first{}, second{};
};
template <class Deviation>
inline DeviationSums deviation_sums(int64_t n, const Deviation& deviation) {
  constexpr int kChains = 4;
  Vec first[kChains] = {}, second[kChains] = {};
  const auto add = [&](int chain, int64_t i) {
    const Vec d = deviation(i);
    first[chain] += d;
    second[chain] += d * d;
  };
  int64_t i = 0;
  for (; i + kChains <= n; i += kChains) unroll<kChains>([&](auto chain) { add(chain, i + chain); });
  for (; i < n; ++i) add(0, i);
  return {(first[0] + first[1]) + (first[2] + first[3]), (second[0] + second[1]) + (second[2] + second[3])};
}

// Mean and sum of squared deviations, lane by lane.
struct LaneMoments {
  Vec mean{}, squares{};
};

// Of the vectors value(0), ..., value(n - 1), n > 0.
template <class Value>
inline LaneMoments lane_moments(int64_t n, const Value& value) {
  LaneMoments all{value(0), Vec{}};
  for (int64_t begin = 1, count; begin < n; begin += count) {
    count = min(min(kChunk, begin), n - begin);
    const DeviationSums sums = deviation_sums(count, [&](int64_t i) { return value(begin + i) - all.mean; });
    const Vec step = sums.first * broadcast(1.0f / (float)(begin + count));
    all.mean += step;
    all.squares += sums.second - sums.first * step;
  }
  return all;
}

// The same of a whole channel.
struct Moments {
  double count = 0, mean = 0, squares = 0;

  void add(double n, double other_mean, double other_squares) {
    const double total = count + n, step = other_mean - mean;
    mean += step * (n / total);
    squares += other_squares + step * step * (count * n / total);
    count = total;
  }
  // The first `live` lanes of moments of n vectors.
  void add(double n, const LaneMoments& lanes, int64_t live) {
    double sum = 0, squared = 0;
    for (int64_t i = 0; i < live; ++i) sum += (double)lanes.mean[i];
    const double average = sum / (double)live;
    for (int64_t i = 0; i < live; ++i) {
      const double step = (double)lanes.mean[i] - average;
      squared += (double)lanes.squares[i] + n * step * step;
    }
    add(n * (double)live, average, squared);
  }
};

// What a gradient sums: the gradients, and their products with x - mean.
struct LaneSums {
  Vec gradient{}, product{};
};
template <class Gradient, class Value>
inline LaneSums lane_sums(int64_t n, Vec mean, const Gradient& gradient, const Value& value) {
  LaneSums all;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t count = min(kChunk, n - begin);
    Vec sum[2] = {}, product[2] = {};
    int64_t i = begin;
    for (; i + 2 <= begin + count; i += 2) {
      const Vec g0 = gradient(i), g1 = gradient(i + 1);
      sum[0] += g0;
      sum[1] += g1;
      product[0] += g0 * (value(i) - mean);
      product[1] += g1 * (value(i + 1) - mean);
    }
    if (i < begin + count) {
      const Vec g = gradient(i);
      sum[0] += g;
      product[0] += g * (value(i) - mean);
    }
    all.gradient += sum[0] + sum[1];
    all.product += product[0] + product[1];
  }
  return all;
}

inline double inverse_deviation(double variance, double eps) { return 1 / sqrt(variance + eps); }
inline float at(const float* values, int64_t i, float absent) { return values != nullptr ? values[i] : absent; }

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
