#include "optim/rules.h"

#include "cnnx/nn/optim.h"

namespace cnnx::optim {
namespace {

Field number(const char* name, double& value, Bounds bounds = Bounds::not_negative) { return {name, bounds, &value, 1}; }
Field pair(const char* name, std::array<double, 2>& values, Bounds bounds = Bounds::none) {
  return {name, bounds, values.data(), 2};
}
Field flag(const char* name, bool& value) { return {.name = name, .flag = &value}; }

// Those of Adam and its kin, and what is behind them.
template <class Options>
std::vector<Field> adam_fields(Options& o, std::initializer_list<Field> others) {
  std::vector<Field> fields{number("lr", o.lr), pair("betas", o.betas, Bounds::below_one), number("eps", o.eps),
                            number("weight_decay", o.weight_decay), flag("maximize", o.maximize)};
  fields.insert(fields.end(), others);
  return fields;
}

// A rule whose functions take the options as what they are.
template <class Options, auto fields, auto update, auto fault>
constexpr OptimizerRule rule(const char* name, std::array<const char*, 4> states) {
  return {
      name, states, [](void* options) { return fields(*static_cast<Options*>(options)); },
      [](const void* options) { return fault(*static_cast<const Options*>(options)); },
      [](const Tensors& params, States& s, const void* options) { update(params, s, *static_cast<const Options*>(options)); }};
}
constexpr auto kNoFault = [](const auto&) -> const char* { return nullptr; };

}  // namespace

template <>
const OptimizerRule& rule_of<SGDOptions>() {
  static constexpr auto kFields = [](SGDOptions& o) -> std::vector<Field> {
    return {number("lr", o.lr),
            number("momentum", o.momentum),
            number("dampening", o.dampening, Bounds::none),
            number("weight_decay", o.weight_decay),
            flag("nesterov", o.nesterov),
            flag("maximize", o.maximize)};
  };
  static constexpr auto kUpdate = [](const Tensors& params, States& s, const SGDOptions& o) {
    sgd_step(params, s[0], {o.lr, o.momentum, o.dampening, o.weight_decay, o.nesterov, o.maximize});
  };
  static constexpr auto kFault = [](const SGDOptions& o) {
    return o.nesterov && (o.momentum <= 0 || o.dampening != 0) ? "nesterov needs a momentum and no dampening" : nullptr;
  };
  static constexpr OptimizerRule kRule = rule<SGDOptions, kFields, kUpdate, kFault>("SGD", {"momentum_buffer"});
  return kRule;
}

template <>
const OptimizerRule& rule_of<AdamOptions>() {
  static constexpr auto kFields = [](AdamOptions& o) {
    return adam_fields(o, {flag("amsgrad", o.amsgrad), flag("decoupled_weight_decay", o.decoupled_weight_decay)});
  };
  static constexpr auto kUpdate = [](const Tensors& params, States& s, const AdamOptions& o) {
    adam_step(params, s[0], s[1], s[2], s[3],
              {o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, o.decoupled_weight_decay, o.amsgrad, o.maximize});
  };
  static constexpr OptimizerRule kRule =
      rule<AdamOptions, kFields, kUpdate, kNoFault>("Adam", {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"});
  return kRule;
}

template <>
const OptimizerRule& rule_of<AdamWOptions>() {
  static constexpr auto kFields = [](AdamWOptions& o) { return adam_fields(o, {flag("amsgrad", o.amsgrad)}); };
  static constexpr auto kUpdate = [](const Tensors& params, States& s, const AdamWOptions& o) {
    adam_step(params, s[0], s[1], s[2], s[3], {o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, true, o.amsgrad, o.maximize});
  };
  static constexpr OptimizerRule kRule =
      rule<AdamWOptions, kFields, kUpdate, kNoFault>("AdamW", {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"});
  return kRule;
}

template <>
const OptimizerRule& rule_of<AdadeltaOptions>() {
  static constexpr auto kFields = [](AdadeltaOptions& o) -> std::vector<Field> {
    return {number("lr", o.lr), number("rho", o.rho, Bounds::up_to_one), number("eps", o.eps),
            number("weight_decay", o.weight_decay), flag("maximize", o.maximize)};
  };
  static constexpr auto kUpdate = [](const Tensors& params, States& s, const AdadeltaOptions& o) {
    adadelta_step(params, s[0], s[1], s[2], {o.lr, o.rho, o.eps, o.weight_decay, o.maximize});
  };
  static constexpr OptimizerRule kRule =
      rule<AdadeltaOptions, kFields, kUpdate, kNoFault>("Adadelta", {"step", "square_avg", "acc_delta"});
  return kRule;
}

template <>
const OptimizerRule& rule_of<RMSpropOptions>() {
  static constexpr auto kFields = [](RMSpropOptions& o) -> std::vector<Field> {
    return {number("lr", o.lr),          number("momentum", o.momentum), number("alpha", o.alpha),
            number("eps", o.eps),        flag("centered", o.centered),   number("weight_decay", o.weight_decay),
            flag("maximize", o.maximize)};
  };
  static constexpr auto kUpdate = [](const Tensors& params, States& s, const RMSpropOptions& o) {
    rmsprop_step(params, s[0], s[1], s[2], s[3], {o.lr, o.alpha, o.eps, o.weight_decay, o.momentum, o.centered, o.maximize});
  };
  static constexpr OptimizerRule kRule =
      rule<RMSpropOptions, kFields, kUpdate, kNoFault>("RMSprop", {"step", "square_avg", "momentum_buffer", "grad_avg"});
  return kRule;
}

template <>
const OptimizerRule& rule_of<AdagradOptions>() {
  static constexpr auto kFields = [](AdagradOptions& o) -> std::vector<Field> {
    return {number("lr", o.lr),
            number("lr_decay", o.lr_decay),
            number("eps", o.eps),
            number("weight_decay", o.weight_decay),
            number("initial_accumulator_value", o.initial_accumulator_value),
            flag("maximize", o.maximize)};
  };
  static constexpr auto kUpdate = [](const Tensors& params, States& s, const AdagradOptions& o) {
    adagrad_step(params, s[0], s[1], {o.lr, o.lr_decay, o.eps, o.weight_decay, o.maximize}, o.initial_accumulator_value);
  };
  static constexpr OptimizerRule kRule = rule<AdagradOptions, kFields, kUpdate, kNoFault>("Adagrad", {"step", "sum"});
  return kRule;
}

template <>
const OptimizerRule& rule_of<NAdamOptions>() {
  static constexpr auto kFields = [](NAdamOptions& o) {
    return adam_fields(o, {number("momentum_decay", o.momentum_decay), flag("decoupled_weight_decay", o.decoupled_weight_decay)});
  };
  static constexpr auto kUpdate = [](const Tensors& params, States& s, const NAdamOptions& o) {
    nadam_step(params, s[0], s[1], s[2], s[3],
               {o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, o.momentum_decay, o.decoupled_weight_decay, o.maximize});
  };
  static constexpr OptimizerRule kRule =
      rule<NAdamOptions, kFields, kUpdate, kNoFault>("NAdam", {"step", "mu_product", "exp_avg", "exp_avg_sq"});
  return kRule;
}

template <>
const OptimizerRule& rule_of<RAdamOptions>() {
  static constexpr auto kFields = [](RAdamOptions& o) {
    return adam_fields(o, {flag("decoupled_weight_decay", o.decoupled_weight_decay)});
  };
  static constexpr auto kUpdate = [](const Tensors& params, States& s, const RAdamOptions& o) {
    radam_step(params, s[0], s[1], s[2],
               {o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, o.decoupled_weight_decay, o.maximize});
  };
  static constexpr OptimizerRule kRule =
      rule<RAdamOptions, kFields, kUpdate, kNoFault>("RAdam", {"step", "exp_avg", "exp_avg_sq"});
  return kRule;
}

template <>
const OptimizerRule& rule_of<AdamaxOptions>() {
  static constexpr auto kFields = [](AdamaxOptions& o) { return adam_fields(o, {}); };
  static constexpr auto kUpdate = [](const Tensors& params, States& s, const AdamaxOptions& o) {
    adamax_step(params, s[0], s[1], s[2], {o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, o.maximize});
  };
  static constexpr OptimizerRule kRule =
      rule<AdamaxOptions, kFields, kUpdate, kNoFault>("Adamax", {"step", "exp_avg", "exp_inf"});
  return kRule;
}

template <>
const OptimizerRule& rule_of<RpropOptions>() {
  static constexpr auto kFields = [](RpropOptions& o) -> std::vector<Field> {
    return {number("lr", o.lr), pair("etas", o.etas), pair("step_sizes", o.step_sizes), flag("maximize", o.maximize)};
  };
  static constexpr auto kUpdate = [](const Tensors& params, States& s, const RpropOptions& o) {
    rprop_step(params, s[0], s[1], s[2], {o.lr, o.etas[0], o.etas[1], o.step_sizes[0], o.step_sizes[1], o.maximize});
  };
  static constexpr auto kFault = [](const RpropOptions& o) {
    return o.etas[0] > 0 && o.etas[0] < 1 && o.etas[1] > 1 ? nullptr : "etas must be one within (0, 1) and one above 1";
  };
  static constexpr OptimizerRule kRule = rule<RpropOptions, kFields, kUpdate, kFault>("Rprop", {"step", "prev", "step_size"});
  return kRule;
}

}  // namespace cnnx::optim
