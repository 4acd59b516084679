// Losses of pairs of input and target, element by element, and their gradients with respect to the input.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

double sign(double x) { return static_cast<double>((x > 0) - (x < 0)); }
double bounded_log(double log) { return log < -100 ? -100 : log; }

double loss_of(PairLoss op, double x, double t, double pos_weight, double beta) {
  const double d = std::fabs(x - t);
  switch (op) {
    case PairLoss::mse: return d * d;
    case PairLoss::l1: return d;
    case PairLoss::smooth_l1: return d < beta ? 0.5 * d * d / beta : d - 0.5 * beta;
    case PairLoss::huber: return d < beta ? 0.5 * d * d : beta * (d - 0.5 * beta);
    case PairLoss::bce: return -(t * bounded_log(std::log(x)) + (1 - t) * bounded_log(std::log1p(-x)));
    case PairLoss::bce_with_logits: {
      // (1 - t) x + w softplus(-x), w = 1 - t + pos_weight t, with the parts of softplus sorted by sign so that nothing cancels.
      const double rest = std::log1p(std::exp(-std::fabs(x)));
      return (1 + (pos_weight - 1) * t) * rest + (x < 0 ? -(pos_weight * t) : 1 - t) * x;
    }
    case PairLoss::kl_div: return t == 0 ? -(t * x) : t * (std::log(t) - x);
    case PairLoss::kl_div_log: return std::exp(t) * (t - x);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

double slope_of(PairLoss op, double x, double t, double pos_weight, double beta) {
  const double d = x - t;
  switch (op) {
    case PairLoss::mse: return 2 * d;
    case PairLoss::l1: return sign(d);
    case PairLoss::smooth_l1: return d >= beta ? 1 : d <= -beta ? -1 : d / beta;
    case PairLoss::huber: return d >= beta ? beta : d <= -beta ? -beta : d;
    case PairLoss::bce: return d / std::max((1 - x) * x, 1e-12);
    case PairLoss::bce_with_logits: return (1 - t) / (1 + std::exp(-x)) - pos_weight * t / (1 + std::exp(x));
    case PairLoss::kl_div: return -t;
    case PairLoss::kl_div_log: return -std::exp(t);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

template <class T>
void pair_loss(const Queue&, PairLoss op, const PairShape& s, double beta, const T* input, const T* target, const T* weight,
               const T* pos_weight, double divisor, T* losses, T* result, bool* in_range) {
  double sum = 0;
  bool inside = true;
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t f = 0; f < s.features; ++f) {
      const int64_t i = lanes_index(n, 0, f, 1, s.features, s.lanes);
      const double loss = (weight != nullptr ? double(weight[i]) : 1.0) *
                          loss_of(op, input[i], target[i], pos_weight != nullptr ? double(pos_weight[i]) : 1.0, beta);
      inside = inside && input[i] >= 0 && input[i] <= 1 && target[i] >= 0 && target[i] <= 1;
      if (losses != nullptr) losses[i] = static_cast<T>(loss);
      else sum += loss;
    }
  if (losses == nullptr) *result = static_cast<T>(sum / divisor);
  if (op == PairLoss::bce) *in_range = inside;
}

template <class T>
void pair_loss_backward(const Queue&, PairLoss op, int64_t n, double beta, const T* input, const T* target, const T* weight,
                        const T* pos_weight, const T* grad, bool each, double divisor, T* grad_input) {
  for (int64_t i = 0; i < n; ++i) {
    const double g = (each ? double(grad[i]) : *grad / divisor) * (weight != nullptr ? double(weight[i]) : 1.0);
    grad_input[i] =
        static_cast<T>(g * slope_of(op, input[i], target[i], pos_weight != nullptr ? double(pos_weight[i]) : 1.0, beta));
  }
}

CNNX_INSTANTIATE(pair_loss, pair_loss_backward)

}  // namespace cnnx::reference
