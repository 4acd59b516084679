// Reductions over the middle extent of (outer, reduce, inner).
//
// inner == 1: a group of lanes (as many as a short row has elements, at most a warp) or a block of 256 threads takes a row and
// steps through it together, so that neighbouring lanes read neighbouring elements; the threads' results are combined by a fixed
// tree. inner > 1: neighbouring threads take neighbouring columns, and eight rows of threads share a column.
// Rows longer than kChunk are cut into chunks of that size, whose results a second launch reduces in the same way, and so are the
// lines in which the place of an extreme is looked for, where they are few: every SM works, and since the cut depends on the
// shape alone, results are the same bits on every run.
// Bytes: the input once. Beyond the caches all should reach 80 % of the memory's rate where outer * inner * chunks fills the
// card.
#include <algorithm>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/scratch.h"
#include "kernels/element_functions.h"

namespace cnnx::cuda {
namespace {

constexpr int kColumns = 32, kColumnRows = 8;  // the block of a reduction over columns
constexpr int64_t kChunk = 8192;               // elements of a row that one launch reduces, inner == 1
constexpr int64_t kColumnChunk = 512;          // inner > 1
constexpr unsigned kWarp = 0xffffffffu;

// Reductions of float have a kernel each, others share theirs. Sums are taken in double: a partial sum may be too large for a
// float where the mean, or a sum of both signs, is not.
template <ReduceOp kOp>
using FloatReduction = Reduction<std::conditional_t<kOp == ReduceOp::sum, double, float>, std::integral_constant<ReduceOp, kOp>>;

// Shuffles take types of 4 or 8 bytes.
template <class T>
__device__ T shuffle_xor(T value, int lane) {
  if constexpr (sizeof(T) < 4) return static_cast<T>(__shfl_xor_sync(kWarp, static_cast<int>(value), lane));
  else if constexpr (std::is_same_v<T, int64_t>)
    return static_cast<int64_t>(__shfl_xor_sync(kWarp, static_cast<long long>(value), lane));
  else return __shfl_xor_sync(kWarp, value, lane);
}

// Part c of `chunks` of a row of n: its begin and end.
struct Chunks {
  int64_t size, count;
  __device__ int64_t begin(int64_t c) const { return c * size; }
  __device__ int64_t end(int64_t c, int64_t n) const { return (c + 1) * size < n ? (c + 1) * size : n; }
};

// A result over its divisor; integers have none.
template <class Out, class Value>
__device__ Out quotient(Value result, Value divisor) {
  if constexpr (std::is_floating_point_v<Value>) return static_cast<Out>(result / divisor);
  else return result;
}

// Rows by groups of `lanes` lanes, a power of two; y[row] = the reduction over divisor (1: as it is).
template <class R, class In, class Out>
__global__ void reduce_rows_kernel(R r, int64_t rows, int64_t n, int lanes, typename R::Value divisor, const In* x, Out* y) {
  const int64_t row = thread_index() / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  typename R::Value result = r.start();
  if (row < rows) {
    const In* from = x + row * n;
    typename R::Value other = r.start();
    int64_t i = lane;
    for (; i + lanes < n; i += 2 * lanes) {
      result = r.combine(result, from[i]);
      other = r.combine(other, from[i + lanes]);
    }
    if (i < n) result = r.combine(result, from[i]);
    result = r.combine(result, other);
  }
  for (int width = lanes / 2; width > 0; width /= 2) result = r.combine(result, shuffle_xor(result, width));
  if (row < rows && lane == 0) y[row] = quotient<Out>(result, divisor);
}

// Combines one value of each of kThreads threads; the result is thread 0's.
template <class R, class T>
__device__ T combine_block(const R& r, T value) {
  CNNX_SHARED(T, partial, [kThreads / 32]);
  for (int width = 16; width > 0; width /= 2) value = r.combine(value, shuffle_xor(value, width));
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int k = 1; k < kThreads / 32; ++k) value = r.combine(value, partial[k]);
  return value;
}

// A block for each chunk of each row.
template <class R, class In, class Out>
__global__ void reduce_chunks_kernel(R r, int64_t n, Chunks chunks, typename R::Value divisor, const In* x, Out* y) {
  const int64_t row = blockIdx.x / chunks.count, chunk = blockIdx.x % chunks.count;
  const In* from = x + row * n;
  const int64_t end = chunks.end(chunk, n);
  typename R::Value sums[4] = {r.start(), r.start(), r.start(), r.start()};
  int64_t i = chunks.begin(chunk) + threadIdx.x;
  for (; i + 3 * kThreads < end; i += 4 * kThreads)
    for (int k = 0; k < 4; ++k) sums[k] = r.combine(sums[k], from[i + k * kThreads]);
  for (; i < end; i += kThreads) sums[0] = r.combine(sums[0], from[i]);
  const typename R::Value result = combine_block(r, r.combine(r.combine(sums[0], sums[1]), r.combine(sums[2], sums[3])));
  if (threadIdx.x == 0) y[blockIdx.x] = quotient<Out>(result, divisor);
}

// blockIdx.x: a band of kColumns columns of one (outer, chunk).
template <class R, class In, class Out>
__global__ void reduce_columns_kernel(R r, ReduceShape s, int64_t bands, Chunks chunks, typename R::Value divisor, const In* x,
                                      Out* y) {
  using Value = typename R::Value;
  CNNX_SHARED(Value, partial, [kColumnRows][kColumns]);
  const int64_t at = blockIdx.x / bands, column = blockIdx.x % bands * kColumns + threadIdx.x;
  const int64_t outer = at / chunks.count, chunk = at % chunks.count;
  Value result = r.start();
  if (column < s.inner) {
    const In* from = x + outer * s.reduce * s.inner + column;
    const int64_t end = chunks.end(chunk, s.reduce);
    Value other = r.start();
    int64_t i = chunks.begin(chunk) + threadIdx.y;
    for (; i + kColumnRows < end; i += 2 * kColumnRows) {
      result = r.combine(result, from[i * s.inner]);
      other = r.combine(other, from[(i + kColumnRows) * s.inner]);
    }
    if (i < end) result = r.combine(result, from[i * s.inner]);
    result = r.combine(result, other);
  }
  partial[threadIdx.y][threadIdx.x] = result;
  __syncthreads();
  if (threadIdx.y == 0 && column < s.inner) {
    for (int k = 1; k < kColumnRows; ++k) result = r.combine(result, partial[k][threadIdx.x]);
    y[at * s.inner + column] = quotient<Out>(result, divisor);
  }
}

template <class R, class In, class Out>
void reduce_chunks(const Queue& queue, const char* op, const R& r, const ReduceShape& s, const Chunks& chunks,
                   typename R::Value divisor, const In* x, Out* y) {
  if (s.inner > 1) {
    const int64_t bands = (s.inner + kColumns - 1) / kColumns;
    launch(op, reduce_columns_kernel<R, In, Out>, grid_of(op, s.outer * chunks.count * bands), dim3(kColumns, kColumnRows), 0,
           queue, r, s, bands, chunks, divisor, x, y);
  } else if (s.reduce <= 1024) {
    int lanes = 1;
    while (lanes < 32 && lanes < s.reduce) lanes *= 2;
    launch(op, reduce_rows_kernel<R, In, Out>, blocks_for(s.outer * lanes), kThreads, 0, queue, r, s.outer, s.reduce, lanes,
           divisor, x, y);
  } else {
    launch(op, reduce_chunks_kernel<R, In, Out>, grid_of(op, s.outer * chunks.count), kThreads, 0, queue, r, s.reduce, chunks,
           divisor, x, y);
  }
}

template <class R, class In, class Out>
void reduce_with(const Queue& queue, const char* op, const R& r, const ReduceShape& s, typename R::Value divisor, const In* x,
                 Out* y) {
  using Value = typename R::Value;
  const int64_t results = s.outer * s.inner;
  if (results == 0) return;
  const int64_t size = s.inner == 1 ? kChunk : kColumnChunk;
  const Chunks chunks{size, s.reduce > size ? (s.reduce + size - 1) / size : 1};
  if (chunks.count == 1) return reduce_chunks(queue, op, r, s, chunks, divisor, x, y);
  const Scratch<Value> partial(queue, results * chunks.count);
  reduce_chunks(queue, op, r, s, chunks, Value(1), x, partial.data());
  const ReduceShape rest{s.outer, chunks.count, s.inner};
  const Value* from = partial.data();
  if constexpr (std::is_same_v<In, Value>) reduce_with(queue, op, r, rest, divisor, from, y);
  else reduce_with(queue, op, Reduction<Value>{ReduceOp::sum}, rest, divisor, from, y);  // of float
}

}  // namespace

