// The optimizers' update rules for one element, which the loops of cpu/optim.cpp and the kernel of cuda/optim.cu share. (The
// reference states them once more, as PyTorch's documentation does.) C headers only.
//
// A rule holds its numbers. step() takes the gradient g, its sign and coupled weight decay applied, moves the states a, b, c of
// element i, and returns what comes off the parameter. variant() numbers the choices that are the same for a whole parameter: a
// loop for one number has no branches.
#pragma once

#include <math.h>

#include "kernels/shapes.h"

#ifdef __CUDACC__
#define CNNX_RULE __host__ __device__ inline
#else
#define CNNX_RULE __attribute__((always_inline)) inline
#endif

namespace cnnx {
namespace {  // a copy for each instruction set

CNNX_RULE float root(float x) { return sqrtf(x); }
CNNX_RULE double root(double x) { return ::sqrt(x); }

// NAdam's momentum in step `number`.
inline double nadam_momentum(const NadamStep& s, int64_t number) {
  return s.beta1 * (1 - 0.5 * ::pow(0.96, double(number) * s.momentum_decay));
}

// What depends on the number of the step.
template <class N>
struct AtStep {
  N lr, correction = 1, keep = 1;  // keep: what decoupled weight decay leaves
  N gradient_lr = 0;               // of the gradient itself, beside its mean
  template <class T>
  CNNX_RULE AtStep<T> as() const {
    return {T(lr), T(correction), T(keep), T(gradient_lr)};
  }
};
template <class Step, class Item>
inline AtStep<double> at_step(const Step& s, const Item&) {
  return {s.lr};
}
template <class Item>
inline AtStep<double> at_step(const AdamStep& s, const Item& item) {
  const double number = double(item.step);
  return {s.lr / (1 - ::pow(s.beta1, number)), 1 / ::sqrt(1 - ::pow(s.beta2, number)), 1 - s.lr * s.weight_decay};
}
template <class Item>
inline AtStep<double> at_step(const AdagradStep& s, const Item& item) {
  return {s.lr / (1 + double(item.step - 1) * s.lr_decay)};
}
template <class Item>
inline AtStep<double> at_step(const NadamStep& s, const Item& item) {
  const double next = nadam_momentum(s, item.step + 1);
  return {s.lr * next / (1 - item.mu_product * next), 1 / ::sqrt(1 - ::pow(s.beta2, double(item.step))),
          1 - s.lr * s.weight_decay, s.lr * (1 - nadam_momentum(s, item.step)) / (1 - item.mu_product)};
}
// correction: 0 while the variance is not tractable.
template <class Item>
inline AtStep<double> at_step(const RadamStep& s, const Item& item) {
  const double number = double(item.step), lr = s.lr / (1 - ::pow(s.beta1, number)), left = ::pow(s.beta2, number);
  const double last = 2 / (1 - s.beta2) - 1, length = last - 2 * number * left / (1 - left), keep = 1 - s.lr * s.weight_decay;
  if (!(length > 5)) return {lr, 0, keep};
  const double rectification = (length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length);
  return {lr * ::sqrt(rectification * (1 - left)), 1, keep};
}
template <class Item>
inline AtStep<double> at_step(const AdamaxStep& s, const Item& item) {
  return {s.lr / (1 - ::pow(s.beta1, double(item.step)))};
}

enum class Decay { none, coupled, decoupled };
template <class Step>
CNNX_RULE Decay decay_of(const Step& s) {
  if (s.weight_decay == 0) return Decay::none;
  if constexpr (requires { s.decoupled; })
    if (s.decoupled) return Decay::decoupled;
  return Decay::coupled;
}

// What is so unless a rule says otherwise.
template <class S>
struct RuleOf {
  using Step = S;
  static constexpr double kNanoseconds = 1;  // an element
  static constexpr int kVariants = 1;
  template <class Item>
  static CNNX_RULE int variant(const Step&, const Item&) {
    return 0;
  }
};

template <class T>
struct Sgd : RuleOf<SgdStep> {
  static constexpr double kNanoseconds = 0.4;
  static const char* name(const Step&) { return "sgd_step"; }
  enum Variant { kPlain, kFirst, kMomentum, kFirstNesterov, kNesterov, kVariants };
  template <class Item>
  static CNNX_RULE int variant(const Step& s, const Item& item) {
    if (item.states[0] == nullptr) return kPlain;
    return (s.nesterov ? kFirstNesterov : kFirst) + !item.fresh;
  }

