// Planes whose outputs are weighted sums over a few rows and columns: resizing, and its adjoint.
//   output[p][y][x] = sum over the taps of row y and those of column x of weight[row] * weight[column] * input[p][row][column]
#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

// Calls f(input, weight) for the taps of output i.
template <class T, class F>
void for_taps(const AxisTaps<T>& axis, int64_t i, const F& f) {
  if (axis.first == nullptr) return f(i, 1.0);
  for (int32_t k = 0; k < axis.count(i); ++k) f(axis.first[i] + k, static_cast<double>(axis.weights[axis.begin[i] + k]));
}

}  // namespace

template <class T>
void resample_planes(const Queue&, const Resampling<T>& s, const T* input, T* output) {
  const int64_t in_plane = s.in_height * s.in_width * s.lanes, out_plane = s.out_height * s.out_width * s.lanes;
  parallel_for(s.planes, static_cast<double>(4 * out_plane), [&](int64_t plane) {
    const T* from = input + plane * in_plane;
    T* to = output + plane * out_plane;
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x)
        for (int64_t lane = 0; lane < s.lanes; ++lane) {
          double sum = 0;
          for_taps(s.rows, y, [&](int64_t row, double row_weight) {
            double line = 0;
            for_taps(s.columns, x, [&](int64_t column, double weight) {
              line += weight * static_cast<double>(from[(row * s.in_width + column) * s.lanes + lane]);
            });
            sum += row_weight * line;
          });
          *to++ = static_cast<T>(sum);
        }
  });
}

CNNX_INSTANTIATE(resample_planes)

}  // namespace cnnx::reference