template <class T>
void reduce(const Queue& queue, ReduceOp op, const ReduceShape& s, const T* x, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    switch (op) {
      case ReduceOp::sum: return reduce_with(queue, "sum", FloatReduction<ReduceOp::sum>(), s, 1, x, y);
      case ReduceOp::mean:
        return reduce_with(queue, "mean", FloatReduction<ReduceOp::sum>(), s, static_cast<double>(s.reduce), x, y);
      case ReduceOp::prod: return reduce_with(queue, "prod", FloatReduction<ReduceOp::prod>(), s, 1, x, y);
      case ReduceOp::max: return reduce_with(queue, "max", FloatReduction<ReduceOp::max>(), s, 1, x, y);
      case ReduceOp::min: return reduce_with(queue, "min", FloatReduction<ReduceOp::min>(), s, 1, x, y);
    }
  } else {
    constexpr const char* kNames[] = {"sum", "mean", "prod", "max", "min"};
    const bool mean = op == ReduceOp::mean;
    reduce_with(queue, kNames[static_cast<int>(op)], Reduction<T>{mean ? ReduceOp::sum : op}, s,
                static_cast<T>(mean ? s.reduce : 1), x, y);
  }
}

void integer_reduce(const Queue& queue, ReduceOp op, DType dtype, const ReduceShape& s, const void* x, void* y) {
  dispatch(dtype, [&]<class T>(T) {
    if constexpr (std::is_integral_v<T>) reduce(queue, op, s, static_cast<const T*>(x), static_cast<T*>(y));
  });
}

