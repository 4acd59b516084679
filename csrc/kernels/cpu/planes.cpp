// Planes read through tables of rows and columns: padding of any kind, and the windows of unfold; with the adjoint, which adds.
//
//   input [planes][in_height][in_width][lanes]   output [planes][row_taps][column_taps][out_height][out_width][lanes]
//
// The table of columns is cut into evenly spaced runs once, so that a row is a few copies (or sums) whatever the kind of padding:
// of contiguous floats for neighbours, of one pixel after the other for a mirror or a stride. In lanes a pixel is a vector.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/tile.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

struct Run {
  int64_t column, count, step;  // input columns column, column + step, ...; column -1: outside
};

// The runs of each column tap, as many entries as there are columns; runs of a tap end where their counts add up to out_width.
const Run* find_runs(const Queue& queue, const PlaneMap& s) {
  Run* runs = static_cast<Run*>(queue.scratch(0, static_cast<size_t>(max(s.column_taps * s.out_width, 1)) * sizeof(Run)));
  for (int64_t kx = 0; kx < s.column_taps; ++kx) {
    const int64_t* columns = s.columns + kx * s.out_width;
    Run* run = runs + kx * s.out_width;
    for (int64_t x = 0; x < s.out_width; ++run) {
      const bool outside = columns[x] < 0, alone = x + 1 == s.out_width || (columns[x + 1] < 0) != outside;
      *run = {columns[x], 1, alone ? 1 : columns[x + 1] - columns[x]};
      for (++x; x < s.out_width && columns[x] == columns[x - 1] + run->step && (columns[x] < 0) == outside; ++x) ++run->count;
    }
  }
  return runs;
}

inline void fill_with(float* to, float value, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = value;
}

// Calls pixel(input pixel, output pixel) for the pixels of a run that begins at output pixel x.
template <class F>
inline void for_pixels(const Run& run, int64_t x, const F& pixel) {
  for (int64_t i = 0; i < run.count; ++i) pixel(run.column + i * run.step, x + i);
}

inline void copy_to(float* to, const float* from, int64_t count) { memcpy(to, from, static_cast<size_t>(count) * sizeof(float)); }

inline void add_to(float* to, const float* from, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(to + i) + load(from + i));
  for (; i < count; ++i) to[i] += from[i];
}

}  // namespace

void gather_planes(const Queue& queue, const PlaneMap& s, const float* input, float value, float* output) {
  const Run* runs = find_runs(queue, s);
  const int64_t taps = s.row_taps * s.column_taps, in_plane = s.in_height * s.in_width * s.lanes;
  const int64_t out_row = s.out_width * s.lanes, out_plane = s.out_height * out_row;
  parallel_for(s.planes * taps, static_cast<double>(out_plane) / 4, [&](int64_t unit) {
    const int64_t ky = unit % taps / s.column_taps, kx = unit % s.column_taps;
    const float* from = input + unit / taps * in_plane;
    float* to = output + unit * out_plane;
    for (int64_t y = 0; y < s.out_height; ++y, to += out_row) {
      const int64_t row = s.rows[ky * s.out_height + y];
      if (row < 0) {
        fill_with(to, value, out_row);
        continue;
      }
      const Run* run = runs + kx * s.out_width;
      for (int64_t x = 0; x < s.out_width; x += run++->count) {
        const float* in_row = from + row * s.in_width * s.lanes;
        if (run->column < 0) fill_with(to + x * s.lanes, value, run->count * s.lanes);
        else if (run->step == 1) copy_to(to + x * s.lanes, in_row + run->column * s.lanes, run->count * s.lanes);
        else if (s.lanes == 1) for_pixels(*run, x, [&](int64_t in, int64_t out) { to[out] = in_row[in]; });
        else for_pixels(*run, x, [&](int64_t in, int64_t out) { copy_to(to + out * s.lanes, in_row + in * s.lanes, s.lanes); });
      }
    }
  });
}

void scatter_planes(const Queue& queue, const PlaneMap& s, const float* grad_output, float* grad_input) {
  const Run* runs = find_runs(queue, s);
  const int64_t taps = s.row_taps * s.column_taps, in_plane = s.in_height * s.in_width * s.lanes;
  const int64_t out_row = s.out_width * s.lanes, out_plane = s.out_height * out_row;
  parallel_for(s.planes, static_cast<double>(in_plane + taps * out_plane) / 4, [&](int64_t plane) {
    float* to = grad_input + plane * in_plane;
    memset(to, 0, static_cast<size_t>(in_plane) * sizeof(float));
    const float* from = grad_output + plane * taps * out_plane;
    for (int64_t ky = 0; ky < s.row_taps; ++ky)
      for (int64_t kx = 0; kx < s.column_taps; ++kx)
        for (int64_t y = 0; y < s.out_height; ++y, from += out_row) {
          const int64_t row = s.rows[ky * s.out_height + y];
          if (row < 0) continue;
          const Run* run = runs + kx * s.out_width;
          float* in_row = to + row * s.in_width * s.lanes;
          for (int64_t x = 0; x < s.out_width; x += run++->count) {
            if (run->column < 0) continue;
            if (run->step == 1) add_to(in_row + run->column * s.lanes, from + x * s.lanes, run->count * s.lanes);
            else if (s.lanes == 1) for_pixels(*run, x, [&](int64_t in, int64_t out) { in_row[in] += from[out]; });
            else
              for_pixels(*run, x, [&](int64_t in, int64_t out) { add_to(in_row + in * s.lanes, from + out * s.lanes, s.lanes); });
          }
        }
  });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
