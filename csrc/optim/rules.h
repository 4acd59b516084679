// Of each optimizer: its name, its options by name with their bounds, its states in the order in which files have them, and the
// update of a group.
#pragma once

#include <array>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cnnx/nn/optim.h"
#include "cnnx/optim/optimizer.h"

namespace cnnx::optim {

enum class Bounds { none, not_negative, up_to_one, below_one };  // none: any finite number; the last two begin at 0

using Tensors = std::vector<Tensor>;
using States = std::array<Tensors, 4>;

template <class Options>
struct Rule;

template <>
struct Rule<SGDOptions> {
  static constexpr const char* name = "SGD";
  static constexpr std::array states{"momentum_buffer"};
  template <class O, class F>
  static void fields(O& o, F&& f) {
    f("lr", o.lr, Bounds::not_negative), f("momentum", o.momentum, Bounds::not_negative);
    f("dampening", o.dampening, Bounds::none), f("weight_decay", o.weight_decay, Bounds::not_negative);
    f("nesterov", o.nesterov, Bounds::none), f("maximize", o.maximize, Bounds::none);
  }
  static const char* fault(const SGDOptions& o) {
    return o.nesterov && (o.momentum <= 0 || o.dampening != 0) ? "nesterov needs a momentum and no dampening" : nullptr;
  }
  static void update(const Tensors& params, States& s, const SGDOptions& o) {
    sgd_step(params, s[0], {o.lr, o.momentum, o.dampening, o.weight_decay, o.nesterov, o.maximize});
  }
};

template <class O, class F>
void adam_fields(O& o, F&& f) {
  f("lr", o.lr, Bounds::not_negative), f("betas", o.betas, Bounds::below_one), f("eps", o.eps, Bounds::not_negative);
  f("weight_decay", o.weight_decay, Bounds::not_negative);
}

template <>
struct Rule<AdamOptions> {
  static constexpr const char* name = "Adam";
  static constexpr std::array states{"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  template <class O, class F>
  static void fields(O& o, F&& f) {
    adam_fields(o, f);
    f("amsgrad", o.amsgrad, Bounds::none), f("maximize", o.maximize, Bounds::none);
    if constexpr (requires { o.decoupled_weight_decay; }) f("decoupled_weight_decay", o.decoupled_weight_decay, Bounds::none);
  }
  static const char* fault(const AdamOptions&) { return nullptr; }
  static void update(const Tensors& params, States& s, const AdamOptions& o) {
    const AdamStep step{o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, o.decoupled_weight_decay, o.amsgrad, o.maximize};
    adam_step(params, s[0], s[1], s[2], s[3], step);
  }
};

template <>
struct Rule<AdamWOptions> : Rule<AdamOptions> {
  static constexpr const char* name = "AdamW";
  static const char* fault(const AdamWOptions&) { return nullptr; }
  static void update(const Tensors& params, States& s, const AdamWOptions& o) {
    Rule<AdamOptions>::update(params, s, {o.lr, o.betas, o.eps, o.weight_decay, o.amsgrad, o.maximize, true});
  }
};

template <>
struct Rule<AdadeltaOptions> {
  static constexpr const char* name = "Adadelta";
  static constexpr std::array states{"step", "square_avg", "acc_delta"};
  template <class O, class F>
  static void fields(O& o, F&& f) {
    f("lr", o.lr, Bounds::not_negative), f("rho", o.rho, Bounds::up_to_one), f("eps", o.eps, Bounds::not_negative);
    f("weight_decay", o.weight_decay, Bounds::not_negative), f("maximize", o.maximize, Bounds::none);
  }
  static const char* fault(const AdadeltaOptions&) { return nullptr; }
  static void update(const Tensors& params, States& s, const AdadeltaOptions& o) {
    adadelta_step(params, s[0], s[1], s[2], {o.lr, o.rho, o.eps, o.weight_decay, o.maximize});
  }
};

template <>
struct Rule<RMSpropOptions> {
  static constexpr const char* name = "RMSprop";
  static constexpr std::array states{"step", "square_avg", "momentum_buffer", "grad_avg"};
  template <class O, class F>
  static void fields(O& o, F&& f) {
    f("lr", o.lr, Bounds::not_negative), f("momentum", o.momentum, Bounds::not_negative);
    f("alpha", o.alpha, Bounds::not_negative), f("eps", o.eps, Bounds::not_negative), f("centered", o.centered, Bounds::none);
    f("weight_decay", o.weight_decay, Bounds::not_negative), f("maximize", o.maximize, Bounds::none);
  }
  static const char* fault(const RMSpropOptions&) { return nullptr; }
  static void update(const Tensors& params, States& s, const RMSpropOptions& o) {
    rmsprop_step(params, s[0], s[1], s[2], s[3], {o.lr, o.alpha, o.eps, o.weight_decay, o.momentum, o.centered, o.maximize});
  }
};

template <>
struct Rule<AdagradOptions> {
  static constexpr const char* name = "Adagrad";
  static constexpr std::array states{"step", "sum"};
  template <class O, class F>
  static void fields(O& o, F&& f) {
    f("lr", o.lr, Bounds::not_negative), f("lr_decay", o.lr_decay, Bounds::not_negative), f("eps", o.eps, Bounds::not_negative);
    f("weight_decay", o.weight_decay, Bounds::not_negative);
    f("initial_accumulator_value", o.initial_accumulator_value, Bounds::not_negative), f("maximize", o.maximize, Bounds::none);
  }
  static const char* fault(const AdagradOptions&) { return nullptr; }
  static void update(const Tensors& params, States& s, const AdagradOptions& o) {
    adagrad_step(params, s[0], s[1], {o.lr, o.lr_decay, o.eps, o.weight_decay, o.maximize}, o.initial_accumulator_value);
  }
};

template <>
struct Rule<NAdamOptions> {
  static constexpr const char* name = "NAdam";
  static constexpr std::array states{"step", "mu_product", "exp_avg", "exp_avg_sq"};
  template <class O, class F>
  static void fields(O& o, F&& f) {
    adam_fields(o, f);
    f("momentum_decay", o.momentum_decay, Bounds::not_negative);
    f("decoupled_weight_decay", o.decoupled_weight_decay, Bounds::none), f("maximize", o.maximize, Bounds::none);
  }
  static const char* fault(const NAdamOptions&) { return nullptr; }
  static void update(const Tensors& params, States& s, const NAdamOptions& o) {
    const NadamStep step{o.lr,      o.betas[0], o.betas[1], o.eps, o.weight_decay, o.momentum_decay, o.decoupled_weight_decay,
                         o.maximize};
    nadam_step(params, s[0], s[1], s[2], s[3], step);
  }
};

template <>
struct Rule<RAdamOptions> {
  static constexpr const char* name = "RAdam";
  static constexpr std::array states{"step", "exp_avg", "exp_avg_sq"};
  template <class O, class F>
  static void fields(O& o, F&& f) {
    adam_fields(o, f);
    f("maximize", o.maximize, Bounds::none), f("decoupled_weight_decay", o.decoupled_weight_decay, Bounds::none);
  }
  static const char* fault(const RAdamOptions&) { return nullptr; }
  static void update(const Tensors& params, States& s, const RAdamOptions& o) {
    radam_step(params, s[0], s[1], s[2],
               {o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, o.decoupled_weight_decay, o.maximize});
  }
};

template <>
struct Rule<AdamaxOptions> {
  static constexpr const char* name = "Adamax";
  static constexpr std::array states{"step", "exp_avg", "exp_inf"};
  template <class O, class F>
  static void fields(O& o, F&& f) {
    adam_fields(o, f);
    f("maximize", o.maximize, Bounds::none);
  }
  static const char* fault(const AdamaxOptions&) { return nullptr; }
  static void update(const Tensors& params, States& s, const AdamaxOptions& o) {
    adamax_step(params, s[0], s[1], s[2], {o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, o.maximize});
  }
};

template <>
struct Rule<RpropOptions> {
  static constexpr const char* name = "Rprop";
  static constexpr std::array states{"step", "prev", "step_size"};
  template <class O, class F>
  static void fields(O& o, F&& f) {
    f("lr", o.lr, Bounds::not_negative), f("etas", o.etas, Bounds::none), f("step_sizes", o.step_sizes, Bounds::none);
    f("maximize", o.maximize, Bounds::none);
  }
  static const char* fault(const RpropOptions& o) {
    return o.etas[0] > 0 && o.etas[0] < 1 && o.etas[1] > 1 ? nullptr : "etas must be one within (0, 1) and one above 1";
  }
  static void update(const Tensors& params, States& s, const RpropOptions& o) {
    rprop_step(params, s[0], s[1], s[2], {o.lr, o.etas[0], o.etas[1], o.step_sizes[0], o.step_sizes[1], o.maximize});
  }
};

// States that are one number, on the CPU wherever the parameter is.
inline bool is_number(std::string_view state) { return state == "step" || state == "mu_product"; }

}  // namespace cnnx::optim