namespace {
// A candidate for the first extreme. The order is total (NaN, then the larger or smaller value, then the lower index), so that it
// does not matter in which order candidates meet.
template <class T>
struct Candidate {
  T value;
  int64_t index;
};
template <class T>
__device__ Candidate<T> better(bool max, Candidate<T> a, Candidate<T> b) {
  if (b.index < 0 || (a.index >= 0 && beats(max, a.value, b.value))) return a;
  if (a.index < 0 || beats(max, b.value, a.value)) return b;
  return a.index < b.index ? a : b;
}

// Groups of lanes as in reduce_rows_kernel, for rows of any length.
template <class T>
__global__ void arg_rows_kernel(bool max, int64_t rows, int64_t n, int lanes, const T* x, int64_t* index) {
  const int64_t row = thread_index() / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  Candidate<T> best{T(), -1};
  if (row < rows)
    for (int64_t i = lane; i < n; i += lanes) best = better(max, best, Candidate<T>{x[row * n + i], i});
  for (int width = lanes / 2; width > 0; width /= 2)
    best = better(max, best, Candidate<T>{shuffle_xor(best.value, width), shuffle_xor(best.index, width)});
  if (row < rows && lane == 0) index[row] = best.index;
}

// What an extreme is looked for among: the n elements of a line, or those `count` of them that a launch before found, one in each
// of its chunks. (outer, count, inner) or null: found. Chunks are of the `count`.
struct Among {
  int64_t n, count, inner;
  const int64_t* found;
  Chunks chunks;

