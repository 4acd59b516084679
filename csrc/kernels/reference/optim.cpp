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
  if constexpr (requires { s.decoupled; })
    if (s.decoupled) return g;
  return s.weight_decay != 0 ? g + s.weight_decay * e.param[i] : g;
}

// The parameter i, decayed if that is decoupled from the gradient.
template <class T, class Step>
double decayed(const Step& s, const OptimItem<T>& e, int64_t i) {
  return s.decoupled ? e.param[i] * (1 - s.lr * s.weight_decay) : e.param[i];
}

// Moves the running means by gradient g.
template <class T, class Step>
double move_mean(const Step& s, double g, T& exp_avg) {
  const double mean = exp_avg + (1 - s.beta1) * (g - exp_avg);
  exp_avg = static_cast<T>(mean);
  return mean;
}
template <class T, class Step>
double move_square(const Step& s, double g, T& exp_avg_sq) {
  const double square = s.beta2 * exp_avg_sq + (1 - s.beta2) * g * g;
  exp_avg_sq = static_cast<T>(square);
  return square;
}

// What is missing to a running mean after so many steps.
double bias_correction(double beta, int64_t step) { return 1 - std::pow(beta, static_cast<double>(step)); }

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
  for_each_part(count, items, 1, [&](const OptimItem<T>& e) {
    const double step_size = s.lr / bias_correction(s.beta1, e.step);
    const double correction = std::sqrt(bias_correction(s.beta2, e.step));
    const auto& [exp_avg, exp_avg_sq, max_exp_avg_sq] = e.states;
    for (int64_t i = 0; i < e.n; ++i) {
      const double g = gradient(s, e, i), p = decayed(s, e, i);
      const double mean = move_mean(s, g, exp_avg[i]), square = move_square(s, g, exp_avg_sq[i]);
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

template <class T>
void nadam_step(const Queue&, const NadamStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<T>& e) {
    const auto momentum = [&](int64_t step) {
      return s.beta1 * (1 - 0.5 * std::pow(0.96, static_cast<double>(step) * s.momentum_decay));
    };
    const double now = momentum(e.step), next = momentum(e.step + 1), correction = bias_correction(s.beta2, e.step);
    for (int64_t i = 0; i < e.n; ++i) {
      const double g = gradient(s, e, i), p = decayed(s, e, i);
      const double mean = move_mean(s, g, e.states[0][i]), square = move_square(s, g, e.states[1][i]);
      const double ahead = next * mean / (1 - e.mu_product * next) + (1 - now) * g / (1 - e.mu_product);
      e.param[i] = static_cast<T>(p - s.lr * ahead / (std::sqrt(square / correction) + s.eps));
    }
  });
}

template <class T>
void radam_step(const Queue&, const RadamStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<T>& e) {
    const double correction1 = bias_correction(s.beta1, e.step), correction2 = bias_correction(s.beta2, e.step);
    const double last = 2 / (1 - s.beta2) - 1, step = static_cast<double>(e.step);
    const double length = last - 2 * step * std::pow(s.beta2, step) / correction2;
    for (int64_t i = 0; i < e.n; ++i) {
      const double g = gradient(s, e, i), p = decayed(s, e, i);
      const double mean = move_mean(s, g, e.states[0][i]), square = move_square(s, g, e.states[1][i]);
      double move = mean / correction1;
      if (length > 5)
        move *= std::sqrt((length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length)) * std::sqrt(correction2) /
                (std::sqrt(square) + s.eps);
      e.param[i] = static_cast<T>(p - s.lr * move);
    }
  });
}

template <class T>
void adamax_step(const Queue&, const AdamaxStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<T>& e) {
    T* const exp_inf = e.states[1];
    for (int64_t i = 0; i < e.n; ++i) {
      const double g = gradient(s, e, i), mean = move_mean(s, g, e.states[0][i]);
      const double before = s.beta2 * exp_inf[i], now = std::abs(g) + s.eps;
      const double largest = before > now || std::isnan(before) ? before : now;
      exp_inf[i] = static_cast<T>(largest);
      e.param[i] = static_cast<T>(e.param[i] - s.lr / bias_correction(s.beta1, e.step) * mean / largest);
    }
  });
}

template <class T>
void rprop_step(const Queue&, const RpropStep& s, int64_t count, const OptimItem<T>* items) {
  for_each_part(count, items, 1, [&](const OptimItem<T>& e) {
    T *const prev = e.states[0], *const step_size = e.states[1];
    for (int64_t i = 0; i < e.n; ++i) {
      double g = gradient(s, e, i);
      const double agrees = g * prev[i];
      double size = step_size[i];
      if (agrees > 0) size *= s.grow;
      if (agrees < 0) size *= s.shrink;
      if (size < s.smallest) size = s.smallest;
      if (size > s.largest) size = s.largest;
      if (agrees < 0) g = 0;
      prev[i] = static_cast<T>(g);
      step_size[i] = static_cast<T>(size);
      e.param[i] = static_cast<T>(e.param[i] - size * ((g > 0) - (g < 0)));
    }
  });
}

CNNX_INSTANTIATE(sgd_step, adam_step, adadelta_step, rmsprop_step, adagrad_step)
CNNX_INSTANTIATE(nadam_step, radam_step, adamax_step, rprop_step)

}  // namespace cnnx::reference
