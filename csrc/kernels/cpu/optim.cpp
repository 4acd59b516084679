// Optimizer updates, one pass over a parameter of n elements. The loops are bound by memory and have no reuse, so they are plain:
// the compiler turns each into vector code, tails included, and the choices that are the same for every element are template
// arguments. Pointers of one call never overlap but for equal ones, which an element-wise loop does not mind.
#include "kernels/cpu/cpu.h"
#include "kernels/optim_list.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

enum class Momentum { none, first, plain, nesterov_first, nesterov };

template <Momentum kind, bool decay>
void sgd(const SgdStep& s, int64_t n, float* __restrict param, const float* __restrict grad, float* __restrict buffer) {
  const float sign = s.maximize ? -1.0f : 1.0f;
  const float lr = static_cast<float>(s.lr), momentum = static_cast<float>(s.momentum);
  const float weight_decay = static_cast<float>(s.weight_decay), fresh = static_cast<float>(1 - s.dampening);
  for (int64_t i = 0; i < n; ++i) {
    const float p = param[i];
    float g = sign * grad[i];
    if constexpr (decay) g += weight_decay * p;
    if constexpr (kind != Momentum::none) {
      float b = g;
      if constexpr (kind == Momentum::plain || kind == Momentum::nesterov) b = momentum * buffer[i] + fresh * g;
      buffer[i] = b;
      if constexpr (kind == Momentum::nesterov || kind == Momentum::nesterov_first) g += momentum * b;
      else g = b;
    }
    param[i] = p - lr * g;
  }
}

template <bool decay>
void sgd_with(const SgdStep& s, bool first, int64_t n, float* param, const float* grad, float* buffer) {
  if (buffer == nullptr) sgd<Momentum::none, decay>(s, n, param, grad, buffer);
  else if (s.nesterov && first) sgd<Momentum::nesterov_first, decay>(s, n, param, grad, buffer);
  else if (s.nesterov) sgd<Momentum::nesterov, decay>(s, n, param, grad, buffer);
  else if (first) sgd<Momentum::first, decay>(s, n, param, grad, buffer);
  else sgd<Momentum::plain, decay>(s, n, param, grad, buffer);
}

void sgd_part(const SgdStep& s, bool fresh, int64_t n, float* param, const float* grad, float* momentum_buffer) {
  if (s.weight_decay != 0) sgd_with<true>(s, fresh, n, param, grad, momentum_buffer);
  else sgd_with<false>(s, fresh, n, param, grad, momentum_buffer);
}

enum class Decay { none, coupled, decoupled };

template <Decay decay, bool amsgrad>
void adam(const AdamStep& s, int64_t step, int64_t n, float* __restrict param, const float* __restrict grad,
          float* __restrict exp_avg, float* __restrict exp_avg_sq, float* __restrict max_exp_avg_sq) {
  const float sign = s.maximize ? -1.0f : 1.0f;
  const float step_size = static_cast<float>(s.lr / (1 - pow(s.beta1, static_cast<double>(step))));
  const float correction = static_cast<float>(1 / sqrt(1 - pow(s.beta2, static_cast<double>(step))));
  const float fresh1 = static_cast<float>(1 - s.beta1), fresh2 = static_cast<float>(1 - s.beta2);
  const float beta2 = static_cast<float>(s.beta2), eps = static_cast<float>(s.eps);
  const float weight_decay = static_cast<float>(s.weight_decay), keep = static_cast<float>(1 - s.lr * s.weight_decay);
  for (int64_t i = 0; i < n; ++i) {
    float p = param[i];
    float g = sign * grad[i];
    if constexpr (decay == Decay::coupled) g += weight_decay * p;
    if constexpr (decay == Decay::decoupled) p *= keep;
    const float mean = exp_avg[i] + fresh1 * (g - exp_avg[i]);
    const float square = beta2 * exp_avg_sq[i] + fresh2 * g * g;
    exp_avg[i] = mean;
    exp_avg_sq[i] = square;
    float largest = square;
    if constexpr (amsgrad) {
      const float before = max_exp_avg_sq[i];
      largest = before <= square || square != square ? square : before;  // a NaN on either side stays
      max_exp_avg_sq[i] = largest;
    }
    param[i] = p - step_size * mean / (sqrtf(largest) * correction + eps);
  }
}

template <Decay decay>
void adam_with(const AdamStep& s, int64_t step, int64_t n, float* param, const float* grad, float* exp_avg, float* exp_avg_sq,
               float* max_exp_avg_sq) {
  if (max_exp_avg_sq != nullptr) adam<decay, true>(s, step, n, param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq);
  else adam<decay, false>(s, step, n, param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq);
}

void adam_part(const AdamStep& s, int64_t step, int64_t n, float* param, const float* grad, float* exp_avg, float* exp_avg_sq,
               float* max_exp_avg_sq) {
  if (s.weight_decay == 0) adam_with<Decay::none>(s, step, n, param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq);
  else if (s.decoupled) adam_with<Decay::decoupled>(s, step, n, param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq);
  else adam_with<Decay::coupled>(s, step, n, param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq);
}

