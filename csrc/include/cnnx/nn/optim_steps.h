// The options of the optimizers' steps. C headers only: kernels include this.
#pragma once

namespace cnnx {

struct SgdStep {
  double lr, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, maximize = false;
};
struct AdamStep {
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false;  // AdamW: decay the weights themselves
  bool amsgrad = false, maximize = false;
};
struct AdadeltaStep {
  double lr, rho = 0.9, eps = 1e-6, weight_decay = 0;
  bool maximize = false;
};
struct RmspropStep {
  double lr, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
  bool centered = false, maximize = false;
};
struct AdagradStep {
  double lr, lr_decay = 0, eps = 1e-10, weight_decay = 0;
  bool maximize = false;
};
struct NadamStep {
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, momentum_decay = 4e-3;
  bool decoupled = false, maximize = false;
};
struct RadamStep {
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false, maximize = false;
};
struct AdamaxStep {
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool maximize = false;
};
struct RpropStep {
  double lr;  // the first size of steps
  double shrink = 0.5, grow = 1.2, smallest = 1e-6, largest = 50;
  bool maximize = false;
  static constexpr double weight_decay = 0;  // there is none
};

}  // namespace cnnx
