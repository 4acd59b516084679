// Negative log-likelihood of class indices, and the gradient of cross-entropy with respect to the logits: exp over everything
// in one flat pass, then what differs from row to row.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec_math.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int64_t kChunk = 16384;

inline float weight_of(const float* weight, int64_t c) { return weight != nullptr ? weight[c] : 1.0f; }

inline double grad_factor(const float* grad, bool each, const double* divisor) {
  return each ? 0 : (double)*grad / (divisor != nullptr ? *divisor : 1);
}

// out = exp(log_p) * factor - shift over everything.
void exp_pass(int64_t n, float factor, float shift, const float* log_p, float* out) {
  parallel_for((n + kChunk - 1) / kChunk, 0.6 * kChunk, [&](int64_t unit) {
    int64_t i = unit * kChunk;
    const int64_t end = i + kChunk < n ? i + kChunk : n;
    for (; i + kLanes <= end; i += kLanes) store(out + i, exp(load(log_p + i)) * factor - shift);
    if (i < end) store_partial(out + i, exp(load_partial(log_p + i, end - i)) * factor - shift, end - i);
  });
}

}  // namespace

void nll_forward(const Queue& queue, const ClassShape& s, const float* log_p, const int64_t* target, const float* weight,
                 int64_t ignore_index, double label_smoothing, bool mean, float* losses, float* result, double* total_weight) {
  if (losses == nullptr) losses = (float*)queue.scratch(0, (size_t)(s.batch * s.spatial) * sizeof(float));
  if (queue.rehearses) return;
  const float keep = (float)(1 - label_smoothing), spread = (float)(label_smoothing / (double)s.classes);
  const double cost = label_smoothing > 0 ? (double)(s.classes * s.spatial) : 2.0 * (double)s.spatial;
  // Images one by one are short work for few classes: some go together.
  const int64_t per_unit = 1 + (int64_t)(10000 / (cost + 1)), units = (s.batch + per_unit - 1) / per_unit;
  parallel_for(units, cost * (double)per_unit, [&](int64_t unit) {
    const int64_t end = (unit + 1) * per_unit < s.batch ? (unit + 1) * per_unit : s.batch;
    for (int64_t n = unit * per_unit; n < end; ++n)
      for (int64_t i = 0; i < s.spatial; ++i) {
        const int64_t t = target[n * s.spatial + i];
        float loss = 0;
        if (t != ignore_index) {
          const float* row = log_p + n * s.classes * s.spatial + i;
          loss = -weight_of(weight, t) * row[t * s.spatial];
          if (label_smoothing > 0) {
            float sum = 0;
            for (int64_t c = 0; c < s.classes; ++c) sum -= weight_of(weight, c) * row[c * s.spatial];
            loss = keep * loss + spread * sum;
          }
        }
        losses[n * s.spatial + i] = loss;
      }
  });
  double total = 0, loss_sum = 0;
  for (int64_t k = 0; k < s.batch * s.spatial; ++k) {
    if (target[k] != ignore_index) total += weight_of(weight, target[k]);
    loss_sum += losses[k];
  }
  *total_weight = total;
  if (result != nullptr) *result = (float)(mean ? loss_sum / total : loss_sum);
}

void cross_entropy_forward(const Queue& queue, const ClassShape& s, const float* logits, const int64_t* target,
                           const float* weight, int64_t ignore_index, double label_smoothing, bool mean, float* log_p,
                           float* losses, float* result, double* total_weight) {
  if (!queue.rehearses) softmax(queue, ReduceShape{s.batch, s.classes, s.spatial}, true, logits, log_p);
  nll_forward(queue, s, log_p, target, weight, ignore_index, label_smoothing, mean, losses, result, total_weight);
}

void nll_backward(const Queue&, const ClassShape& s, const int64_t* target, const float* weight, int64_t ignore_index,
                  const float* grad, bool each, const double* divisor, float* grad_input) {
  const double factor = grad_factor(grad, each, divisor);
  memset(grad_input, 0, (size_t)(s.batch * s.classes * s.spatial) * sizeof(float));
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t i = 0; i < s.spatial; ++i) {
      const int64_t row = n * s.spatial + i, t = target[row];
      if (t == ignore_index) continue;
      const double g = each ? (double)grad[row] : factor;
      grad_input[(n * s.classes + t) * s.spatial + i] = (float)(-g * weight_of(weight, t));
    }
}

void cross_entropy_backward(const Queue&, const ClassShape& s, const float* log_p, const int64_t* target, const float* weight,
                            int64_t ignore_index, double label_smoothing, const float* grad, bool each, const double* divisor,
                            float* grad_input) {
  const double grad_scalar = grad_factor(grad, each, divisor);
  const int64_t image = s.classes * s.spatial;
  const double spread = label_smoothing / (double)s.classes;
  const bool uniform = weight == nullptr && !each;
  if (uniform) {
    // softmax * 1 - q with q the same in every row but for the target's place.
    exp_pass(s.batch * image, (float)grad_scalar, (float)(grad_scalar * spread), log_p, grad_input);
    const float peak = (float)(grad_scalar * (1 - label_smoothing));
    for (int64_t n = 0; n < s.batch; ++n)
      for (int64_t i = 0; i < s.spatial; ++i) {
        const int64_t t = target[n * s.spatial + i];
        float* row = grad_input + n * image + i;
        if (t != ignore_index) {
          row[t * s.spatial] -= peak;
        } else {
          for (int64_t c = 0; c < s.classes; ++c) row[c * s.spatial] = 0;
        }
      }
    return;
  }
  exp_pass(s.batch * image, 1, 0, log_p, grad_input);
  double spread_sum = 0;
  if (label_smoothing > 0)
    for (int64_t c = 0; c < s.classes; ++c) spread_sum += spread * weight_of(weight, c);
  parallel_for(s.batch, (double)image, [&](int64_t n) {
    for (int64_t i = 0; i < s.spatial; ++i) {
      const int64_t t = target[n * s.spatial + i];
      float* row = grad_input + n * image + i;
      if (t == ignore_index) {
        for (int64_t c = 0; c < s.classes; ++c) row[c * s.spatial] = 0;
        continue;
      }
      const double g = each ? (double)grad[n * s.spatial + i] : grad_scalar;
      const double peak = (1 - label_smoothing) * weight_of(weight, t);
      const float factor = (float)(g * (peak + spread_sum));
      for (int64_t c = 0; c < s.classes; ++c) row[c * s.spatial] *= factor;
      if (label_smoothing > 0)
        for (int64_t c = 0; c < s.classes; ++c) row[c * s.spatial] -= (float)(g * spread) * weight_of(weight, c);
      row[t * s.spatial] -= (float)(g * peak);
    }
  });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