  T lr, momentum, fresh;
  CNNX_RULE Sgd(const Step& s, const AtStep<T>& at) : lr(at.lr), momentum(T(s.momentum)), fresh(T(1 - s.dampening)) {}
  CNNX_RULE T step(int variant, T g, int64_t i, T* a, T*, T*) const {
    if (variant == kPlain) return lr * g;
    const T buffer = variant == kFirst || variant == kFirstNesterov ? g : momentum * a[i] + fresh * g;
    a[i] = buffer;
    return lr * (variant >= kFirstNesterov ? g + momentum * buffer : buffer);
  }
};

// The running means of the gradient and of its square.
template <class T>
struct Moments {
  T fresh1, fresh2, beta2;
  template <class Step>
  CNNX_RULE explicit Moments(const Step& s) : fresh1(T(1 - s.beta1)), fresh2(T(1 - s.beta2)), beta2(T(s.beta2)) {}
  CNNX_RULE T mean(T g, T& a) const { return a = a + fresh1 * (g - a); }
  CNNX_RULE T square(T g, T& b) const { return b = beta2 * b + fresh2 * g * g; }
};

template <class T>
struct Adam : RuleOf<AdamStep> {
  static const char* name(const Step& s) { return s.decoupled ? "adamw_step" : "adam_step"; }
  enum Variant { kPlain, kAmsgrad, kVariants };
  template <class Item>
  static CNNX_RULE int variant(const Step&, const Item& item) {
    return item.states[2] != nullptr ? kAmsgrad : kPlain;
  }

  Moments<T> moments;
  T step_size, correction, eps;
  CNNX_RULE Adam(const Step& s, const AtStep<T>& at) : moments(s), step_size(at.lr), correction(at.correction), eps(T(s.eps)) {}
  CNNX_RULE T step(int variant, T g, int64_t i, T* a, T* b, T* c) const {
    const T mean = moments.mean(g, a[i]), square = moments.square(g, b[i]);
    T largest = square;
    if (variant == kAmsgrad) {
      const T before = c[i];
      largest = before <= square || square != square ? square : before;  // a NaN on either side stays
      c[i] = largest;
    }
    return step_size * mean / (root(largest) * correction + eps);
  }
};

template <class T>
struct Adadelta : RuleOf<AdadeltaStep> {
  static const char* name(const Step&) { return "adadelta_step"; }
  T lr, rho, fresh, eps;
  CNNX_RULE Adadelta(const Step& s, const AtStep<T>& at) : lr(at.lr), rho(T(s.rho)), fresh(T(1 - s.rho)), eps(T(s.eps)) {}
  CNNX_RULE T step(int, T g, int64_t i, T* a, T* b, T*) const {
    const T square = rho * a[i] + fresh * g * g;
    const T delta = root(b[i] + eps) / root(square + eps) * g;
    a[i] = square;
    b[i] = rho * b[i] + fresh * delta * delta;
    return lr * delta;
  }
};

template <class T>
struct Rmsprop : RuleOf<RmspropStep> {
  static const char* name(const Step&) { return "rmsprop_step"; }
  enum Variant { kPlain, kMomentum, kCentered, kVariants = 4 };  // the third is both
  template <class Item>
  static CNNX_RULE int variant(const Step&, const Item& item) {
    return (item.states[1] != nullptr ? kMomentum : 0) + (item.states[2] != nullptr ? kCentered : 0);
  }

