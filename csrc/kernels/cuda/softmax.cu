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

enum class Form { softmax, log_softmax, logsumexp };

template <class T>
__device__ T result_of(Form form, T value, T shift, T sum, T log_sum) {
  return form == Form::log_softmax ? value - shift - log_sum : exp(value - shift) / sum;
}

// lanes: of a group, a power of two.
template <class T>
__global__ void rows_kernel(ReduceShape s, int lanes, Form form, const T* x, T* y) {
  const int rows = kRowThreads / lanes, lane = int(threadIdx.x) & (lanes - 1);
  for (int64_t first = blockIdx.x * int64_t(rows); first < s.outer; first += int64_t(gridDim.x) * rows) {
    const int64_t o = first + int(threadIdx.x) / lanes;
    const int64_t length = o < s.outer ? s.reduce : 0;  // every lane takes part in the shuffles
    const T* row = x + o * s.reduce;
    const auto [shift, sum] = group_norm(row, length, int64_t{1}, lane, lanes, form == Form::logsumexp);
    const T log_sum = log(sum);
    if (form == Form::logsumexp) {
      if (lane == 0 && o < s.outer) y[o] = shift + log_sum;
      continue;
    }
    for (int64_t r = lane; r < length; r += lanes) y[o * s.reduce + r] = result_of(form, row[r], shift, sum, log_sum);
  }
}

template <class T>
__global__ void columns_kernel(ReduceShape s, Form form, const T* x, T* y) {
  const int64_t rows = s.outer * s.inner;
  for (int64_t i = blockIdx.x * int64_t(kRowThreads) + threadIdx.x; i < rows; i += int64_t(gridDim.x) * kRowThreads) {
    const int64_t start = i / s.inner * s.reduce * s.inner + i % s.inner;
    const auto [shift, sum] = group_norm(x + start, s.reduce, s.inner, 0, 1, form == Form::logsumexp);
    const T log_sum = log(sum);
    if (form == Form::logsumexp) {
      y[i] = shift + log_sum;
      continue;
    }
    for (int64_t r = 0; r < s.reduce; ++r) y[start + r * s.inner] = result_of(form, x[start + r * s.inner], shift, sum, log_sum);
  }
}

