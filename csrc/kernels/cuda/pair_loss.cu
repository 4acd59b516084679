// Losses of pairs of input and target, element by element, with their sum in the same launch, and their gradients.
//
// One thread per element in a grid-stride loop. Sums go thread, block, grid in a fixed order (row_sums.h). Bytes: two reads a
// pair for a sum, two reads and a write else (weights: one more read each). Bound by memory: expect 80 % of its rate, the
// logarithms of the two cross-entropies in double excepted.
#include <algorithm>

#include "kernels/cuda/row_sums.h"

namespace cnnx::cuda {
namespace {

__device__ GridSums pair_sums;

template <class T>
__device__ T bounded_log(T log) {
  return log < T(-100) ? T(-100) : log;
}

template <class T>
__device__ T loss_of(PairLoss op, T x, T t, T pos_weight, T beta) {
  const T d = x > t ? x - t : t - x;
  switch (op) {
    case PairLoss::mse: return d * d;
    case PairLoss::l1: return d;
    case PairLoss::smooth_l1: return d < beta ? d * d * (T(0.5) / beta) : d - T(0.5) * beta;
    case PairLoss::huber: return d < beta ? d * d * T(0.5) : (d - T(0.5) * beta) * beta;
    case PairLoss::bce: return -(t * bounded_log(log(x)) + (1 - t) * bounded_log(log1p(-x)));
    case PairLoss::bce_with_logits: {
      // (1 - t) x + w softplus(-x), w = 1 - t + pos_weight t, with the parts of softplus sorted by sign so that nothing cancels.
      const T rest = log1p(exp(x < 0 ? x : -x));
      return (1 + (pos_weight - 1) * t) * rest + (x < 0 ? -(pos_weight * t) : 1 - t) * x;
    }
    case PairLoss::kl_div: return t == 0 ? -(t * x) : t * (log(t) - x);
    case PairLoss::kl_div_log: return exp(t) * (t - x);
  }
  return T(NAN);
}

template <class T>
__device__ T slope_of(PairLoss op, T x, T t, T pos_weight, T beta) {
  const T d = x - t;
  switch (op) {
    case PairLoss::mse: return d;  // the factor 2 goes to the incoming gradient: 2 d may be too large
    case PairLoss::l1: return d > 0 ? T(1) : d < 0 ? T(-1) : T(0);
    case PairLoss::smooth_l1: return d >= beta ? T(1) : d <= -beta ? T(-1) : d / beta;
    case PairLoss::huber: return d >= beta ? beta : d <= -beta ? -beta : d;
    case PairLoss::bce: {
      const T spread = (1 - x) * x;
      return d / (spread > T(1e-12) ? spread : T(1e-12));
    }
    case PairLoss::bce_with_logits: return (1 - t) / (1 + exp(-x)) - pos_weight * t / (1 + exp(x));
    case PairLoss::kl_div: return -t;
    case PairLoss::kl_div_log: return -exp(t);
  }
  return T(NAN);
}

template <class T>
__device__ T or_one(const T* data, int64_t i) {
  return data != nullptr ? data[i] : T(1);
}

template <class T>
__global__ void pair_kernel(PairLoss op, int64_t n, T beta, const T* input, const T* target, const T* weight, const T* pos_weight,
                            double divisor, T* losses, T* result, int32_t* faults) {
  double sum = 0;  // what a thread sums may be too large for a float where the mean is not
  for (int64_t i = blockIdx.x * int64_t(kRowThreads) + threadIdx.x; i < n; i += int64_t(gridDim.x) * kRowThreads) {
    const T x = input[i], t = target[i];
    if (op == PairLoss::bce && !(x >= 0 && x <= 1 && t >= 0 && t <= 1)) faults[int(Fault::probability)] = 1;
    const T loss = or_one(weight, i) * loss_of(op, x, t, or_one(pos_weight, i), beta);
    if (losses != nullptr) losses[i] = loss;
    else sum += loss;
  }
  if (losses != nullptr) return;
  double total = sum, unused = 0;
  if (grid_sum(pair_sums, total, unused)) *result = T(total / divisor);
}

template <class T>
__global__ void pair_backward_kernel(PairLoss op, int64_t n, T beta, const T* input, const T* target, const T* weight,
                                     const T* pos_weight, const T* grad, bool each, T divisor, T* grad_input) {
  const T twice = op == PairLoss::mse ? T(2) : T(1), all = each ? T(0) : *grad * twice / divisor;
  for (int64_t i = blockIdx.x * int64_t(kRowThreads) + threadIdx.x; i < n; i += int64_t(gridDim.x) * kRowThreads)
    grad_input[i] =
        (each ? grad[i] * twice : all) * or_one(weight, i) * slope_of(op, input[i], target[i], or_one(pos_weight, i), beta);
}

}  // namespace

template <class T>
void pair_loss(const Queue& queue, PairLoss op, const PairShape& s, double beta, const T* input, const T* target, const T* weight,
               const T* pos_weight, double divisor, T* losses, T* result, bool*) {
  const int64_t n = s.numel();
  // One block at least: the sum of nothing is a result too.
  const int64_t blocks = std::clamp<int64_t>((n + kRowThreads - 1) / kRowThreads, 1, kMaxSumBlocks);
  launch("pair_loss", pair_kernel<T>, dim3(unsigned(blocks)), dim3(kRowThreads), 0, queue, op, n, T(beta), input, target, weight,
         pos_weight, divisor, losses, result, faults(queue.device));
}

template <class T>
void pair_loss_backward(const Queue& queue, PairLoss op, int64_t n, double beta, const T* input, const T* target, const T* weight,
                        const T* pos_weight, const T* grad, bool each, double divisor, T* grad_input) {
  launch("pair_loss_backward", pair_backward_kernel<T>,
         dim3(unsigned(std::min<int64_t>((n + kRowThreads - 1) / kRowThreads, 1 << 14))), dim3(kRowThreads), 0, queue, op, n,
         T(beta), input, target, weight, pos_weight, grad, each, T(divisor), grad_input);
}

CNNX_INSTANTIATE(pair_loss, pair_loss_backward)

}  // namespace cnnx::cuda
