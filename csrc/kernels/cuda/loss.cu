// Losses of class indices: log-softmax, the loss of each row, and their sum or mean in one launch; the gradient in another.
//
// Forward: a row of `classes` values belongs to a group of 1 ... 32 lanes (spatial == 1, classes side by side) or to one thread
// (spatial > 1, neighbouring threads at neighbouring pixels). The losses and weights are summed by threads, blocks and then, by
// the last block to finish, over the grid in the order of the blocks: no second launch, no atomics on floats, no wait. Backward:
// one thread per element, with the incoming gradient and the total weight read from the device.
// Bytes: read logits, write log-probabilities (forward), read those, write the gradient (backward): 16 bytes per logit in all. A
// classifier's batch is a few kilobytes, so both are bound by launch latency; segmentation logits should run at 80 % of the
// memory's rate.
#include <algorithm>

#include "kernels/cuda/row_sums.h"

namespace cnnx::cuda {
namespace {

__device__ GridSums loss_sums;

template <class T>
struct LossRows {
  ClassShape s;
  const T* x;  // logits, or log-probabilities
  const int64_t* target;
  const T* weight;
  int64_t ignore_index;
  T smoothing;
  bool mean;
  T *log_p, *losses, *result;
  double* total_weight;
  int32_t* faults;
};

template <class T>
__device__ T weight_of(const T* weight, int64_t c) {
  return weight != nullptr ? weight[c] : T(1);
}

// Whether a target counts; one that is out of range does not, and is reported.
__device__ inline bool counts(int64_t t, int64_t classes, int64_t ignore_index, int32_t* faults) {
  if (t == ignore_index) return false;
  if (t >= 0 && t < classes) return true;
  faults[int(Fault::class_target)] = 1;
  return false;
}

// lanes: of a group, a power of two.
template <class T, bool kLogits>
__global__ void loss_kernel(LossRows<T> p, int lanes) {
  const int rows_of_block = kRowThreads / lanes, lane = int(threadIdx.x) & (lanes - 1);
  const int64_t rows = p.s.batch * p.s.spatial;
  T loss_sum = 0, weight_sum = 0;
  for (int64_t first = blockIdx.x * int64_t(rows_of_block); first < rows; first += int64_t(gridDim.x) * rows_of_block) {
    const int64_t row = first + int(threadIdx.x) / lanes;
    const bool live = row < rows;
    const int64_t length = live ? p.s.classes : 0;  // every lane takes part in the shuffles
    const int64_t start = live ? row / p.s.spatial * p.s.classes * p.s.spatial + row % p.s.spatial : 0;
    const T* x = p.x + start;
    T shift = 0, log_sum = 0;
    if constexpr (kLogits) {
      const auto norm = row_norm(Group{lane, lanes}, x, length, p.s.spatial);
      shift = norm.shift;
      log_sum = log(norm.sum);
      for (int64_t r = lane; r < length; r += lanes) p.log_p[start + r * p.s.spatial] = x[r * p.s.spatial] - shift - log_sum;
    }
    const auto log_p = [&](int64_t c) { return kLogits ? x[c * p.s.spatial] - shift - log_sum : x[c * p.s.spatial]; };
    T spread = 0;
    if (p.smoothing > 0) {
      for (int64_t r = lane; r < length; r += lanes) spread -= weight_of(p.weight, r) * log_p(r);
      spread = group_sum(spread, lanes);
    }
    if (!live || lane != 0) continue;
    const int64_t t = p.target[row];
    T loss = 0;
    if (counts(t, p.s.classes, p.ignore_index, p.faults)) {
      const T weight = weight_of(p.weight, t);
      loss = -weight * log_p(t);
      if (p.smoothing > 0) loss = (1 - p.smoothing) * loss + p.smoothing / T(p.s.classes) * spread;
      loss_sum += loss;
      weight_sum += weight;
    }
    if (p.losses != nullptr) p.losses[row] = loss;
  }
  if (p.result == nullptr && p.total_weight == nullptr) return;
  double loss = loss_sum, weight = weight_sum;
  if (!grid_sum(loss_sums, loss, weight)) return;
  if (p.result != nullptr) *p.result = T(p.mean ? loss / weight : loss);
  if (p.total_weight != nullptr) *p.total_weight = weight;
}

template <bool kLogits, class T>
void forward(const Queue& queue, const char* op, const LossRows<T>& p) {
  const int lanes = p.s.spatial > 1 ? 1 : lanes_for(p.s.classes);
  const int64_t rows = p.s.batch * p.s.spatial;
  const int64_t rows_of_block = kRowThreads / lanes;
  // One block at least: the sum of nothing is a result too.
  const int64_t blocks = std::clamp<int64_t>((rows + rows_of_block - 1) / rows_of_block, 1, kMaxSumBlocks);
  launch(op, loss_kernel<T, kLogits>, dim3(unsigned(blocks)), dim3(kRowThreads), 0, queue, p, lanes);
}

}  // namespace

template <class T>
void nll_forward(const Queue& queue, const ClassShape& s, const T* log_p, const int64_t* target, const T* weight,
                 int64_t ignore_index, double label_smoothing, bool mean, T* losses, T* result, double* total_weight) {
  forward<false>(queue, "nll_forward",
                 LossRows<T>{s, log_p, target, weight, ignore_index, T(label_smoothing), mean, nullptr, losses, result,
                             total_weight, faults(queue.device)});
}

template <class T>
void cross_entropy_forward(const Queue& queue, const ClassShape& s, const T* logits, const int64_t* target, const T* weight,
                           int64_t ignore_index, double label_smoothing, bool mean, T* log_p, T* losses, T* result,
                           double* total_weight) {
  forward<true>(queue, "cross_entropy_forward",
                LossRows<T>{s, logits, target, weight, ignore_index, T(label_smoothing), mean, log_p, losses, result,
                            total_weight, faults(queue.device)});
}

namespace {
template <class T>
struct LossSlopes {
  ClassShape s;
  const T* log_p;  // null: the gradient with respect to log-probabilities
  const int64_t* target;
  const T* weight;
  int64_t ignore_index;
  T smoothing;
  const T* grad;
  bool each;
  const double* divisor;
  T* grad_input;
};

// With q the target distribution (weights included), loss = -sum q log_p, so d loss / d logit = softmax * sum(q) - q.
template <class T>
__global__ void slope_kernel(LossSlopes<T> p) {
  CNNX_SHARED(T, shared, [2]);  // the factor of every loss; the sum of what smoothing gives to all classes
  const T spread = p.smoothing / T(p.s.classes);
  double weights = 0;
  if (p.smoothing > 0) {
    for (int64_t c = threadIdx.x; c < p.s.classes; c += kRowThreads) weights += double(weight_of(p.weight, c));
    weights = block_sum(weights);
  }
  if (threadIdx.x == 0) {
    shared[0] = p.each ? T(1) : p.divisor != nullptr ? T(double(*p.grad) / *p.divisor) : *p.grad;
    shared[1] = T(double(spread) * weights);
  }
  __syncthreads();
  const int64_t image = p.s.classes * p.s.spatial, count = p.s.batch * image;
  for (int64_t i = blockIdx.x * int64_t(kRowThreads) + threadIdx.x; i < count; i += int64_t(gridDim.x) * kRowThreads) {
    const int64_t n = i / image, c = i % image / p.s.spatial, row = n * p.s.spatial + i % p.s.spatial, t = p.target[row];
    T slope = 0;
    if (t != p.ignore_index && t >= 0 && t < p.s.classes) {
      const T peak = (1 - p.smoothing) * weight_of(p.weight, t);
      const T q = (c == t ? peak : T(0)) + (p.smoothing > 0 ? spread * weight_of(p.weight, c) : T(0));
      slope = (p.each ? p.grad[row] : shared[0]) * (p.log_p != nullptr ? exp(p.log_p[i]) * (peak + shared[1]) - q : -q);
    }
    p.grad_input[i] = slope;
  }
}

template <class T>
void backward(const Queue& queue, const char* op, const LossSlopes<T>& p) {
  const int64_t count = p.s.batch * p.s.classes * p.s.spatial;
  launch(op, slope_kernel<T>, dim3(unsigned(std::min<int64_t>((count + kRowThreads - 1) / kRowThreads, 1 << 16))),
         dim3(kRowThreads), 0, queue, p);
}
}  // namespace

template <class T>
void cross_entropy_backward(const Queue& queue, const ClassShape& s, const T* log_p, const int64_t* target, const T* weight,
                            int64_t ignore_index, double label_smoothing, const T* grad, bool each, const double* divisor,
                            T* grad_input) {
  backward(queue, "cross_entropy_backward",
           LossSlopes<T>{s, log_p, target, weight, ignore_index, T(label_smoothing), grad, each, divisor, grad_input});
}

template <class T>
void nll_backward(const Queue& queue, const ClassShape& s, const int64_t* target, const T* weight, int64_t ignore_index,
                  const T* grad, bool each, const double* divisor, T* grad_input) {
  backward(queue, "nll_backward", LossSlopes<T>{s, nullptr, target, weight, ignore_index, T(0), grad, each, divisor, grad_input});
}

CNNX_INSTANTIATE(nll_forward, cross_entropy_forward, cross_entropy_backward, nll_backward)

}  // namespace cnnx::cuda
