// Planes read through tables of rows and columns: padding of any kind, and the windows of unfold; with the adjoint, which adds.
//   output[p][ky][kx][y][x] = input[p][rows[ky][y]][columns[kx][x]], or value where either is -1
#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

// Calls f(input index, output index) for every element; the input index is -1 for what lies outside.
template <class F>
void for_elements(const PlaneMap& s, const F& f) {
  const int64_t in_plane = s.in_height * s.in_width * s.lanes;
  const int64_t out_plane = s.row_taps * s.column_taps * s.out_height * s.out_width * s.lanes;
  parallel_for(s.planes, static_cast<double>(out_plane), [&](int64_t plane) {
    int64_t at = plane * out_plane;
    for (int64_t ky = 0; ky < s.row_taps; ++ky)
      for (int64_t kx = 0; kx < s.column_taps; ++kx)
        for (int64_t y = 0; y < s.out_height; ++y)
          for (int64_t x = 0; x < s.out_width; ++x) {
            const int64_t row = s.rows[ky * s.out_height + y], column = s.columns[kx * s.out_width + x];
            const int64_t from = row < 0 || column < 0 ? -1 : plane * in_plane + (row * s.in_width + column) * s.lanes;
            for (int64_t lane = 0; lane < s.lanes; ++lane, ++at) f(from < 0 ? -1 : from + lane, at);
          }
  });
}

}  // namespace

template <class T>
void gather_planes(const Queue&, const PlaneMap& s, const T* input, T value, T* output) {
  for_elements(s, [&](int64_t from, int64_t to) { output[to] = from < 0 ? value : input[from]; });
}

template <class T>
void scatter_planes(const Queue&, const PlaneMap& s, const T* grad_output, T* grad_input) {
  const int64_t count = s.planes * s.in_height * s.in_width * s.lanes;
  for (int64_t i = 0; i < count; ++i) grad_input[i] = 0;
  for_elements(s, [&](int64_t from, int64_t to) {
    if (from >= 0) grad_input[from] += grad_output[to];
  });
}

CNNX_INSTANTIATE(gather_planes, scatter_planes)

}  // namespace cnnx::reference
