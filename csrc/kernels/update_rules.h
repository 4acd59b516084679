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

// What depends on the number of the step.
template <class N>
struct AtStep {
  N lr, correction, keep;  // keep: what decoupled weight decay leaves
  template <class T>
  CNNX_RULE AtStep<T> as() const {
    return {T(lr), T(correction), T(keep)};
  }
};
template <class Step>
inline AtStep<double> at_step(const Step& s, int64_t) {
  return {s.lr, 1, 1};
}
inline AtStep<double> at_step(const AdamStep& s, int64_t step) {
  const double number = double(step);
  return {s.lr / (1 - pow(s.beta1, number)), 1 / ::sqrt(1 - pow(s.beta2, number)), 1 - s.lr * s.weight_decay};
}
inline AtStep<double> at_step(const AdagradStep& s, int64_t step) { return {s.lr / (1 + double(step - 1) * s.lr_decay), 1, 1}; }

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

template <class T>
struct Adam : RuleOf<AdamStep> {
  static const char* name(const Step& s) { return s.decoupled ? "adamw_step" : "adam_step"; }
  enum Variant { kPlain, kAmsgrad, kVariants };
  template <class Item>
  static CNNX_RULE int variant(const Step&, const Item& item) {
    return item.states[2] != nullptr ? kAmsgrad : kPlain;
  }

  T step_size, correction, fresh1, fresh2, beta2, eps;
  CNNX_RULE Adam(const Step& s, const AtStep<T>& at)
      : step_size(at.lr),
        correction(at.correction),
        fresh1(T(1 - s.beta1)),
        fresh2(T(1 - s.beta2)),
        beta2(T(s.beta2)),
        eps(T(s.eps)) {}
  CNNX_RULE T step(int variant, T g, int64_t i, T* a, T* b, T* c) const {
    const T mean = a[i] + fresh1 * (g - a[i]);
    const T square = beta2 * b[i] + fresh2 * g * g;
    a[i] = mean;
    b[i] = square;
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

}  // namespace
}  // namespace cnnx

#undef CNNX_RULE