template <bool decay>
void adadelta(const AdadeltaStep& s, int64_t n, float* __restrict param, const float* __restrict grad,
              float* __restrict square_avg, float* __restrict acc_delta) {
  const float sign = s.maximize ? -1.0f : 1.0f;
  const float lr = static_cast<float>(s.lr), rho = static_cast<float>(s.rho), fresh = static_cast<float>(1 - s.rho);
  const float eps = static_cast<float>(s.eps), weight_decay = static_cast<float>(s.weight_decay);
  for (int64_t i = 0; i < n; ++i) {
    const float p = param[i];
    float g = sign * grad[i];
    if constexpr (decay) g += weight_decay * p;
    const float square = rho * square_avg[i] + fresh * g * g;
    const float delta = sqrtf(acc_delta[i] + eps) / sqrtf(square + eps) * g;
    square_avg[i] = square;
    acc_delta[i] = rho * acc_delta[i] + fresh * delta * delta;
    param[i] = p - lr * delta;
  }
}

void adadelta_part(const AdadeltaStep& s, int64_t n, float* param, const float* grad, float* square_avg, float* acc_delta) {
  if (s.weight_decay != 0) adadelta<true>(s, n, param, grad, square_avg, acc_delta);
  else adadelta<false>(s, n, param, grad, square_avg, acc_delta);
}

template <bool centered, bool momentum>
void rmsprop(const RmspropStep& s, int64_t n, float* __restrict param, const float* __restrict grad, float* __restrict square_avg,
             float* __restrict momentum_buffer, float* __restrict grad_avg) {
  const float sign = s.maximize ? -1.0f : 1.0f;
  const float lr = static_cast<float>(s.lr), alpha = static_cast<float>(s.alpha), fresh = static_cast<float>(1 - s.alpha);
  const float eps = static_cast<float>(s.eps), weight_decay = static_cast<float>(s.weight_decay);
  const float keep = static_cast<float>(s.momentum);
  for (int64_t i = 0; i < n; ++i) {
    const float p = param[i];
    const float g = sign * grad[i] + weight_decay * p;
    const float square = alpha * square_avg[i] + fresh * g * g;
    square_avg[i] = square;
    float variance = square;
    if constexpr (centered) {
      const float mean = grad_avg[i] + fresh * (g - grad_avg[i]);
      grad_avg[i] = mean;
      variance -= mean * mean;
      variance = variance < 0 ? 0 : variance;  // by rounding
    }
    float step = g / (sqrtf(variance) + eps);
    if constexpr (momentum) {
      step += keep * momentum_buffer[i];
      momentum_buffer[i] = step;
    }
    param[i] = p - lr * step;
  }
}

void rmsprop_part(const RmspropStep& s, int64_t n, float* param, const float* grad, float* square_avg, float* momentum_buffer,
                  float* grad_avg) {
  if (s.centered && momentum_buffer != nullptr) rmsprop<true, true>(s, n, param, grad, square_avg, momentum_buffer, grad_avg);
  else if (s.centered) rmsprop<true, false>(s, n, param, grad, square_avg, momentum_buffer, grad_avg);
  else if (momentum_buffer != nullptr) rmsprop<false, true>(s, n, param, grad, square_avg, momentum_buffer, grad_avg);
  else rmsprop<false, false>(s, n, param, grad, square_avg, momentum_buffer, grad_avg);
}

void adagrad_part(const AdagradStep& s, int64_t step, int64_t n, float* __restrict param, const float* __restrict grad,
                  float* __restrict sum) {
  const float sign = s.maximize ? -1.0f : 1.0f;
  const float lr = static_cast<float>(s.lr / (1 + (double)(step - 1) * s.lr_decay)), eps = static_cast<float>(s.eps),
              weight_decay = static_cast<float>(s.weight_decay);
  for (int64_t i = 0; i < n; ++i) {
    const float p = param[i];
    const float g = sign * grad[i] + weight_decay * p;
    const float total = sum[i] + g * g;
    sum[i] = total;
    param[i] = p - lr * g / (sqrtf(total) + eps);
  }
}

}  // namespace

void sgd_step(const Queue&, const SgdStep& s, int64_t count, const OptimItem<float>* items) {
  for_each_part(count, items, 0.4,
                [&](const OptimItem<float>& part) { sgd_part(s, part.fresh, part.n, part.param, part.grad, part.states[0]); });
}

void adam_step(const Queue&, const AdamStep& s, int64_t count, const OptimItem<float>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<float>& part) {
    adam_part(s, part.step, part.n, part.param, part.grad, part.states[0], part.states[1], part.states[2]);
  });
}

void adadelta_step(const Queue&, const AdadeltaStep& s, int64_t count, const OptimItem<float>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<float>& part) {
    adadelta_part(s, part.n, part.param, part.grad, part.states[0], part.states[1]);
  });
}

void rmsprop_step(const Queue&, const RmspropStep& s, int64_t count, const OptimItem<float>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<float>& part) {
    rmsprop_part(s, part.n, part.param, part.grad, part.states[0], part.states[1], part.states[2]);
  });
}

void adagrad_step(const Queue&, const AdagradStep& s, int64_t count, const OptimItem<float>* items) {
  for_each_part(count, items, 1,
                [&](const OptimItem<float>& part) { adagrad_part(s, part.step, part.n, part.param, part.grad, part.states[0]); });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
