// Planes whose outputs are weighted sums over a few rows and columns: resizing, and its adjoint, which is another such table, so
// nothing is added to memory and the bits are always the same.
//
//   output[p][y][x] = sum over the taps of row y and those of column x of weight[row] * weight[column] * input[p][row][column]
//
// A thread an output; taps that outputs side by side share come from L1. Where both axes have many taps (a picture made much
// smaller), columns first, into scratch memory, then rows.
//
// Bytes: the input once, the output once. Bound by memory up to some 4 x 4 taps.
#include <cstring>

#include "kernels/cuda/plane_tables.h"

namespace cnnx::cuda {
namespace {

constexpr double kManyTaps = 32;  // of an output, on average: more in two steps

// Where the entries of an axis begin: first[extent], begin[extent + 1], weights in words. -1: the axis stays as it is.
struct Axis {
  int at, extent;
};

__device__ inline void read_weight(const int32_t* words, int k, float& weight) { weight = __int_as_float(words[k]); }
__device__ inline void read_weight(const int32_t* words, int k, double& weight) {
  weight = __hiloint2double(words[2 * k + 1], words[2 * k]);
}

// Calls f(input, weight) for the taps of output i.
template <class T, class F>
__device__ void for_taps(const Axis& axis, const int32_t* entries, int i, const F& f) {
  if (axis.at < 0) return f(i, T(1));
  const int32_t *const first = entries + axis.at, *const begin = first + axis.extent, *const words = begin + axis.extent + 1;
  for (int k = begin[i]; k < begin[i + 1]; ++k) {
    T weight;
    read_weight(words, k, weight);
    f(first[i] + k - begin[i], weight);
  }
}

template <class T>
__global__ void __launch_bounds__(kPlaneThreads) resample(Tables tables, Divider width, Divider height, Axis rows, Axis columns,
                                                          int count, int in_width, int in_plane, const T* input, T* output) {
  for_elements(tables, count, [&](const int32_t* entries, int at) {
    int x = at, y = width.split(x);
    const T* const from = input + static_cast<int64_t>(height.split(y)) * in_plane;
    T sum = 0;
    for_taps<T>(rows, entries, y, [&](int row, T row_weight) {
      T line = 0;
      for_taps<T>(columns, entries, x, [&](int column, T weight) { line += weight * from[row * in_width + column]; });
      sum += row_weight * line;
    });
    output[at] = sum;
  });
}

// Appends the entries of an axis.
template <class T>
Axis append(const char* op, std::vector<int32_t>& entries, const AxisTaps<T>& axis, int64_t extent) {
  if (axis.first == nullptr) return {-1, 0};
  const Axis added{to_index(op, static_cast<int64_t>(entries.size())), to_index(op, extent)};
  entries.insert(entries.end(), axis.first, axis.first + extent);
  entries.insert(entries.end(), axis.begin, axis.begin + extent + 1);
  const size_t at = entries.size(), taps = static_cast<size_t>(axis.begin[extent]);
  entries.resize(at + taps * (sizeof(T) / sizeof(int32_t)));
  std::memcpy(entries.data() + at, axis.weights, taps * sizeof(T));
  return added;
}

// On average for an output.
template <class T>
double taps_of(const AxisTaps<T>& axis, int64_t extent) {
  return axis.first == nullptr ? 1 : static_cast<double>(axis.begin[extent]) / static_cast<double>(std::max<int64_t>(extent, 1));
}

}  // namespace

template <class T>
void resample_planes(const Queue& queue, const Resampling<T>& s, const T* input, T* output) {
  const char* op = "resample_planes";
  const int64_t in_plane = s.in_height * s.in_width, out_plane = s.out_height * s.out_width;
  if (s.planes == 0 || out_plane == 0) return;
  if (s.rows.first != nullptr && s.columns.first != nullptr &&
      taps_of(s.rows, s.out_height) * taps_of(s.columns, s.out_width) > kManyTaps) {
    const Scratch<T> between(queue, s.planes * s.in_height * s.out_width);
    resample_planes<T>(queue, {s.planes, s.in_height, s.in_width, s.in_height, s.out_width, {}, s.columns, 1}, input,
                       between.data());
    resample_planes<T>(queue, {s.planes, s.in_height, s.out_width, s.out_height, s.out_width, s.rows, {}, 1}, between.data(),
                       output);
    return;
  }
  std::vector<int32_t> entries;
  const Axis rows = append(op, entries, s.rows, s.out_height), columns = append(op, entries, s.columns, s.out_width);
  const TableStore store(queue, op, entries, 0);
  for_planes(op, s.planes, out_plane, in_plane, [&](int64_t first, int planes, dim3 blocks) {
    launch(op, resample<T>, fewer(blocks), dim3(kPlaneThreads), 0, queue, store.tables(), Divider(s.out_width),
           Divider(s.out_height), rows, columns, static_cast<int>(planes * out_plane), static_cast<int>(s.in_width),
           static_cast<int>(in_plane), input + first * in_plane, output + first * out_plane);
  });
}

CNNX_INSTANTIATE(resample_planes)

}  // namespace cnnx::cuda