  // The best of every step-th of a chunk's elements; part: of (outer, chunk).
  template <class T>
  __device__ Candidate<T> best(bool max, int64_t part, int64_t column, int64_t first, int64_t step, const T* x) const {
    const int64_t line = part / chunks.count, chunk = part % chunks.count, end = chunks.end(chunk, count);
    Candidate<T> best{T(), -1};
    for (int64_t k = chunks.begin(chunk) + first; k < end; k += step) {
      const int64_t i = found == nullptr ? k : found[(line * count + k) * inner + column];
      best = better(max, best, Candidate<T>{x[(line * n + i) * inner + column], i});
    }
    return best;
  }
};

// A block for each chunk of each row.
template <class T>
__global__ void arg_chunks_kernel(bool max, Among among, const T* x, int64_t* index) {
  CNNX_SHARED(T, values, [kThreads]);
  CNNX_SHARED(int64_t, indices, [kThreads]);
  Candidate<T> best = among.best(max, blockIdx.x, 0, threadIdx.x, kThreads, x);
  values[threadIdx.x] = best.value;
  indices[threadIdx.x] = best.index;
  for (int width = kThreads / 2; width > 0; width /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < width) {
      const int other = static_cast<int>(threadIdx.x) + width;
      best = better(max, best, Candidate<T>{values[other], indices[other]});
      values[threadIdx.x] = best.value;
      indices[threadIdx.x] = best.index;
    }
  }
  if (threadIdx.x == 0) index[blockIdx.x] = best.index;
}

// A thread for each chunk of each column.
template <class T>
__global__ void arg_columns_kernel(int64_t threads, bool max, Among among, const T* x, int64_t* index) {
  const int64_t at = thread_index();
  if (at >= threads) return;
  index[at] = among.best(max, at / among.inner, at % among.inner, 0, 1, x).index;
}

// Lines are cut where they are too few to keep a card busy.
template <class T>
void find_extremes(const Queue& queue, const char* op, bool max, const ReduceShape& s, int64_t count, const int64_t* found,
                   const T* x, int64_t* index) {
  const bool rows = s.inner == 1, few = rows ? s.outer < kEnoughRows : s.outer * s.inner < kEnoughColumns;
  const int64_t size = few ? std::min(count, rows ? kChunk : kColumnChunk) : count;
  const Among among{s.reduce, count, s.inner, found, {size, (count + size - 1) / size}};
  const int64_t parts = s.outer * among.chunks.count * s.inner;
  const bool last = among.chunks.count == 1;
  const Scratch<int64_t> scratch(queue, last ? 0 : parts);
  int64_t* to = last ? index : scratch.data();
  if (rows) launch(op, arg_chunks_kernel<T>, grid_of(op, parts), kThreads, 0, queue, max, among, x, to);
  else launch(op, arg_columns_kernel<T>, blocks_for(parts), kThreads, 0, queue, parts, max, among, x, to);
  if (!last) find_extremes(queue, op, max, s, among.chunks.count, to, x, index);
}
}  // namespace

template <class T>
void arg_reduce(const Queue& queue, ReduceOp op, const ReduceShape& s, const T* x, int64_t* index) {
  const bool max = op == ReduceOp::max;
  const char* name = max ? "argmax" : "argmin";
  if (s.outer * s.inner == 0) return;
  if (s.inner == 1 && s.reduce <= 1024) {
    int lanes = 1;
    while (lanes < 32 && lanes < s.reduce) lanes *= 2;
    launch(name, arg_rows_kernel<T>, blocks_for(s.outer * lanes), kThreads, 0, queue, max, s.outer, s.reduce, lanes, x, index);
  } else {
    find_extremes(queue, name, max, s, s.reduce, static_cast<const int64_t*>(nullptr), x, index);
  }
}

