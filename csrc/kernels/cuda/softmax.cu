// Softmax, log-softmax, logsumexp and their gradients over the middle extent of (outer, reduce, inner).
//
// inner == 1: a group of 1, 2, 4 ... 32 lanes reads a row, neighbours side by side, with sums by shuffles; rows longer than 4096
// have a block of their own. inner > 1: a thread reads a row, neighbouring threads neighbouring rows, so that every read of a
// warp is of neighbours. A row is read three times (maximum, sum, result), from the caches but for the first time.
// Bytes: one read and one write of the tensor forward, two reads and one write backward; expect 80 % of the memory's rate for
// tensors beyond the L2 cache, launch latency for those of a classifier.
#include <algorithm>

#include "kernels/cuda/row_sums.h"

namespace cnnx::cuda {
namespace {

constexpr int64_t kLongRow = 4096;

// A block as the reader of a row (row_sums.h).
struct Block {
  int lane = int(threadIdx.x), lanes = kRowThreads;
  template <class T, bool kMax = false>
  __device__ T sum(T value) const {
    CNNX_SHARED(T, warps, [kRowThreads / 32]);
    if constexpr (kMax) value = group_max(value);
    else value = group_sum(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    value = warps[0];
    for (int i = 1; i < kRowThreads / 32; ++i) {
      if constexpr (kMax) value = warps[i] > value ? warps[i] : value;
      else value += warps[i];
    }
    return value;
  }
  template <class T>
  __device__ T maximum(T value) const {
    return sum<T, true>(value);
  }
};

enum class Form { softmax, log_softmax, logsumexp };

// What is done to row number `row`, whose elements lie `step` apart from `start` on. A group without a row has length 0.
template <class T>
struct Forward {
  Form form;
  const T* x;
  T* y;
  template <class Reader>
  __device__ void operator()(const Reader& reader, int64_t row, int64_t start, int64_t length, int64_t step, bool live) const {
    const auto [shift, sum] = row_norm(reader, x + start, length, step, form == Form::logsumexp);
    const T log_sum = log(sum);
    if (form == Form::logsumexp) {
      if (reader.lane == 0 && live) y[row] = shift + log_sum;
      return;
    }
    for (int64_t r = reader.lane; r < length; r += reader.lanes) {
      const T value = x[start + r * step] - shift;
      y[start + r * step] = form == Form::log_softmax ? value - log_sum : exp(value) / sum;
    }
  }
};

// grad_input = g - exp(y) sum(g) for the logarithm, y (g - sum(g y)) for the softmax itself.
template <class T>
struct Backward {
  bool log_form;
  const T *g, *y;
  T* grad_input;
  template <class Reader>
  __device__ void operator()(const Reader& reader, int64_t, int64_t start, int64_t length, int64_t step, bool) const {
    const int64_t first = start + reader.lane * step, end = start + length * step, next = reader.lanes * step;
    T sum = 0;
    for (int64_t at = first; at < end; at += next) sum += log_form ? g[at] : g[at] * y[at];
    sum = reader.sum(sum);
    for (int64_t at = first; at < end; at += next) grad_input[at] = log_form ? g[at] - exp(y[at]) * sum : y[at] * (g[at] - sum);
  }
};

// lanes: of a group, a power of two. Every lane takes part in the shuffles.
template <class Row>
__global__ void rows_kernel(ReduceShape s, int lanes, Row row) {
  const int rows = kRowThreads / lanes;
  const Group group{int(threadIdx.x) & (lanes - 1), lanes};
  for (int64_t first = blockIdx.x * int64_t(rows); first < s.outer; first += int64_t(gridDim.x) * rows) {
    const int64_t o = first + int(threadIdx.x) / lanes;
    row(group, o, o * s.reduce, o < s.outer ? s.reduce : 0, 1, o < s.outer);
  }
}

template <class Row>
__global__ void columns_kernel(ReduceShape s, Row row) {
  const int64_t rows = s.outer * s.inner;
  for (int64_t i = blockIdx.x * int64_t(kRowThreads) + threadIdx.x; i < rows; i += int64_t(gridDim.x) * kRowThreads)
    row(Group{0, 1}, i, i / s.inner * s.reduce * s.inner + i % s.inner, s.reduce, s.inner, true);
}

template <class Row>
__global__ void long_rows_kernel(ReduceShape s, Row row) {
  for (int64_t o = blockIdx.x; o < s.outer; o += gridDim.x) row(Block{}, o, o * s.reduce, s.reduce, 1, true);
}

template <class Row>
void for_rows(const Queue& queue, const char* op, const ReduceShape& s, const Row& row) {
  const auto blocks_for = [](int64_t items, int64_t per_block) {
    return dim3(unsigned(std::min<int64_t>((items + per_block - 1) / per_block, 1 << 20)));
  };
  const dim3 threads(kRowThreads);
  const int lanes = lanes_for(s.reduce);
  if (s.inner > 1) launch(op, columns_kernel<Row>, blocks_for(s.outer * s.inner, kRowThreads), threads, 0, queue, s, row);
  else if (s.reduce > kLongRow) launch(op, long_rows_kernel<Row>, blocks_for(s.outer, 1), threads, 0, queue, s, row);
  else launch(op, rows_kernel<Row>, blocks_for(s.outer, kRowThreads / lanes), threads, 0, queue, s, lanes, row);
}

}  // namespace

template <class T>
void softmax(const Queue& queue, const ReduceShape& s, bool log, const T* x, T* y) {
  if (s.outer * s.reduce * s.inner == 0) return;
  for_rows(queue, "softmax", s, Forward<T>{log ? Form::log_softmax : Form::softmax, x, y});
}

template <class T>
void logsumexp(const Queue& queue, const ReduceShape& s, const T* x, T* y) {
  if (s.outer * s.inner > 0) for_rows(queue, "logsumexp", s, Forward<T>{Form::logsumexp, x, y});
}

template <class T>
void softmax_backward(const Queue& queue, const ReduceShape& s, bool log, const T* g, const T* y, T* grad_input) {
  if (s.outer * s.reduce * s.inner > 0) for_rows(queue, "softmax_backward", s, Backward<T>{log, g, y, grad_input});
}

CNNX_INSTANTIATE(softmax, logsumexp, softmax_backward)

}  // namespace cnnx::cuda