// The sum or maximum of what the threads of a block hold, for all of them.
template <class T, bool kMax>
__device__ T block_all(T value) {
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
__global__ void long_rows_kernel(ReduceShape s, Form form, const T* x, T* y) {
  for (int64_t o = blockIdx.x; o < s.outer; o += gridDim.x) {
    const T* row = x + o * s.reduce;
    T shift = lowest<T>(), sum = 0;
    for (int64_t r = threadIdx.x; r < s.reduce; r += kRowThreads) {
      const T value = row[r];
      if (value > shift) shift = value;
    }
    shift = block_all<T, true>(shift);
    if (form == Form::logsumexp && isinf(shift)) shift = 0;
    for (int64_t r = threadIdx.x; r < s.reduce; r += kRowThreads) sum += exp(row[r] - shift);
    sum = block_all<T, false>(sum);
    const T log_sum = log(sum);
    if (form == Form::logsumexp) {
      if (threadIdx.x == 0) y[o] = shift + log_sum;
      continue;
    }
    for (int64_t r = threadIdx.x; r < s.reduce; r += kRowThreads)
      y[o * s.reduce + r] = result_of(form, row[r], shift, sum, log_sum);
  }
}

// grad_input = g - exp(y) sum(g) for the logarithm, y (g - sum(g y)) for the softmax itself.
template <class T>
__device__ T gradient_of(bool log_form, T g, T y, T sum) {
  return log_form ? g - exp(y) * sum : y * (g - sum);
}

template <class T>
__global__ void rows_backward_kernel(ReduceShape s, int lanes, bool log_form, const T* g, const T* y, T* grad_input) {
  const int rows = kRowThreads / lanes, lane = int(threadIdx.x) & (lanes - 1);
  for (int64_t first = blockIdx.x * int64_t(rows); first < s.outer; first += int64_t(gridDim.x) * rows) {
    const int64_t o = first + int(threadIdx.x) / lanes, length = o < s.outer ? s.reduce : 0, start = o * s.reduce;
    T sum = 0;
    for (int64_t r = lane; r < length; r += lanes) sum += log_form ? g[start + r] : g[start + r] * y[start + r];
    sum = group_sum(sum, lanes);
    for (int64_t r = lane; r < length; r += lanes) grad_input[start + r] = gradient_of(log_form, g[start + r], y[start + r], sum);
  }
}

template <class T>
__global__ void columns_backward_kernel(ReduceShape s, bool log_form, const T* g, const T* y, T* grad_input) {
  const int64_t rows = s.outer * s.inner;
  for (int64_t i = blockIdx.x * int64_t(kRowThreads) + threadIdx.x; i < rows; i += int64_t(gridDim.x) * kRowThreads) {
    const int64_t start = i / s.inner * s.reduce * s.inner + i % s.inner, end = start + s.reduce * s.inner;
    T sum = 0;
    for (int64_t at = start; at < end; at += s.inner) sum += log_form ? g[at] : g[at] * y[at];
    for (int64_t at = start; at < end; at += s.inner) grad_input[at] = gradient_of(log_form, g[at], y[at], sum);
  }
}

template <class T>
__global__ void long_rows_backward_kernel(ReduceShape s, bool log_form, const T* g, const T* y, T* grad_input) {
  for (int64_t o = blockIdx.x; o < s.outer; o += gridDim.x) {
    const int64_t start = o * s.reduce, end = start + s.reduce;
    T sum = 0;
    for (int64_t at = start + threadIdx.x; at < end; at += kRowThreads) sum += log_form ? g[at] : g[at] * y[at];
    sum = block_all<T, false>(sum);
    for (int64_t at = start + threadIdx.x; at < end; at += kRowThreads) grad_input[at] = gradient_of(log_form, g[at], y[at], sum);
  }
}

dim3 blocks_for(int64_t items, int64_t per_block) {
  return dim3(unsigned(std::min<int64_t>((items + per_block - 1) / per_block, 1 << 20)));
}

template <class T>
void forward(const Queue& queue, const char* op, const ReduceShape& s, Form form, const T* x, T* y) {
  const dim3 threads(kRowThreads);
  if (s.outer * s.inner == 0 || (s.reduce == 0 && form != Form::logsumexp)) return;
  if (s.inner > 1) {
    launch(op, columns_kernel<T>, blocks_for(s.outer * s.inner, kRowThreads), threads, 0, queue, s, form, x, y);
  } else if (s.reduce > kLongRow) {
    launch(op, long_rows_kernel<T>, blocks_for(s.outer, 1), threads, 0, queue, s, form, x, y);
  } else {
    const int lanes = lanes_for(s.reduce);
    launch(op, rows_kernel<T>, blocks_for(s.outer, kRowThreads / lanes), threads, 0, queue, s, lanes, form, x, y);
  }
}

}  // namespace

template <class T>
void softmax(const Queue& queue, const ReduceShape& s, bool log, const T* x, T* y) {
  forward(queue, "softmax", s, log ? Form::log_softmax : Form::softmax, x, y);
}

template <class T>
void logsumexp(const Queue& queue, const ReduceShape& s, const T* x, T* y) {
  forward(queue, "logsumexp", s, Form::logsumexp, x, y);
}

template <class T>
void softmax_backward(const Queue& queue, const ReduceShape& s, bool log, const T* g, const T* y, T* grad_input) {
  constexpr const char* kOp = "softmax_backward";
  const dim3 threads(kRowThreads);
  if (s.outer * s.reduce * s.inner == 0) return;
  if (s.inner > 1) {
    launch(kOp, columns_backward_kernel<T>, blocks_for(s.outer * s.inner, kRowThreads), threads, 0, queue, s, log, g, y,
           grad_input);
  } else if (s.reduce > kLongRow) {
    launch(kOp, long_rows_backward_kernel<T>, blocks_for(s.outer, 1), threads, 0, queue, s, log, g, y, grad_input);
  } else {
    const int lanes = lanes_for(s.reduce);
    launch(kOp, rows_backward_kernel<T>, blocks_for(s.outer, kRowThreads / lanes), threads, 0, queue, s, lanes, log, g, y,
           grad_input);
  }
}

CNNX_INSTANTIATE(softmax, logsumexp, softmax_backward)

}  // namespace cnnx::cuda
