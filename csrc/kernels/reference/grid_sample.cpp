// Images read at the places that a grid says, and the gradients of both: all by the taps of each place.
#include "kernels/grid_sample.h"

#include <algorithm>
#include <vector>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

// Calls f(place, input offset in a plane, weight) for what the places of an image read.
template <class T, class F>
void for_reads(const GridSampleShape& s, int64_t image, const T* grid, const T* along, const F& f) {
  const int taps = grid_taps(s.mode);
  const int64_t places = s.out_height * s.out_width;
  GridTaps<double> x, y;
  for (int64_t p = 0; p < places; ++p) {
    const T* const at = grid + 2 * (image * places + p);
    const T* const way = along == nullptr ? at : along + 2 * (image * places + p);
    const double direction[2] = {static_cast<double>(way[0]), static_cast<double>(way[1])};
    find_grid_taps<double>(s, s.in_width, static_cast<double>(at[0]), x);
    find_grid_taps<double>(s, s.in_height, static_cast<double>(at[1]), y);
    for (int j = 0; j < taps; ++j)
      for (int i = 0; i < taps; ++i)
        if (y.at[j] >= 0 && x.at[i] >= 0)
          f(p, y.at[j] * s.in_width + x.at[i], grid_weight(x, i, y, j, along == nullptr ? nullptr : direction));
  }
}

// Calls f(image) for all of them.
template <class F>
void for_images(const GridSampleShape& s, const F& f) {
  parallel_for(s.batch, static_cast<double>(8 * s.channels * s.out_height * s.out_width), f);
}

}  // namespace

template <class T>
void grid_sample(const Queue& queue, const GridSampleShape& s, const T* input, const T* grid, const T* along, T* output) {
  const int64_t in_plane = s.in_height * s.in_width, out_plane = s.out_height * s.out_width;
  for_images(s, [&](int64_t n) {
    double* const sums = static_cast<double*>(queue.scratch(0, static_cast<size_t>(out_plane) * sizeof(double)));
    for (int64_t c = n * s.channels; c < (n + 1) * s.channels; ++c) {
      std::fill_n(sums, out_plane, 0.0);
      for_reads(s, n, grid, along, [&](int64_t p, int64_t at, const GridWeight<double>& weight) {
        sums[p] += weight.value * static_cast<double>(input[c * in_plane + at]);
      });
      for (int64_t p = 0; p < out_plane; ++p) output[c * out_plane + p] = static_cast<T>(sums[p]);
    }
  });
}

template <class T>
void grid_sample_backward_input(const Queue&, const GridSampleShape& s, const T* grad_output, const T* grid, const T* along,
                                T* grad_input) {
  const int64_t in_plane = s.in_height * s.in_width, out_plane = s.out_height * s.out_width;
  for_images(s, [&](int64_t n) {
    for (int64_t c = n * s.channels; c < (n + 1) * s.channels; ++c) {
      std::vector<double> sums(static_cast<size_t>(in_plane));
      for_reads(s, n, grid, along, [&](int64_t p, int64_t at, const GridWeight<double>& weight) {
        sums[static_cast<size_t>(at)] += weight.value * static_cast<double>(grad_output[c * out_plane + p]);
      });
      for (int64_t at = 0; at < in_plane; ++at) grad_input[c * in_plane + at] = static_cast<T>(sums[static_cast<size_t>(at)]);
    }
  });
}

template <class T>
void grid_sample_backward_grid(const Queue&, const GridSampleShape& s, const T* grad_output, const T* input, const T* grid,
                               const T* along, T* grad_grid) {
  const int64_t in_plane = s.in_height * s.in_width, out_plane = s.out_height * s.out_width;
  for_images(s, [&](int64_t n) {
    std::vector<double> sums(static_cast<size_t>(2 * out_plane));
    for (int64_t c = n * s.channels; c < (n + 1) * s.channels; ++c)
      for_reads(s, n, grid, along, [&](int64_t p, int64_t at, const GridWeight<double>& weight) {
        const double product =
            static_cast<double>(grad_output[c * out_plane + p]) * static_cast<double>(input[c * in_plane + at]);
        sums[static_cast<size_t>(2 * p)] += weight.by_x * product;
        sums[static_cast<size_t>(2 * p + 1)] += weight.by_y * product;
      });
    for (int64_t i = 0; i < 2 * out_plane; ++i) grad_grid[2 * n * out_plane + i] = static_cast<T>(sums[static_cast<size_t>(i)]);
  });
}

CNNX_INSTANTIATE(grid_sample, grid_sample_backward_input, grid_sample_backward_grid)

}  // namespace cnnx::reference