void integer_arg_reduce(const Queue& queue, ReduceOp op, DType dtype, const ReduceShape& s, const void* x, int64_t* index) {
  dispatch(dtype, [&]<class T>(T) {
    if constexpr (std::is_integral_v<T>) arg_reduce(queue, op, s, static_cast<const T*>(x), index);
  });
}

namespace {
// A thread for each row: rare.
template <class T>
__global__ void products_of_others_kernel(int64_t rows, int64_t n, const T* x, const T* g, T* out) {
  const int64_t row = thread_index();
  if (row < rows) multiply_others(n, x + row * n, g[row], out + row * n);
}
}  // namespace

void products_of_others(const Queue& queue, DType dtype, int64_t rows, int64_t n, const void* x, const void* g, void* out) {
  dispatch_floating("prod", dtype, [&]<class T>(T) {
    launch("prod", products_of_others_kernel<T>, blocks_for(rows), kThreads, 0, queue, rows, n, static_cast<const T*>(x),
           static_cast<const T*>(g), static_cast<T*>(out));
  });
}

namespace {
// sums[2 row, 2 row + 1]: of a chunk of a row the sums of x - shift and of its square. A block for each chunk.
template <class T>
__global__ void square_sums_kernel(ReduceShape s, Chunks chunks, const T* x, const T* shift, double* sums) {
  const FloatReduction<ReduceOp::sum> sum{};
  const int64_t row = blockIdx.x / chunks.count, chunk = blockIdx.x % chunks.count, end = chunks.end(chunk, s.reduce);
  const T* from = x + row / s.inner * s.reduce * s.inner + row % s.inner;
  const double middle = shift != nullptr ? double(shift[row]) : 0.0;
  double first = 0, second = 0;
  for (int64_t i = chunks.begin(chunk) + threadIdx.x; i < end; i += kThreads) {
    const double d = double(from[i * s.inner]) - middle;
    first += d;
    second += d * d;
  }
  first = combine_block(sum, first);
  __syncthreads();  // the partial sums have been read
  second = combine_block(sum, second);
  if (threadIdx.x == 0) {
    sums[2 * blockIdx.x] = first;
    sums[2 * blockIdx.x + 1] = second;
  }
}

// As reference/reduce.cpp: what the shift lacks to the mean is taken off, and what is rounding alone is 0.
template <class T>
__global__ void finish_squares_kernel(int64_t rows, int64_t n, int64_t chunks, bool shifted, double scale, bool root,
                                      const double* sums, T* y) {
  const int64_t row = thread_index();
  if (row >= rows) return;
  double first = 0, second = 0;
  for (int64_t k = row * chunks; k < (row + 1) * chunks; ++k) {
    first += sums[2 * k];
    second += sums[2 * k + 1];
  }
  double result = second;
  if (shifted && n > 0) {
    result -= first * first / double(n);
    if (result < second * 1e-12) result = 0;
  }
  result *= scale;
  y[row] = T(root ? sqrt(result) : result);
}
}  // namespace

template <class T>
void sum_squares(const Queue& queue, const ReduceShape& s, const T* x, const T* shift, double scale, bool root, T* y) {
  constexpr const char* kOp = "sum_squares";
  const int64_t rows = s.outer * s.inner;
  if (rows == 0) return;
  const Chunks chunks{kChunk, s.reduce > kChunk ? (s.reduce + kChunk - 1) / kChunk : 1};
  const Scratch<double> sums(queue, 2 * rows * chunks.count);
  launch(kOp, square_sums_kernel<T>, grid_of(kOp, rows * chunks.count), kThreads, 0, queue, s, chunks, x, shift, sums.data());
  launch(kOp, finish_squares_kernel<T>, blocks_for(rows), kThreads, 0, queue, rows, s.reduce, chunks.count, shift != nullptr,
         scale, root, sums.data(), y);
}

CNNX_INSTANTIATE(reduce, arg_reduce, sum_squares)

}  // namespace cnnx::cuda
