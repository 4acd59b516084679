// Images read at the places that a grid says, and the gradients of both.
//
//   input [batch][channels][in_height][in_width]   grid [batch][out_height][out_width][2]   output [batch][channels][out places]
//
// Places are worked on in runs: first which pixels they read and how much of them, then channel by channel in loops over the run.
// The input's gradient is added up plane by plane, in the order of places.
#include "kernels/grid_sample.h"

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/tile.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int kRun = 64;        // places
constexpr int64_t kGroup = 16;  // channels of an image whose gradient a unit adds up
constexpr int kMost = kMostGridTaps * kMostGridTaps;

// What the places of a run read: pixel k of place i.
struct Reads {
  alignas(64) int32_t at[kMost][kRun];      // offset in a plane; 0 outside
  alignas(64) int32_t inside[kMost][kRun];  // 0 or -1
  alignas(64) float weight[kMost][kRun], by_x[kMost][kRun], by_y[kMost][kRun];
};

// The run of `count` places from number `first` of all on; how many pixels each reads.
int find_reads(const GridSampleShape& s, const float* grid, const float* along, int64_t first, int count, Reads& reads) {
  const int taps = grid_taps(s.mode);
  for (int p = 0; p < count; ++p) {
    GridTaps<float> x, y;
    const int64_t number = 2 * (first + p);
    find_grid_taps(s, s.in_width, grid[number], x);
    find_grid_taps(s, s.in_height, grid[number + 1], y);
    for (int j = 0, k = 0; j < taps; ++j)
      for (int i = 0; i < taps; ++i, ++k) {
        const bool inside = y.at[j] >= 0 && x.at[i] >= 0;
        reads.at[k][p] = inside ? static_cast<int32_t>(y.at[j] * s.in_width) + x.at[i] : 0;
        reads.inside[k][p] = inside ? -1 : 0;
        const GridWeight<float> weight = grid_weight(x, i, y, j, along == nullptr ? nullptr : along + number);
        reads.weight[k][p] = weight.value;
        reads.by_x[k][p] = weight.by_x;
        reads.by_y[k][p] = weight.by_y;
      }
  }
  return taps * taps;
}

struct Sizes {
  int64_t in_plane, out_plane, runs;  // runs of an image
  double read_cost;                   // of a place of one channel
  explicit Sizes(const GridSampleShape& s)
      : in_plane(s.in_height * s.in_width),
        out_plane(s.out_height * s.out_width),
        runs(ceil_div(out_plane, kRun)),
        read_cost(grid_taps(s.mode) * grid_taps(s.mode)) {}
};

// Calls f(image, first place, number of places) for all runs.
template <class F>
void for_runs(const GridSampleShape& s, const Sizes& z, const F& f) {
  parallel_for(s.batch * z.runs, kRun * z.read_cost * static_cast<double>(s.channels + 8), [&](int64_t unit) {
    const int64_t begin = unit % z.runs * kRun;
    f(unit / z.runs, begin, static_cast<int>(min(kRun, z.out_plane - begin)));
  });
}

}  // namespace

void grid_sample(const Queue&, const GridSampleShape& s, const float* input, const float* grid, const float* along,
                 float* output) {
  const Sizes z(s);
  for_runs(s, z, [&](int64_t n, int64_t begin, int count) {
    Reads reads;
    const int taps = find_reads(s, grid, along, n * z.out_plane + begin, count, reads);
    for (int64_t c = n * s.channels; c < (n + 1) * s.channels; ++c) {
      const float* from = input + c * z.in_plane;
      float* to = output + c * z.out_plane + begin;
      for (int p = 0; p < count; ++p) to[p] = 0;
      for (int k = 0; k < taps; ++k)
        for (int p = 0; p < count; ++p) {
          const float value = from[reads.at[k][p]];
          to[p] += reads.weight[k][p] * (reads.inside[k][p] != 0 ? value : 0.0f);
        }
    }
  });
}

void grid_sample_backward_input(const Queue&, const GridSampleShape& s, const float* grad_output, const float* grid,
                                const float* along, float* grad_input) {
  const Sizes z(s);
  const int64_t groups = ceil_div(s.channels, kGroup);
  parallel_for(s.batch * groups, static_cast<double>(kGroup * z.out_plane) * z.read_cost, [&](int64_t unit) {
    const int64_t n = unit / groups, first = n * s.channels + unit % groups * kGroup;
    const int64_t end = min(first + kGroup, (n + 1) * s.channels);
    memset(grad_input + first * z.in_plane, 0, static_cast<size_t>((end - first) * z.in_plane) * sizeof(float));
    Reads reads;
    for (int64_t begin = 0; begin < z.out_plane; begin += kRun) {
      const int count = static_cast<int>(min(kRun, z.out_plane - begin));
      const int taps = find_reads(s, grid, along, n * z.out_plane + begin, count, reads);
      for (int64_t c = first; c < end; ++c) {
        const float* from = grad_output + c * z.out_plane + begin;
        float* to = grad_input + c * z.in_plane;
        for (int p = 0; p < count; ++p)
          for (int k = 0; k < taps; ++k)
            if (reads.inside[k][p] != 0) to[reads.at[k][p]] += reads.weight[k][p] * from[p];
      }
    }
  });
}

void grid_sample_backward_grid(const Queue&, const GridSampleShape& s, const float* grad_output, const float* input,
                               const float* grid, const float* along, float* grad_grid) {
  const Sizes z(s);
  for_runs(s, z, [&](int64_t n, int64_t begin, int count) {
    Reads reads;
    const int taps = find_reads(s, grid, along, n * z.out_plane + begin, count, reads);
    alignas(64) float by_x[kRun] = {}, by_y[kRun] = {};
    for (int64_t c = n * s.channels; c < (n + 1) * s.channels; ++c) {
      const float *from = input + c * z.in_plane, *grad = grad_output + c * z.out_plane + begin;
      for (int k = 0; k < taps; ++k)
        for (int p = 0; p < count; ++p) {
          const float value = from[reads.at[k][p]];
          const float product = grad[p] * (reads.inside[k][p] != 0 ? value : 0.0f);
          by_x[p] += reads.by_x[k][p] * product;
          by_y[p] += reads.by_y[k][p] * product;
        }
    }
    float* to = grad_grid + 2 * (n * z.out_plane + begin);
    for (int p = 0; p < count; ++p) {
      to[2 * p] = by_x[p];
      to[2 * p + 1] = by_y[p];
    }
  });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
