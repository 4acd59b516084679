// Distances of all pairs of rows, from the differences themselves, and their gradients.
//
// Forward: a warp for each pair, lanes along the features; a row of x is read once for each row of y, from the caches where the
// rows are short. Backward: a thread for each element of the gradient, which goes over the other rows in order, so that every run
// gives the same bits; neighbouring threads read neighbouring features. Operations: 3 for a feature of a pair; expect the
// caches' rate.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/row_sums.h"

namespace cnnx::cuda {
namespace {

// The p-norm by a warp, scaled by the largest difference, in double.
template <class T>
__device__ double scaled_norm(double p, int64_t features, int lane, const T* x, const T* y, double largest) {
  double sum = 0;
  for (int64_t k = lane; k < features; k += 32) {
    const double ratio = fabs(double(x[k]) - double(y[k])) / largest;
    sum += p == 2 ? ratio * ratio : pow(ratio, p);
  }
  sum = group_sum(sum);
  return largest * (p == 2 ? sqrt(sum) : pow(sum, 1 / p));
}

template <class T>
__global__ void cdist_kernel(CdistShape s, double p, const T* x, const T* y, T* distance) {
  const int64_t pair = thread_index() / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (pair >= s.batch * s.x_rows * s.y_rows) return;  // whole warps
  const int64_t b = pair / (s.x_rows * s.y_rows), i = pair / s.y_rows % s.x_rows, j = pair % s.y_rows;
  const T *left = x + b * s.x_step() + i * s.features, *right = y + b * s.y_step() + j * s.features;
  T sum = 0, largest = 0, missing = 0;
  for (int64_t k = lane; k < s.features; k += 32) {
    const T d = fabs(left[k] - right[k]);
    if (d != d) missing = d;
    if (d > largest) largest = d;
    sum += p == 0 ? T(d != 0) : p == 1 ? d : d * d;
  }
  sum = group_sum(sum);
  largest = group_max(largest);
  missing = group_sum(missing);  // NaN if there is one
  T result = sum;
  if (missing != missing) result = missing;
  else if (p == 0 || p == 1) result = sum;
  else if (p == INFINITY || largest == 0 || largest == T(INFINITY)) result = largest;
  else if (p == 2 && sum > T(1e-30) && sum < T(INFINITY)) result = sqrt(sum);
  else result = static_cast<T>(scaled_norm(p, s.features, lane, left, right, double(largest)));
  if (lane == 0) distance[pair] = result;
}

template <class T>
__device__ T slope_of(double p, T d, T distance) {
  const T size = fabs(d), sign = T((d > 0) - (d < 0));
  if (distance == 0) return T(0);
  if (p == 2) return d / distance;  // NaN where another feature is
  if (d == 0) return T(0);
  if (p == 1) return sign;
  if (p == INFINITY) return size == distance ? sign : T(0);
  return sign * pow(size / distance, T(p - 1));
}

template <class T>
__global__ void cdist_backward_kernel(CdistShape s, double p, bool transposed, const T* grad, const T* distance, const T* x,
                                      const T* y, T* grad_x) {
  const int64_t at = thread_index();
  if (at >= s.batch * s.x_rows * s.features) return;
  const int64_t k = at % s.features, i = at / s.features % s.x_rows, b = at / s.features / s.x_rows;
  const int64_t first = b * s.x_rows * s.y_rows + (transposed ? i : i * s.y_rows), step = transposed ? s.x_rows : 1;
  const T own = x[b * s.x_step() + i * s.features + k];
  const T* other = y + b * s.y_step() + k;
  T sum = 0;
  for (int64_t j = 0; j < s.y_rows && p != 0; ++j)
    sum += grad[first + j * step] * slope_of(p, own - other[j * s.features], distance[first + j * step]);
  grad_x[at] = sum;
}

}  // namespace

template <class T>
void cdist(const Queue& queue, const CdistShape& s, double p, const T* x, const T* y, T* distance) {
  constexpr int kPairs = kThreads / 32;
  launch("cdist", cdist_kernel<T>, grid_of("cdist", (s.batch * s.x_rows * s.y_rows + kPairs - 1) / kPairs), kThreads, 0, queue, s,
         p, x, y, distance);
}

template <class T>
void cdist_backward(const Queue& queue, const CdistShape& s, double p, bool transposed, const T* grad, const T* distance,
                    const T* x, const T* y, T* grad_x) {
  launch("cdist_backward", cdist_backward_kernel<T>, blocks_for(s.batch * s.x_rows * s.features), kThreads, 0, queue, s, p,
         transposed, grad, distance, x, y, grad_x);
}

CNNX_INSTANTIATE(cdist, cdist_backward)

}  // namespace cnnx::cuda
