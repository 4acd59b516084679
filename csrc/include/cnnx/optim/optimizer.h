// Optimizers. The update rules themselves are in cnnx/nn/optim.h.
//
//   optim::SGD optimizer(net.parameters(), {.lr = 0.01, .momentum = 0.9});
//   optim::Adam two({{.params = body.parameters(), .options = {.lr = 1e-4}}, {.params = head.parameters()}});
//   ...
//   optimizer.zero_grad();
//   backward(cross_entropy(net(images), labels));
//   optimizer.step();
//
// Options have Python's names and defaults. Numbers that make no sense (negative, not finite, betas from 1 on) are a ValueError,
// at the start and at the step that they are first used in.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/io/safetensors.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {
namespace optim {

using Betas = std::array<double, 2>;

struct SGDOptions {
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, maximize = false;
};
struct AdamOptions {
  double lr = 1e-3;
  Betas betas{0.9, 0.999};
  double eps = 1e-8, weight_decay = 0;
  bool amsgrad = false, maximize = false, decoupled_weight_decay = false;
};
struct AdamWOptions {  // decay of the weights themselves
  double lr = 1e-3;
  Betas betas{0.9, 0.999};
  double eps = 1e-8, weight_decay = 1e-2;
  bool amsgrad = false, maximize = false;
};
struct AdadeltaOptions {
  double lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0;
  bool maximize = false;
};
struct RMSpropOptions {
  double lr = 1e-2, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
  bool centered = false, maximize = false;
};
struct AdagradOptions {
  double lr = 1e-2, lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = 1e-10;
  bool maximize = false;
};
struct NAdamOptions {
  double lr = 2e-3;
  Betas betas{0.9, 0.999};
  double eps = 1e-8, weight_decay = 0, momentum_decay = 4e-3;
  bool decoupled_weight_decay = false, maximize = false;
};
struct RAdamOptions {
  double lr = 1e-3;
  Betas betas{0.9, 0.999};
  double eps = 1e-8, weight_decay = 0;
  bool decoupled_weight_decay = false, maximize = false;
};
struct AdamaxOptions {
  double lr = 2e-3;
  Betas betas{0.9, 0.999};
  double eps = 1e-8, weight_decay = 0;
  bool maximize = false;
};
struct RpropOptions {
  double lr = 1e-2;
  std::array<double, 2> etas{0.5, 1.2}, step_sizes{1e-6, 50};
  bool maximize = false;
};

// The name, options, states and update of one kind (csrc/optim/rules.h).
struct OptimizerRule;
template <class Options>
const OptimizerRule& rule_of();
template <>
const OptimizerRule& rule_of<SGDOptions>();
template <>
const OptimizerRule& rule_of<AdamOptions>();
template <>
const OptimizerRule& rule_of<AdamWOptions>();
template <>
const OptimizerRule& rule_of<AdadeltaOptions>();
template <>
const OptimizerRule& rule_of<RMSpropOptions>();
template <>
const OptimizerRule& rule_of<AdagradOptions>();
template <>
const OptimizerRule& rule_of<NAdamOptions>();
template <>
const OptimizerRule& rule_of<RAdamOptions>();
template <>
const OptimizerRule& rule_of<AdamaxOptions>();
template <>
const OptimizerRule& rule_of<RpropOptions>();

// What all optimizers have. They stay where they are: schedules and compiled steps refer to them.
class Optimizer {
 public:
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  virtual ~Optimizer();

  // Updates all parameters that have a gradient. In a compiled function every replay does so, with the options of that moment.
  void step();
  // Drops the gradients, or sets them to zero.
  void zero_grad(bool set_to_none = true);

  // The groups of parameters, and of each the learning rate and what its momentum is (momentum or the first beta; null if
  // neither).
  size_t group_count() const { return groups_.size(); }
  const std::vector<Tensor>& params(size_t group = 0) const;
  double& lr(size_t group = 0);
  double* momentum(size_t group = 0);
  // State by name ("momentum_buffer", "exp_avg", "step", ...) of a parameter; undefined before its first update.
  Tensor state(const std::string& name, size_t param, size_t group = 0) const;
  // The learning rate of a group when the first schedule was made for it, where there is one.
  std::vector<std::optional<double>> initial_lrs;

  // State and options in the form in which Python's cnnx.save(optimizer.state_dict(), path) writes them: with save_safetensors()
  // they become a file that Python's optimizer loads, and the other way round.
  SafetensorsFile state_dict() const;
  // Throws ValueError if groups, their sizes or options are not those of this optimizer; then nothing has changed.
  void load_state_dict(const SafetensorsFile& state);

 protected:
  explicit Optimizer(const OptimizerRule& rule);
  // Options of the rule's type, which live as long as this does.
  void add(std::vector<Tensor> params, std::shared_ptr<void> options);
  void* options_of(size_t group) const;

 private:
  struct Entry {
    std::vector<Tensor> params;
    std::shared_ptr<void> options;
    std::array<std::vector<Tensor>, 4> states;  // in the order of their names
  };
  void update();
  const Entry& at(size_t group) const;
  const OptimizerRule& rule_;
  std::vector<Entry> groups_;
  std::shared_ptr<bool> groups_hold_ = std::make_shared<bool>(true);  // until there is a further one
};

template <class Options>
struct Group {
  std::vector<Tensor> params;
  Options options = {};
};

// An optimizer by its options. No parameter may be in it twice (ValueError), and each is a leaf.
template <class Options>
class OptimizerOf final : public Optimizer {
 public:
  explicit OptimizerOf(std::vector<Tensor> params, const Options& options = {}) : Optimizer(rule_of<Options>()) {
    add_param_group({std::move(params), options});
  }
  explicit OptimizerOf(std::vector<Group<Options>> groups) : Optimizer(rule_of<Options>()) {
    if (groups.empty()) add_param_group({});  // which is refused
    for (Group<Options>& group : groups) add_param_group(std::move(group));
  }
  void add_param_group(Group<Options> group) { add(std::move(group.params), std::make_shared<Options>(group.options)); }
  // To be read and changed; a change takes effect at the next step.
  Options& options(size_t group = 0) { return *static_cast<Options*>(options_of(group)); }
};

using SGD = OptimizerOf<SGDOptions>;
using Adam = OptimizerOf<AdamOptions>;
using AdamW = OptimizerOf<AdamWOptions>;
using Adadelta = OptimizerOf<AdadeltaOptions>;
using RMSprop = OptimizerOf<RMSpropOptions>;
using Adagrad = OptimizerOf<AdagradOptions>;
using NAdam = OptimizerOf<NAdamOptions>;
using RAdam = OptimizerOf<RAdamOptions>;
using Adamax = OptimizerOf<AdamaxOptions>;
using Rprop = OptimizerOf<RpropOptions>;

}  // namespace optim
}  // namespace cnnx CNNX_API
