// Running sums, linear recurrences and extremes over the middle extent of (outer, reduce, inner), in double or whole numbers as
// on the CPU. What they are is a few functions: load an element, join the values of two neighbouring runs, store the value of
// the run that ends at an element.
//
// inner == 1: a block takes a row, kThreads elements at a time: Hillis and Steele's scan ("Data parallel algorithms", CACM
// 29(12), 1986) within a warp, by shuffles, and one barrier for the warps' totals.
// inner > 1: a thread takes a column, one element after the other, its neighbours the neighbouring columns.
// Where the lines are too few to fill a card, they are cut into chunks: one launch leaves the total of each, the totals are
// joined in the same way, and a last launch begins each chunk with the total of those before it. The cut depends on the shape
// alone, so the bits are the same on every run.
// Bytes: the elements are read and written once, and read once more where they are cut. Long lines should reach 60 % of the
// memory's rate, short ones in large numbers as well.
#include <algorithm>
#include <type_traits>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/scratch.h"
#include "kernels/element_functions.h"

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
inline __device__ float shuffle_up(float value, int lanes) { return __shfl_up_sync(0xffffffffu, value, lanes); }
inline __device__ int shuffle_up(int value, int lanes) { return __shfl_up_sync(0xffffffffu, value, lanes); }
inline __device__ int64_t shuffle_up(int64_t value, int lanes) {
  return static_cast<int64_t>(__shfl_up_sync(0xffffffffu, static_cast<long long>(value), lanes));
}
inline __device__ uint64_t shuffle_up(uint64_t value, int lanes) {
  return static_cast<uint64_t>(shuffle_up(static_cast<int64_t>(value), lanes));
}
template <class T>
__device__ LinearStep<T> shuffle_up(LinearStep<T> value, int lanes) {
  return {shuffle_up(value.a, lanes), shuffle_up(value.b, lanes)};
}
template <class T>
__device__ Placed<T> shuffle_up(Placed<T> value, int lanes) {
  return {static_cast<T>(shuffle_up(value.value, lanes)), shuffle_up(value.place, lanes)};  // bytes travel as int
}

// What is scanned. kCommutes: whether runs may be joined in any order.
template <class T>
struct Sums {
  using Value = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;
  static constexpr bool kCommutes = true;
  const T* x;
  T* y;
  __device__ Value none() const { return 0; }
  __device__ Value load(int64_t i, int64_t) const { return static_cast<Value>(x[i]); }
  __device__ Value join(Value first, Value then) const { return first + then; }
  __device__ void store(int64_t i, Value value) const { y[i] = static_cast<T>(value); }
};
template <class T>
struct Recurrence {
  using Number = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
  using Value = LinearStep<Number>;
  static constexpr bool kCommutes = false;
  const T *a, *b;
  T* y;
  __device__ Value none() const { return {1, 0}; }
  __device__ Value load(int64_t i, int64_t) const {
    return {static_cast<Number>(a[i]), b != nullptr ? static_cast<Number>(b[i]) : Number(0)};
  }
  __device__ Value join(Value first, Value then) const { return join_steps(first, then); }
  __device__ void store(int64_t i, Value value) const { y[i] = static_cast<T>(b != nullptr ? value.b : value.a); }
};
template <class T>
struct Extremes {
  using Value = Placed<T>;
  static constexpr bool kCommutes = false;
  bool max;
  const T* x;
  T* y;
  int64_t* index;
  __device__ Value none() const { return {T(), -1}; }
  __device__ Value load(int64_t i, int64_t place) const { return {x[i], place}; }
  __device__ Value join(Value first, Value then) const { return later_extreme(max, first, then); }
  __device__ void store(int64_t i, Value value) const {
    y[i] = value.value;
    index[i] = value.place;
  }
};
// The totals of chunks, in place.
template <class Base>
struct Totals {
  using Value = typename Base::Value;
  static constexpr bool kCommutes = Base::kCommutes;
  Base base;
  Value* data;
  __device__ Value none() const { return base.none(); }
  __device__ Value load(int64_t i, int64_t) const { return data[i]; }
  __device__ Value join(Value first, Value then) const { return base.join(first, then); }
  __device__ void store(int64_t i, Value value) const { data[i] = value; }
};
template <class Scan>
auto totals_of(const Scan& scan, typename Scan::Value* data) {
  if constexpr (requires { scan.base; }) return Scan{scan.base, data};
  else return Totals<Scan>{scan, data};
}

template <class Scan>
__global__ void row_totals_kernel(Line line, Scan scan, typename Scan::Value* totals) {
  using Value = typename Scan::Value;
  CNNX_SHARED(Value, values, [kThreads]);
  const int t = static_cast<int>(threadIdx.x);
  const int64_t row = blockIdx.x / line.chunks * line.n;
  const int64_t begin = blockIdx.x % line.chunks * line.chunk, end = line.end(begin);
  // A thread's elements: each kThreads-th, or a run of its own where the order matters.
  const int64_t run = (end - begin + kThreads - 1) / kThreads, step = Scan::kCommutes ? kThreads : 1;
  const int64_t first = Scan::kCommutes ? begin + t : begin + t * run;
  const int64_t last = Scan::kCommutes || first + run > end ? end : first + run;
  Value value = scan.none();
  for (int64_t k = first; k < last; k += step) value = scan.join(value, scan.load(row + line.at(k), line.at(k)));
  values[t] = value;
  for (int width = 1; width < kThreads; width *= 2) {
    __syncthreads();
    if (t % (2 * width) == 0) values[t] = scan.join(values[t], values[t + width]);
  }
  if (t == 0) totals[blockIdx.x] = values[0];
}

