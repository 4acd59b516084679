// Optimizer updates, one pass over a parameter of n elements, as PyTorch's documentation states them.
#include <cmath>

#include "kernels/optim_list.h"
#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

// The gradient of element i, turned round to maximize, with (coupled) weight decay.
template <class T, class Step>
double gradient(const Step& s, const OptimItem<T>& e, int64_t i) {
  const double g = s.maximize ? -static_cast<double>(e.grad[i]) : static_cast<double>(e.grad[i]);
  return s.weight_decay != 0 ? g + s.weight_decay * e.param[i] : g;
}

}  // namespace

template <class T>
void sgd_step(const Queue&, const SgdStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 0.4, [&](const OptimItem<T>& e) {
    T* const momentum_buffer = e.states[0];
    for (int64_t i = 0; i < e.n; ++i) {
      double g = gradient(s, e, i);
      if (momentum_buffer != nullptr) {
        const double buffer = e.fresh ? g : s.momentum * momentum_buffer[i] + (1 - s.dampening) * g;
        momentum_buffer[i] = static_cast<T>(buffer);
        g = s.nesterov ? g + s.momentum * buffer : buffer;
      }
      e.param[i] = static_cast<T>(e.param[i] - s.lr * g);
    }
  });
}

template <class T>
void adam_step(const Queue&, const AdamStep& s, int64_t count, const OptimItem<T>* items) {
  AdamStep coupled = s;
  if (s.decoupled) coupled.weight_decay = 0;
  for_each_part(count, items, 1, [&](const OptimItem<T>& e) {
    const double step_size = s.lr / (1 - std::pow(s.beta1, static_cast<double>(e.step)));
    const double correction = std::sqrt(1 - std::pow(s.beta2, static_cast<double>(e.step)));
    const auto& [exp_avg, exp_avg_sq, max_exp_avg_sq] = e.states;
    for (int64_t i = 0; i < e.n; ++i) {
      const double g = gradient(coupled, e, i), p = e.param[i] * (s.decoupled ? 1 - s.lr * s.weight_decay : 1.0);
      const double mean = exp_avg[i] + (1 - s.beta1) * (g - exp_avg[i]);
      const double square = s.beta2 * exp_avg_sq[i] + (1 - s.beta2) * g * g;
      exp_avg[i] = static_cast<T>(mean);
      exp_avg_sq[i] = static_cast<T>(square);
      double largest = square;
      if (max_exp_avg_sq != nullptr) {
        if (max_exp_avg_sq[i] > largest || std::isnan(max_exp_avg_sq[i])) largest = max_exp_avg_sq[i];
        max_exp_avg_sq[i] = static_cast<T>(largest);
      }
      e.param[i] = static_cast<T>(p - step_size * mean / (std::sqrt(largest) / correction + s.eps));
    }
  });
}

template <class T>
void adadelta_step(const Queue&, const AdadeltaStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<T>& e) {
    T *const square_avg = e.states[0], *const acc_delta = e.states[1];
    for (int64_t i = 0; i < e.n; ++i) {
      const double g = gradient(s, e, i);
      const double square = s.rho * square_avg[i] + (1 - s.rho) * g * g;
      const double delta = std::sqrt(acc_delta[i] + s.eps) / std::sqrt(square + s.eps) * g;
      square_avg[i] = static_cast<T>(square);
      acc_delta[i] = static_cast<T>(s.rho * acc_delta[i] + (1 - s.rho) * delta * delta);
      e.param[i] = static_cast<T>(e.param[i] - s.lr * delta);
    }
  });
}

template <class T>
void rmsprop_step(const Queue&, const RmspropStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<T>& e) {
    const auto& [square_avg, momentum_buffer, grad_avg] = e.states;
    for (int64_t i = 0; i < e.n; ++i) {
      const double g = gradient(s, e, i);
      const double square = s.alpha * square_avg[i] + (1 - s.alpha) * g * g;
      square_avg[i] = static_cast<T>(square);
      double variance = square;
      if (s.centered) {
        const double mean = grad_avg[i] + (1 - s.alpha) * (g - grad_avg[i]);
        grad_avg[i] = static_cast<T>(mean);
        variance -= mean * mean;
        if (variance < 0) variance = 0;  // by rounding
      }
      double step = g / (std::sqrt(variance) + s.eps);
      if (momentum_buffer != nullptr) {
        step += s.momentum * momentum_buffer[i];
        momentum_buffer[i] = static_cast<T>(step);
      }
      e.param[i] = static_cast<T>(e.param[i] - s.lr * step);
    }
  });
}

template <class T>
void adagrad_step(const Queue&, const AdagradStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<T>& e) {
    const double lr = s.lr / (1 + static_cast<double>(e.step - 1) * s.lr_decay);
    for (int64_t i = 0; i < e.n; ++i) {
      const double g = gradient(s, e, i);
      const double total = e.states[0][i] + g * g;
      e.states[0][i] = static_cast<T>(total);
      e.param[i] = static_cast<T>(e.param[i] - lr * g / (std::sqrt(total) + s.eps));
    }
  });
}

CNNX_INSTANTIATE(sgd_step, adam_step, adadelta_step, rmsprop_step, adagrad_step)

}  // namespace cnnx::reference
