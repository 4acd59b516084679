// Optimizer updates, one pass over a parameter of n elements, as PyTorch's documentation states them.
#include <cmath>

#include "kernels/optim_list.h"
#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

template <class T>
void sgd_part(const SgdStep& s, bool fresh, int64_t n, T* param, const T* grad, T* momentum_buffer) {
  for (int64_t i = 0; i < n; ++i) {
    const double p = param[i];
    double g = s.maximize ? -static_cast<double>(grad[i]) : static_cast<double>(grad[i]);
    if (s.weight_decay != 0) g += s.weight_decay * p;
    if (momentum_buffer != nullptr) {
      const double buffer = fresh ? g : s.momentum * momentum_buffer[i] + (1 - s.dampening) * g;
      momentum_buffer[i] = static_cast<T>(buffer);
      g = s.nesterov ? g + s.momentum * buffer : buffer;
    }
    param[i] = static_cast<T>(p - s.lr * g);
  }
}

template <class T>
void adam_part(const AdamStep& s, int64_t step, int64_t n, T* param, const T* grad, T* exp_avg, T* exp_avg_sq,
               T* max_exp_avg_sq) {
  const double step_size = s.lr / (1 - std::pow(s.beta1, static_cast<double>(step)));
  const double correction = std::sqrt(1 - std::pow(s.beta2, static_cast<double>(step)));
  for (int64_t i = 0; i < n; ++i) {
    double p = param[i];
    double g = s.maximize ? -static_cast<double>(grad[i]) : static_cast<double>(grad[i]);
    if (s.weight_decay != 0) {
      if (s.decoupled) p *= 1 - s.lr * s.weight_decay;
      else g += s.weight_decay * p;
    }
    const double mean = exp_avg[i] + (1 - s.beta1) * (g - exp_avg[i]);
    const double square = s.beta2 * exp_avg_sq[i] + (1 - s.beta2) * g * g;
    exp_avg[i] = static_cast<T>(mean);
    exp_avg_sq[i] = static_cast<T>(square);
    double largest = square;
    if (max_exp_avg_sq != nullptr) {
      if (max_exp_avg_sq[i] > largest || std::isnan(max_exp_avg_sq[i])) largest = max_exp_avg_sq[i];
      max_exp_avg_sq[i] = static_cast<T>(largest);
    }
    param[i] = static_cast<T>(p - step_size * mean / (std::sqrt(largest) / correction + s.eps));
  }
}

template <class T>
void adadelta_part(const AdadeltaStep& s, int64_t n, T* param, const T* grad, T* square_avg, T* acc_delta) {
  for (int64_t i = 0; i < n; ++i) {
    const double p = param[i];
    double g = s.maximize ? -static_cast<double>(grad[i]) : static_cast<double>(grad[i]);
    if (s.weight_decay != 0) g += s.weight_decay * p;
    const double square = s.rho * square_avg[i] + (1 - s.rho) * g * g;
    const double delta = std::sqrt(acc_delta[i] + s.eps) / std::sqrt(square + s.eps) * g;
    square_avg[i] = static_cast<T>(square);
    acc_delta[i] = static_cast<T>(s.rho * acc_delta[i] + (1 - s.rho) * delta * delta);
    param[i] = static_cast<T>(p - s.lr * delta);
  }
}

template <class T>
void rmsprop_part(const RmspropStep& s, int64_t n, T* param, const T* grad, T* square_avg, T* momentum_buffer, T* grad_avg) {
  for (int64_t i = 0; i < n; ++i) {
    const double p = param[i];
    double g = s.maximize ? -static_cast<double>(grad[i]) : static_cast<double>(grad[i]);
    if (s.weight_decay != 0) g += s.weight_decay * p;
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
    param[i] = static_cast<T>(p - s.lr * step);
  }
}

template <class T>
void adagrad_part(const AdagradStep& s, int64_t step, int64_t n, T* param, const T* grad, T* sum) {
  const double lr = s.lr / (1 + static_cast<double>(step - 1) * s.lr_decay);
  for (int64_t i = 0; i < n; ++i) {
    const double p = param[i];
    double g = s.maximize ? -static_cast<double>(grad[i]) : static_cast<double>(grad[i]);
    if (s.weight_decay != 0) g += s.weight_decay * p;
    const double total = sum[i] + g * g;
    sum[i] = static_cast<T>(total);
    param[i] = static_cast<T>(p - lr * g / (std::sqrt(total) + s.eps));
  }
}

}  // namespace

template <class T>
void sgd_step(const Queue&, const SgdStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 0.4,
                [&](const OptimItem<T>& part) { sgd_part(s, part.fresh, part.n, part.param, part.grad, part.states[0]); });
}

template <class T>
void adam_step(const Queue&, const AdamStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<T>& part) {
    adam_part(s, part.step, part.n, part.param, part.grad, part.states[0], part.states[1], part.states[2]);
  });
}

template <class T>
void adadelta_step(const Queue&, const AdadeltaStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<T>& part) {
    adadelta_part(s, part.n, part.param, part.grad, part.states[0], part.states[1]);
  });
}

template <class T>
void rmsprop_step(const Queue&, const RmspropStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<T>& part) {
    rmsprop_part(s, part.n, part.param, part.grad, part.states[0], part.states[1], part.states[2]);
  });
}

template <class T>
void adagrad_step(const Queue&, const AdagradStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1,
                [&](const OptimItem<T>& part) { adagrad_part(s, part.step, part.n, part.param, part.grad, part.states[0]); });
}

CNNX_INSTANTIATE(sgd_step, adam_step, adadelta_step, rmsprop_step, adagrad_step)

}  // namespace cnnx::reference
