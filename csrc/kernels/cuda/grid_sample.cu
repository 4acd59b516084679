// Images read at the places that a grid says, and the gradients of both.
//
// Samples: a thread for each, that of a place beside its neighbour's, so that writes are whole lines and what neighbours read
// comes from L1. The grid's gradient: a thread for each place, over all channels. The input's: what places read becomes a list of
// pixels, of which chain() (sort.cu) finds equal ones, and the thread of a list's head adds that list for one channel in order:
// the bits are always the same, but where many places read one pixel it takes long.
//
// Bytes: the grid once (and by each channel from L2), the pixels read, the result.
#include "kernels/grid_sample.h"

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/scratch.h"

namespace cnnx::cuda {
namespace {

// What place `place` of all reads.
template <class T>
struct Place {
  GridTaps<T> x, y;
  const T* along;
  int taps;
  __device__ Place(const GridSampleShape& s, const T* grid, const T* directions, int64_t place)
      : along(directions == nullptr ? nullptr : directions + 2 * place), taps(grid_taps(s.mode)) {
    find_grid_taps(s, s.in_width, grid[2 * place], x);
    find_grid_taps(s, s.in_height, grid[2 * place + 1], y);
  }
  // Calls f(number, offset in a plane or -1, weight) for all its pixels.
  template <class F>
  __device__ void each(int64_t width, const F& f) const {
    for (int j = 0; j < taps; ++j)
      for (int i = 0; i < taps; ++i)
        f(j * taps + i, y.at[j] >= 0 && x.at[i] >= 0 ? y.at[j] * width + x.at[i] : -1, grid_weight(x, i, y, j, along));
  }
};

template <class T>
__global__ void grid_sample_kernel(GridSampleShape s, int64_t count, const T* input, const T* grid, const T* along, T* output) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t places = s.out_height * s.out_width, plane = i / places;
  const Place<T> place(s, grid, along, plane / s.channels * places + i % places);
  const T* from = input + plane * s.in_height * s.in_width;
  T sum = 0;
  place.each(s.in_width, [&](int, int64_t offset, const GridWeight<T>& weight) {
    if (offset >= 0) sum += weight.value * from[offset];
  });
  output[i] = sum;
}

template <class T>
__global__ void grid_gradient_kernel(GridSampleShape s, int64_t count, const T* grad_output, const T* input, const T* grid,
                                     const T* along, T* grad_grid) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t places = s.out_height * s.out_width, first = i / places * s.channels;
  const Place<T> place(s, grid, along, i);
  T by_x = 0, by_y = 0;
  for (int64_t c = first; c < first + s.channels; ++c) {
    const T* from = input + c * s.in_height * s.in_width;
    T x = 0, y = 0;
    place.each(s.in_width, [&](int, int64_t offset, const GridWeight<T>& weight) {
      if (offset < 0) return;
      x += weight.by_x * from[offset];
      y += weight.by_y * from[offset];
    });
    const T grad = grad_output[c * places + i % places];
    by_x += x * grad;
    by_y += y * grad;
  }
  grad_grid[2 * i] = by_x;
  grad_grid[2 * i + 1] = by_y;
}

// For each place and pixel that it reads: which of all images' pixels, -1 outside, and its weight.
template <class T>
__global__ void reads_kernel(GridSampleShape s, int64_t count, const T* grid, const T* along, int64_t* pixel, T* weight) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const Place<T> place(s, grid, along, i);
  const int64_t first = i * place.taps * place.taps, image = i / (s.out_height * s.out_width) * s.in_height * s.in_width;
  place.each(s.in_width, [&](int number, int64_t offset, const GridWeight<T>& found) {
    pixel[first + number] = offset < 0 ? -1 : image + offset;
    weight[first + number] = found.value;
  });
}

template <class T>
__global__ void add_reads_kernel(GridSampleShape s, int64_t reads, const int64_t* pixel, const T* weight, const int64_t* next,
                                 const bool* first, const T* grad_output, T* grad_input) {
  const int64_t i = thread_index();
  if (i >= reads * s.channels) return;
  const int64_t read = i % reads, c = i / reads;
  if (!first[read] || pixel[read] < 0) return;
  const int64_t places = s.out_height * s.out_width, pixels = s.in_height * s.in_width, image = pixel[read] / pixels;
  const int taps = grid_taps(s.mode) * grid_taps(s.mode);
  const T* from = grad_output + (image * s.channels + c) * places;
  T sum = 0;
  for (int64_t k = read; k >= 0; k = next[k]) sum += weight[k] * from[k / taps - image * places];
  grad_input[(image * s.channels + c) * pixels + pixel[read] - image * pixels] = sum;
}

}  // namespace

template <class T>
void grid_sample(const Queue& queue, const GridSampleShape& s, const T* input, const T* grid, const T* along, T* output) {
  const int64_t count = s.batch * s.channels * s.out_height * s.out_width;
  launch("grid_sample", grid_sample_kernel<T>, blocks_for(count), kThreads, 0, queue, s, count, input, grid, along, output);
}

template <class T>
void grid_sample_backward_input(const Queue& queue, const GridSampleShape& s, const T* grad_output, const T* grid, const T* along,
                                T* grad_input) {
  const char* op = "grid_sample_backward_input";
  const T zero = 0;
  fill(queue, dtype_of<T>(), s.batch * s.channels * s.in_height * s.in_width, &zero, grad_input);
  const int64_t places = s.batch * s.out_height * s.out_width, reads = places * grid_taps(s.mode) * grid_taps(s.mode);
  if (reads * s.channels == 0) return;
  const Scratch<int64_t> pixel(queue, reads), next(queue, reads);
  const Scratch<T> weight(queue, reads);
  const Scratch<bool> first(queue, reads);
  launch(op, reads_kernel<T>, blocks_for(places), kThreads, 0, queue, s, places, grid, along, pixel.data(), weight.data());
  chain(queue, op, reads, pixel.data(), next.data(), first.data());
  launch(op, add_reads_kernel<T>, blocks_for(reads * s.channels), kThreads, 0, queue, s, reads, pixel.data(), weight.data(),
         next.data(), first.data(), grad_output, grad_input);
}

template <class T>
void grid_sample_backward_grid(const Queue& queue, const GridSampleShape& s, const T* grad_output, const T* input, const T* grid,
                               const T* along, T* grad_grid) {
  const int64_t count = s.batch * s.out_height * s.out_width;
  launch("grid_sample_backward_grid", grid_gradient_kernel<T>, blocks_for(count), kThreads, 0, queue, s, count, grad_output,
         input, grid, along, grad_grid);
}

CNNX_INSTANTIATE(grid_sample, grid_sample_backward_input, grid_sample_backward_grid)

}  // namespace cnnx::cuda