  T lr, alpha, fresh, eps, momentum;
  CNNX_RULE Rmsprop(const Step& s, const AtStep<T>& at)
      : lr(at.lr), alpha(T(s.alpha)), fresh(T(1 - s.alpha)), eps(T(s.eps)), momentum(T(s.momentum)) {}
  CNNX_RULE T step(int variant, T g, int64_t i, T* a, T* b, T* c) const {
    const T square = alpha * a[i] + fresh * g * g;
    a[i] = square;
    T variance = square;
    if (variant & kCentered) {
      const T mean = c[i] + fresh * (g - c[i]);
      c[i] = mean;
      variance -= mean * mean;
      variance = variance < 0 ? 0 : variance;  // by rounding
    }
    T step = g / (root(variance) + eps);
    if (variant & kMomentum) {
      step += momentum * b[i];
      b[i] = step;
    }
    return lr * step;
  }
};

template <class T>
struct Adagrad : RuleOf<AdagradStep> {
  static const char* name(const Step&) { return "adagrad_step"; }
  T lr, eps;
  CNNX_RULE Adagrad(const Step& s, const AtStep<T>& at) : lr(at.lr), eps(T(s.eps)) {}
  CNNX_RULE T step(int, T g, int64_t i, T* a, T*, T*) const {
    const T total = a[i] + g * g;
    a[i] = total;
    return lr * g / (root(total) + eps);
  }
};

template <class T>
struct Nadam : RuleOf<NadamStep> {
  static const char* name(const Step&) { return "nadam_step"; }
  Moments<T> moments;
  T lr, gradient_lr, correction, eps;
  CNNX_RULE Nadam(const Step& s, const AtStep<T>& at)
      : moments(s), lr(at.lr), gradient_lr(at.gradient_lr), correction(at.correction), eps(T(s.eps)) {}
  CNNX_RULE T step(int, T g, int64_t i, T* a, T* b, T*) const {
    const T mean = moments.mean(g, a[i]), square = moments.square(g, b[i]);
    return (gradient_lr * g + lr * mean) / (root(square) * correction + eps);
  }
};

template <class T>
struct Radam : RuleOf<RadamStep> {
  static const char* name(const Step&) { return "radam_step"; }
  Moments<T> moments;
  T lr, correction, eps;
  CNNX_RULE Radam(const Step& s, const AtStep<T>& at) : moments(s), lr(at.lr), correction(at.correction), eps(T(s.eps)) {}
  CNNX_RULE T step(int, T g, int64_t i, T* a, T* b, T*) const {
    const T mean = moments.mean(g, a[i]), square = moments.square(g, b[i]);
    return lr * mean / (correction != 0 ? root(square) + eps : T(1));
  }
};

template <class T>
struct Adamax : RuleOf<AdamaxStep> {
  static const char* name(const Step&) { return "adamax_step"; }
  Moments<T> moments;
  T lr, eps;
  CNNX_RULE Adamax(const Step& s, const AtStep<T>& at) : moments(s), lr(at.lr), eps(T(s.eps)) {}
  CNNX_RULE T step(int, T g, int64_t i, T* a, T* b, T*) const {
    const T mean = moments.mean(g, a[i]), before = moments.beta2 * b[i], now = (g < 0 ? -g : g) + eps;
    const T largest = before > now || before != before ? before : now;  // a NaN on either side stays
    b[i] = largest;
    return lr * mean / largest;
  }
};

template <class T>
struct Rprop : RuleOf<RpropStep> {
  static const char* name(const Step&) { return "rprop_step"; }
  T shrink, grow, smallest, largest;
  CNNX_RULE Rprop(const Step& s, const AtStep<T>&)
      : shrink(T(s.shrink)), grow(T(s.grow)), smallest(T(s.smallest)), largest(T(s.largest)) {}
  CNNX_RULE T step(int, T g, int64_t i, T* a, T* b, T*) const {
    const T agrees = g * a[i];
    T size = b[i] * (agrees > 0 ? grow : agrees < 0 ? shrink : T(1));  // a NaN has no sign
    size = size < smallest ? smallest : size;
    size = size > largest ? largest : size;
    const T used = agrees < 0 ? T(0) : g;  // behind a turn there is no step, and the next one has none to agree with
    a[i] = used;
    b[i] = size;
    return size * T((used > 0) - (used < 0));
  }
};

// The kernel of each rule: X(kernel, rule).
#define CNNX_UPDATE_RULES(X) \
  X(sgd_step, Sgd)           \
  X(adam_step, Adam)         \
  X(adadelta_step, Adadelta) \
  X(rmsprop_step, Rmsprop)   \
  X(adagrad_step, Adagrad)   \
  X(nadam_step, Nadam)       \
  X(radam_step, Radam)       \
  X(adamax_step, Adamax)     \
  X(rprop_step, Rprop)

}  // namespace
}  // namespace cnnx

#undef CNNX_RULE
