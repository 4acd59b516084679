// Padding of any kind and the windows of unfold: output (ky, kx, y, x) of a plane is its input (rows[ky][y], columns[kx][x]), or
// a value where a table says -1. The adjoint gives every input pixel the sum of the outputs that read it, in the order of (ky, y)
// and (kx, x): it reads through inverse tables, which the host makes, so nothing is added to memory and the bits are always the
// same.
//
// Bytes: gather reads each input once from memory (windows overlap in L1 and L2) and writes the output, scatter the reverse; four
// divisions by multiplication an element. Bound by memory: aimed at 70-80 % of its ceiling.
#include "kernels/cuda/plane_tables.h"

namespace cnnx::cuda {
namespace {

// Extents of an output plane: [row_taps][column_taps][height][width].
struct Out {
  Divider width, height, column_taps, row_taps;
};

// Tables: rows[ky][y], columns[kx][x].
template <class T>
__global__ void __launch_bounds__(kPlaneThreads)
    gather(Tables tables, Out out, int count, int in_width, int in_plane, const T* input, T value, T* output) {
  for_elements(tables, count, [&](const int32_t* entries, int at) {
    int x = at, y = out.width.split(x), kx = out.height.split(y), ky = out.column_taps.split(kx);
    const int plane = out.row_taps.split(ky);
    const int row = entries[ky * static_cast<int>(out.height.divisor) + y];
    const int column = entries[tables.columns + kx * static_cast<int>(out.width.divisor) + x];
    output[at] = row < 0 || column < 0 ? value : input[static_cast<int64_t>(plane) * in_plane + row * in_width + column];
  });
}

// Tables, of rows and then of columns: for every input position where its list begins (and where the last one ends), then the
// lists: offsets in an output plane that add up.
template <class T>
__global__ void __launch_bounds__(kPlaneThreads)
    scatter(Tables tables, Divider in_width, Divider in_height, int count, int out_plane, const T* grad_output, T* grad_input) {
  for_elements(tables, count, [&](const int32_t* entries, int at) {
    int x = at, y = in_width.split(x);
    const T* const from = grad_output + static_cast<int64_t>(in_height.split(y)) * out_plane;
    const int32_t *const rows = entries, *const columns = entries + tables.columns;
    T sum = 0;
    for (int r = rows[y]; r < rows[y + 1]; ++r)
      for (int c = columns[x]; c < columns[x + 1]; ++c) sum += from[rows[r] + columns[c]];
    grad_input[at] = sum;
  });
}

}  // namespace

template <class T>
void gather_planes(const Queue& queue, const PlaneMap& s, const T* input, T value, T* output) {
  const char* op = "gather_planes";
  const int64_t in_plane = s.in_height * s.in_width, out_plane = s.row_taps * s.column_taps * s.out_height * s.out_width;
  if (s.planes == 0 || out_plane == 0) return;
  std::vector<int32_t> entries(s.rows, s.rows + s.row_taps * s.out_height);
  const size_t columns = entries.size();
  entries.insert(entries.end(), s.columns, s.columns + s.column_taps * s.out_width);
  const TableStore store(queue, op, entries, columns);
  const Out out{Divider(s.out_width), Divider(s.out_height), Divider(s.column_taps), Divider(s.row_taps)};
  for_planes(op, s.planes, out_plane, in_plane, [&](int64_t first, int planes, dim3 blocks) {
    launch(op, gather<T>, fewer(blocks), dim3(kPlaneThreads), 0, queue, store.tables(), out, static_cast<int>(planes * out_plane),
           static_cast<int>(s.in_width), static_cast<int>(in_plane), input + first * in_plane, value, output + first * out_plane);
  });
}

namespace {
// Appends the lists of one axis: `stride` is the distance of neighbouring positions in an output plane, `tap_stride` that of
// taps.
void append_inverse(std::vector<int32_t>& entries, const int64_t* table, int64_t taps, int64_t positions, int64_t extent,
                    int64_t tap_stride, int64_t stride) {
  const size_t start = entries.size(), lists = static_cast<size_t>(extent) + 1;
  std::vector<int32_t> next(lists, 0);
  for (int64_t i = 0; i < taps * positions; ++i)
    if (table[i] >= 0) ++next[static_cast<size_t>(table[i]) + 1];
  next[0] = static_cast<int32_t>(lists);
  for (size_t i = 1; i < lists; ++i) next[i] += next[i - 1];
  entries.insert(entries.end(), next.begin(), next.end());
  entries.resize(start + static_cast<size_t>(next.back()));
  for (int64_t i = 0; i < taps * positions; ++i)
    if (table[i] >= 0)
      entries[start + static_cast<size_t>(next[static_cast<size_t>(table[i])]++)] =
          static_cast<int32_t>(i / positions * tap_stride + i % positions * stride);
}
}  // namespace

template <class T>
void scatter_planes(const Queue& queue, const PlaneMap& s, const T* grad_output, T* grad_input) {
  const char* op = "scatter_planes";
  const int64_t in_plane = s.in_height * s.in_width, window = s.out_height * s.out_width,
                out_plane = s.row_taps * s.column_taps * window;
  if (s.planes == 0 || in_plane == 0) return;
  to_index(op, out_plane + in_plane);
  std::vector<int32_t> entries;
  append_inverse(entries, s.rows, s.row_taps, s.out_height, s.in_height, s.column_taps * window, s.out_width);
  const size_t columns = entries.size();
  append_inverse(entries, s.columns, s.column_taps, s.out_width, s.in_width, window, 1);
  const TableStore store(queue, op, entries, columns);
  for_planes(op, s.planes, in_plane, out_plane, [&](int64_t first, int planes, dim3 blocks) {
    launch(op, scatter<T>, fewer(blocks), dim3(kPlaneThreads), 0, queue, store.tables(), Divider(s.in_width),
           Divider(s.in_height), static_cast<int>(planes * in_plane), static_cast<int>(out_plane),
           grad_output + first * out_plane, grad_input + first * in_plane);
  });
}

CNNX_INSTANTIATE(gather_planes, scatter_planes)

}  // namespace cnnx::cuda
