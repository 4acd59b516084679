// Negative log-likelihood of class indices, and the gradient of cross-entropy with respect to the logits.
#include <cmath>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

template <class T>
double weight_of(const T* weight, int64_t c) {
  return weight != nullptr ? double(weight[c]) : 1.0;
}

template <class T>
double grad_factor(const T* grad, bool each, const double* divisor) {
  return each ? 0 : *grad / (divisor != nullptr ? *divisor : 1.0);
}

}  // namespace

template <class T>
void nll_forward(const Queue&, const ClassShape& s, const T* log_p, const int64_t* target, const T* weight, int64_t ignore_index,
                 double label_smoothing, bool mean, T* losses, T* result, double* total_weight) {
  double total = 0, loss_sum = 0;
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t i = 0; i < s.spatial; ++i) {
      const int64_t t = target[n * s.spatial + i];
      double loss = 0;
      if (t != ignore_index) {
        const T* row = log_p + n * s.classes * s.spatial + i;
        loss = -weight_of(weight, t) * row[t * s.spatial];
        if (label_smoothing > 0) {
          double sum = 0;
          for (int64_t c = 0; c < s.classes; ++c) sum -= weight_of(weight, c) * row[c * s.spatial];
          loss = (1 - label_smoothing) * loss + label_smoothing / static_cast<double>(s.classes) * sum;
        }
        total += weight_of(weight, t);
      }
      if (losses != nullptr) losses[n * s.spatial + i] = static_cast<T>(loss);
      loss_sum += loss;
    }
  *total_weight = total;
  if (result != nullptr) *result = static_cast<T>(mean ? loss_sum / total : loss_sum);
}

template <class T>
void cross_entropy_forward(const Queue& queue, const ClassShape& s, const T* logits, const int64_t* target, const T* weight,
                           int64_t ignore_index, double label_smoothing, bool mean, T* log_p, T* losses, T* result,
                           double* total_weight) {
  softmax(queue, ReduceShape{s.batch, s.classes, s.spatial}, true, logits, log_p);
  nll_forward(queue, s, log_p, target, weight, ignore_index, label_smoothing, mean, losses, result, total_weight);
}

// With q the target distribution (weights included), loss = -sum q log_p, so d loss / d logit = softmax * sum(q) - q.
template <class T>
void cross_entropy_backward(const Queue&, const ClassShape& s, const T* log_p, const int64_t* target, const T* weight,
                            int64_t ignore_index, double label_smoothing, const T* grad, bool each, const double* divisor,
                            T* grad_input) {
  const double factor = grad_factor(grad, each, divisor);
  const double spread = label_smoothing / static_cast<double>(s.classes);
  double spread_sum = 0;
  if (label_smoothing > 0)
    for (int64_t c = 0; c < s.classes; ++c) spread_sum += spread * weight_of(weight, c);
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t i = 0; i < s.spatial; ++i) {
      const int64_t t = target[n * s.spatial + i];
      const double g = each ? double(grad[n * s.spatial + i]) : factor;
      const double peak = t != ignore_index ? (1 - label_smoothing) * weight_of(weight, t) : 0;
      for (int64_t c = 0; c < s.classes; ++c) {
        const int64_t at = (n * s.classes + c) * s.spatial + i;
        const double q = (c == t ? peak : 0) + (label_smoothing > 0 ? spread * weight_of(weight, c) : 0);
        grad_input[at] = static_cast<T>(t == ignore_index ? 0 : g * (std::exp(double(log_p[at])) * (peak + spread_sum) - q));
      }
    }
}

template <class T>
void nll_backward(const Queue&, const ClassShape& s, const int64_t* target, const T* weight, int64_t ignore_index, const T* grad,
                  bool each, const double* divisor, T* grad_input) {
  const double factor = grad_factor(grad, each, divisor);
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t c = 0; c < s.classes; ++c)
      for (int64_t i = 0; i < s.spatial; ++i) {
        const int64_t row = n * s.spatial + i, t = target[row];
        const double g = each ? double(grad[row]) : factor;
        grad_input[(n * s.classes + c) * s.spatial + i] =
            static_cast<T>(c == t && t != ignore_index ? -g * weight_of(weight, t) : 0);
      }
}

CNNX_INSTANTIATE(nll_forward, cross_entropy_forward, cross_entropy_backward, nll_backward)

}  // namespace cnnx::reference