// totals: of the chunks up to each; not read where a line is one chunk. The output may be the input.
template <class Scan>
__global__ void scan_rows_kernel(Line line, const typename Scan::Value* totals, Scan scan) {
  using Value = typename Scan::Value;
  constexpr int kWarps = kThreads / 32;
  CNNX_SHARED(Value,
              totals_of_warps, [2][kWarps]);  // of this round's warps, and of the round's before, which some may still read
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
  const int64_t row = blockIdx.x / line.chunks * line.n, chunk = blockIdx.x % line.chunks;
  const int64_t first = chunk * line.chunk, end = line.end(first);
  Value carry = chunk > 0 ? totals[blockIdx.x - 1] : scan.none();
  int side = 0;
  for (int64_t begin = first; begin < end; begin += kThreads, side ^= 1) {
    const int64_t k = begin + t, i = row + line.at(k);
    Value value = k < end ? scan.load(i, line.at(k)) : scan.none();
    for (int step = 1; step < 32; step *= 2) {
      const Value before = shuffle_up(value, step);
      if (lane >= step) value = scan.join(before, value);
    }
    if (lane == 31) totals_of_warps[side][warp] = value;
    __syncthreads();
    Value before = carry;
    for (int w = 0; w < kWarps; ++w) {
      if (w == warp) before = carry;
      carry = scan.join(carry, totals_of_warps[side][w]);
    }
    if (k < end) scan.store(i, scan.join(before, value));
  }
}

// A thread's chunk of a column: calls f(position, place in the column) for its elements in order.
template <class F>
__device__ void for_column(const Line& line, int64_t inner, int64_t thread, const F& f) {
  const int64_t at = thread / inner, first = at / line.chunks * line.n * inner + thread % inner;
  const int64_t begin = at % line.chunks * line.chunk, end = line.end(begin);
  for (int64_t k = begin; k < end; ++k) f(first + line.at(k) * inner, line.at(k));
}

template <class Scan>
__global__ void column_totals_kernel(int64_t threads, Line line, int64_t inner, Scan scan, typename Scan::Value* totals) {
  const int64_t thread = thread_index();
  if (thread >= threads) return;
  typename Scan::Value value = scan.none();
  for_column(line, inner, thread, [&](int64_t i, int64_t place) { value = scan.join(value, scan.load(i, place)); });
  totals[thread] = value;
}

template <class Scan>
__global__ void scan_columns_kernel(int64_t threads, Line line, int64_t inner, const typename Scan::Value* totals, Scan scan) {
  const int64_t thread = thread_index();
  if (thread >= threads) return;
  typename Scan::Value value = thread / inner % line.chunks > 0 ? totals[thread - inner] : scan.none();
  for_column(line, inner, thread, [&](int64_t i, int64_t place) {
    value = scan.join(value, scan.load(i, place));
    scan.store(i, value);
  });
}

template <class Scan>
void run_scan(const char* op, const Queue& queue, const ReduceShape& s, bool from_back, const Scan& scan) {
  using Value = typename Scan::Value;
  const bool rows = s.inner == 1;
  const bool few = rows ? s.outer < kEnoughRows : s.outer * s.inner < kEnoughColumns;
  const int64_t chunk = few ? std::min(s.reduce, rows ? kRowChunk : kColumnChunk) : s.reduce;
  const Line line{s.reduce, chunk, (s.reduce + chunk - 1) / chunk, from_back};
  const int64_t parts = s.outer * line.chunks * s.inner;
  const dim3 grid = rows ? grid_of(op, parts) : blocks_for(parts);
  const Scratch<Value> totals(queue, line.chunks > 1 ? parts : 0);
  if (line.chunks > 1) {
    if (rows) launch(op, row_totals_kernel<Scan>, grid, kThreads, 0, queue, line, scan, totals.data());
    else launch(op, column_totals_kernel<Scan>, grid, kThreads, 0, queue, parts, line, s.inner, scan, totals.data());
    run_scan(op, queue, {s.outer, line.chunks, s.inner}, false, totals_of(scan, totals.data()));
  }
  if (rows) launch(op, scan_rows_kernel<Scan>, grid, kThreads, 0, queue, line, totals.data(), scan);
  else launch(op, scan_columns_kernel<Scan>, grid, kThreads, 0, queue, parts, line, s.inner, totals.data(), scan);
}

}  // namespace

void cumsum(const Queue& queue, DType dtype, const ReduceShape& s, bool from_back, const void* x, void* y) {
  if (s.outer * s.inner == 0 || s.reduce == 0) return;
  dispatch(dtype,
           [&]<class T>(T) { run_scan("cumsum", queue, s, from_back, Sums<T>{static_cast<const T*>(x), static_cast<T*>(y)}); });
}

void linear_scan(const Queue& queue, DType dtype, const ReduceShape& s, bool from_back, const void* a, const void* b, void* y) {
  if (s.outer * s.inner == 0 || s.reduce == 0) return;
  dispatch(dtype, [&]<class T>(T) {
    run_scan("linear_scan", queue, s, from_back,
             Recurrence<T>{static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(y)});
  });
}

void extreme_scan(const Queue& queue, DType dtype, const ReduceShape& s, bool max, const void* x, void* y, int64_t* index) {
  if (s.outer * s.inner == 0 || s.reduce == 0) return;
  dispatch(dtype, [&]<class T>(T) {
    run_scan("extreme_scan", queue, s, false, Extremes<T>{max, static_cast<const T*>(x), static_cast<T*>(y), index});
  });
}

}  // namespace cnnx::cuda
