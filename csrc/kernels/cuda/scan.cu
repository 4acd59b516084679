// Running sums over the middle extent of (outer, reduce, inner), in double or int64 as on the CPU.
//
// inner == 1: a block takes a row, kThreads elements at a time: Hillis and Steele's scan ("Data parallel algorithms", CACM
// 29(12), 1986) within a warp, by shuffles, and one barrier for the warps' totals.
// inner > 1: a thread takes a column, one element after the other, its neighbours the neighbouring columns.
// Where the lines are too few to fill a card, they are cut into chunks: one launch leaves the total of each, the totals are
// summed up in the same way, and a last launch begins each chunk with the total of those before it. The cut depends on the shape
// alone, so the bits are the same on every run.
// Bytes: the elements are read and written once, and read once more where they are cut. Long lines should reach 60 % of the
// memory's rate, short ones in large numbers as well.
#include <algorithm>
#include <type_traits>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/scratch.h"

namespace cnnx::cuda {
namespace {

constexpr int64_t kRowChunk = 4096, kColumnChunk = 256;

// A line of n elements, taken from either end, in chunks.
struct Line {
  int64_t n, chunk, chunks;
  bool from_back;
  __device__ int64_t end(int64_t begin) const { return begin + chunk < n ? begin + chunk : n; }
  __device__ int64_t at(int64_t k) const { return from_back ? n - 1 - k : k; }
};

inline __device__ double shuffle_up(double value, int lanes) { return __shfl_up_sync(0xffffffffu, value, lanes); }
inline __device__ int64_t shuffle_up(int64_t value, int lanes) {
  return static_cast<int64_t>(__shfl_up_sync(0xffffffffu, static_cast<long long>(value), lanes));
}

template <class T, class Sum>
__global__ void row_totals_kernel(Line line, const T* x, Sum* totals) {
  CNNX_SHARED(Sum, sums, [kThreads]);
  const int t = static_cast<int>(threadIdx.x);
  const T* row = x + blockIdx.x / line.chunks * line.n;
  const int64_t begin = blockIdx.x % line.chunks * line.chunk, end = line.end(begin);
  Sum sum = 0;
  for (int64_t k = begin + t; k < end; k += kThreads) sum += static_cast<Sum>(row[line.at(k)]);
  sums[t] = sum;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) sums[t] += sums[t + half];
  }
  if (t == 0) totals[blockIdx.x] = sums[0];
}

// totals: the running sums of the chunks' totals; not read where a line is one chunk. x may be y.
template <class T, class Sum>
__global__ void scan_rows_kernel(Line line, const Sum* totals, const T* x, T* y) {
  constexpr int kWarps = kThreads / 32;
  CNNX_SHARED(Sum, totals_of, [2][kWarps]);  // of this round's warps, and of the round's before, which some may still read
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
  const int64_t row = blockIdx.x / line.chunks * line.n, chunk = blockIdx.x % line.chunks;
  const int64_t first = chunk * line.chunk, end = line.end(first);
  Sum carry = chunk > 0 ? totals[blockIdx.x - 1] : Sum(0);
  int side = 0;
  for (int64_t begin = first; begin < end; begin += kThreads, side ^= 1) {
    const int64_t k = begin + t, i = row + line.at(k);
    Sum sum = k < end ? static_cast<Sum>(x[i]) : Sum(0);
    for (int step = 1; step < 32; step *= 2) {
      const Sum before = shuffle_up(sum, step);
      if (lane >= step) sum += before;
    }
    if (lane == 31) totals_of[side][warp] = sum;
    __syncthreads();
    Sum before = carry;
    for (int w = 0; w < kWarps; ++w) {
      if (w == warp) before = carry;
      carry += totals_of[side][w];
    }
    if (k < end) y[i] = static_cast<T>(before + sum);
  }
}

// A thread's chunk of a column: calls f(position) for its elements in order.
template <class F>
__device__ void for_column(const Line& line, int64_t inner, int64_t thread, const F& f) {
  const int64_t at = thread / inner, first = at / line.chunks * line.n * inner + thread % inner;
  const int64_t begin = at % line.chunks * line.chunk, end = line.end(begin);
  for (int64_t k = begin; k < end; ++k) f(first + line.at(k) * inner);
}

template <class T, class Sum>
__global__ void column_totals_kernel(int64_t threads, Line line, int64_t inner, const T* x, Sum* totals) {
  const int64_t thread = thread_index();
  if (thread >= threads) return;
  Sum sum = 0;
  for_column(line, inner, thread, [&](int64_t i) { sum += static_cast<Sum>(x[i]); });
  totals[thread] = sum;
}

template <class T, class Sum>
__global__ void scan_columns_kernel(int64_t threads, Line line, int64_t inner, const Sum* totals, const T* x, T* y) {
  const int64_t thread = thread_index();
  if (thread >= threads) return;
  Sum sum = thread / inner % line.chunks > 0 ? totals[thread - inner] : Sum(0);
  for_column(line, inner, thread, [&](int64_t i) {
    sum += static_cast<Sum>(x[i]);
    y[i] = static_cast<T>(sum);
  });
}

template <class T, class Sum>
void scan(const Queue& queue, const ReduceShape& s, bool from_back, const T* x, T* y) {
  const bool rows = s.inner == 1;
  const bool few = rows ? s.outer < kEnoughRows : s.outer * s.inner < kEnoughColumns;
  const int64_t chunk = few ? std::min(s.reduce, rows ? kRowChunk : kColumnChunk) : s.reduce;
  const Line line{s.reduce, chunk, (s.reduce + chunk - 1) / chunk, from_back};
  const int64_t parts = s.outer * line.chunks * s.inner;
  const dim3 grid = rows ? grid_of("cumsum", parts) : blocks_for(parts);
  const Scratch<Sum> totals(queue, line.chunks > 1 ? parts : 0);
  if (line.chunks > 1) {
    if (rows) launch("cumsum", row_totals_kernel<T, Sum>, grid, kThreads, 0, queue, line, x, totals.data());
    else launch("cumsum", column_totals_kernel<T, Sum>, grid, kThreads, 0, queue, parts, line, s.inner, x, totals.data());
    scan<Sum, Sum>(queue, {s.outer, line.chunks, s.inner}, false, totals.data(), totals.data());
  }
  if (rows) launch("cumsum", scan_rows_kernel<T, Sum>, grid, kThreads, 0, queue, line, totals.data(), x, y);
  else launch("cumsum", scan_columns_kernel<T, Sum>, grid, kThreads, 0, queue, parts, line, s.inner, totals.data(), x, y);
}

}  // namespace

void cumsum(const Queue& queue, DType dtype, const ReduceShape& s, bool from_back, const void* x, void* y) {
  if (s.outer * s.inner == 0 || s.reduce == 0) return;
  dispatch(dtype, [&]<class T>(T) {
    using Sum = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;
    scan<T, Sum>(queue, s, from_back, static_cast<const T*>(x), static_cast<T*>(y));
  });
}

}  // namespace cnnx::cuda
