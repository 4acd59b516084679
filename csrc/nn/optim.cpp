// Update rules over lists of parameters: checks, state, and one kernel call for all parameters of a device and dtype.
#include "cnnx/nn/optim.h"

#include <algorithm>
#include <cmath>

#include "cnnx/ops/elementwise.h"
#include "cnnx/recording.h"
#include "core/copy.h"
#include "kernels/dispatch.h"
#include "kernels/update_rules.h"

namespace cnnx {
namespace {

// One parameter with what its update reads and writes, all contiguous.
struct Item {
  size_t index;  // in the caller's lists
  Tensor param, grad, states[3];
  bool fresh = false;  // its first state was made now
  int64_t step = 0;
  double mu_product = 1;
};

// What differs from parameter to parameter, and from step to step.
struct ItemStep {
  size_t index;  // of the parameter in its group
  bool fresh;
  int64_t number;  // of the step, from 1
  double mu_product;
};
// An update of parameters of one device and dtype. Inputs, for each: parameter, gradient, three states.
template <class Step>
struct UpdateCall {
  Step step;
  const ItemStep* items;  // one for each parameter; they live as long as the call
};
template <class Step>
CNNX_FIELDS(UpdateCall<Step>, step, items)
constexpr size_t kInputsOfItem = 5;

template <class Step, auto single, auto wide>
void run_update(const Run& r) {
  const auto& c = r.as<UpdateCall<Step>>();
  dispatch_floating(r.call.op.name, r.inputs[0].dtype(), [&]<class T>(T) {
    std::vector<OptimItem<T>> list;
    list.reserve(r.inputs.size() / kInputsOfItem);
    for (size_t i = 0; i < r.inputs.size(); i += kInputsOfItem) {
      const ItemStep& at = c.items[i / kInputsOfItem];
      list.push_back({r.inputs[i].numel(),
                      r.inout<T>(i),
                      r.in<T>(i + 1),
                      {r.inout<T>(i + 2), r.inout<T>(i + 3), r.inout<T>(i + 4)},
                      at.fresh,
                      at.number,
                      at.mu_product});
    }
    const int64_t count = static_cast<int64_t>(list.size());
    if constexpr (std::is_same_v<T, float>) (kernels<T>(r.queue).*single)(r.queue, c.step, count, list.data());
    else (kernels<T>(r.queue).*wide)(r.queue, c.step, count, list.data());
  });
}

// The op of a rule, whose kernel has the same name in both tables, with the names of the states.
#define CNNX_RULE(rule, kernel, Step, ...)                                                                                 \
  constexpr OpDef rule =                                                                                                   \
      op<UpdateCall<Step>>(#rule, no_results, run_update<Step, &KernelTable<float>::kernel, &KernelTable<double>::kernel>) \
          .borrowing()                                                                                                     \
          .updating(kAllInputs)                                                                                            \
          .with_input_names([](const Call& call, size_t i) {                                                               \
            static constexpr const char* kWhat[kInputsOfItem] = {"memory", "gradient", __VA_ARGS__};                       \
            const size_t index = call.as<UpdateCall<Step>>().items[i / kInputsOfItem].index;                               \
            return std::string(message("the ", kWhat[i % kInputsOfItem], " of parameter ", index));                        \
          })
namespace rules {
CNNX_RULE(sgd_step, sgd_step, SgdStep, "momentum_buffer");
CNNX_RULE(adam_step, adam_step, AdamStep, "exp_avg", "exp_avg_sq", "max_exp_avg_sq");
CNNX_RULE(adamw_step, adam_step, AdamStep, "exp_avg", "exp_avg_sq", "max_exp_avg_sq");
CNNX_RULE(adadelta_step, adadelta_step, AdadeltaStep, "square_avg", "acc_delta");
CNNX_RULE(rmsprop_step, rmsprop_step, RmspropStep, "square_avg", "momentum_buffer", "grad_avg");
CNNX_RULE(adagrad_step, adagrad_step, AdagradStep, "sum");
CNNX_RULE(nadam_step, nadam_step, NadamStep, "exp_avg", "exp_avg_sq");
CNNX_RULE(radam_step, radam_step, RadamStep, "exp_avg", "exp_avg_sq");
CNNX_RULE(adamax_step, adamax_step, AdamaxStep, "exp_avg", "exp_inf");
CNNX_RULE(rprop_step, rprop_step, RpropStep, "prev", "step_size");
}  // namespace rules
#undef CNNX_RULE

Tensor gradient(const char* op, const Tensor& param) {
  check_defined(op, "a parameter", param);
  note_grad_access(param);
  return param.grad();
}

// Numbers of steps and what follows from them, as the update that comes next has them. Inputs: the states that hold them.
struct CountCall {
  const double* values;
};
CNNX_FIELDS(CountCall, values)
void run_count(const Run& r) {
  for (size_t i = 0; i < r.inputs.size(); ++i) {
    dispatch_floating("step", r.inputs[i].dtype(),
                      [&](auto tag) { *r.inout<decltype(tag)>(i) = static_cast<decltype(tag)>(r.as<CountCall>().values[i]); });
    r.inputs[i].bump_version();
  }
}
constexpr OpDef kCount = op<CountCall>("count_steps", no_results, run_count).updating(kAllInputs).borrowing();

// Collects the parameters that have a gradient, makes missing state, and writes copies of strided tensors back at the end.
class Group {
 public:
  Group(const char* op, const std::vector<Tensor>& params, double lr) : op_(op), params_(params) {
    if (!std::isfinite(lr)) throw ValueError(message(op, ": lr must be a finite number, got ", lr));
    refuse_repeats();
    items_.reserve(params.size());
    for (size_t i = 0; i < params.size(); ++i) {
      const Tensor& param = params[i];
      const Tensor grad = gradient(op, param);
      if (!grad.defined()) continue;
      if (!is_floating_point(param.dtype()))
        throw TypeError(message(op, ": parameter ", i, " is ", name(param.dtype()), ", needs float32 or float64"));
      if (grad.dtype() != param.dtype() || !(grad.shape() == param.shape()))
        throw ShapeError(message(op, ": parameter ", i, " is ", name(param.dtype()), " ", param.shape(), ", its gradient ",
                                 name(grad.dtype()), " ", grad.shape()));
      check_same_device(op, param, grad);
      Item item;
      item.index = i;
      item.param = writable("memory", i, param);
      item.grad = contiguous(grad);
      items_.push_back(std::move(item));
    }
  }

  // Binds the list as state number `slot` of every item. Entries that are missing are made, filled with `initial`.
  void bind(int slot, const char* what, std::vector<Tensor>& states, double initial = 0) {
    resize(what, states);
    for (Item& item : items_) {
      Tensor& state = states[item.index];
      const Tensor& param = params_[item.index];
      if (!state.defined()) {
        state = Tensor::full(param.shape(), initial, param.options());
        made_ = true;
        if (slot == 0) item.fresh = true;
      } else if (state.dtype() != param.dtype() || !(state.shape() == param.shape())) {
        throw ShapeError(message(op_, ": ", what, " of parameter ", item.index, " is ", name(state.dtype()), " ", state.shape(),
                                 ", the parameter ", name(param.dtype()), " ", param.shape()));
      } else {
        check_same_device(op_, param, state);
      }
      item.states[slot] = writable(what, item.index, state);
    }
  }

  // Counts one more update of every item.
  void count_steps(std::vector<Tensor>& steps) {
    resize("step", steps);
    for (Item& item : items_) {
      const double count = number("step", item.index, steps[item.index], 0);
      if (!(count >= 0 && count < kMostSteps && count == std::floor(count)))
        throw ValueError(message(op_, ": step of parameter ", item.index, " must be a whole number from 0, is ", count));
      item.step = static_cast<int64_t>(count) + 1;
      counted_.emplace_back(steps[item.index], static_cast<double>(item.step));
    }
  }

  // Multiplies the numbers mu_product by the momentum(step) of every item, in their own dtype, as an eager update of them would.
  template <class Momentum>
  void multiply_momenta(std::vector<Tensor>& products, const Momentum& momentum) {
    resize("mu_product", products);
    for (Item& item : items_) {
      const double before = number("mu_product", item.index, products[item.index], 1), by = momentum(item.step);
      const Tensor& product = products[item.index];
      item.mu_product = product.dtype() == DType::float64
                            ? before * by
                            : static_cast<double>(static_cast<float>(before) * static_cast<float>(by));
      counted_.emplace_back(product, item.mu_product);
    }
  }

  // Updates the items, then publishes the results. Returns whether state was made.
  template <class Step>
  bool run(const OpDef& rule, const Step& step) {
    count_items();
    const NoGrad guard;
    std::vector<bool> done(items_.size());
    for (size_t i = 0; i < items_.size(); ++i)
      if (!done[i]) update(rule, step, i, done);
    for (const auto& [target, copy] : write_back_) copy_into(target, copy);
    for (const Tensor& tensor : written_) tensor.bump_version();
    return made_;
  }

 private:
  static constexpr double kMostSteps = 9007199254740992;  // 2^53, from where doubles do not count by one

  // The kernels update all parameters at once.
  void refuse_repeats() const {
    std::vector<const TensorImpl*> sorted;
    sorted.reserve(params_.size());
    for (const Tensor& param : params_) sorted.push_back(param.impl().get());
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end() && *twice != nullptr) throw ValueError(message(op_, ": a parameter is in the group twice"));
  }

  // What a state that is one number on the host holds; where it is missing, as the states bound above are, it is made.
  double number(const char* what, size_t index, Tensor& state, double initial) {
    if (!state.defined()) {
      state = Tensor::scalar(initial);
      made_ = true;
    }
    if (state.numel() != 1 || state.dtype() == DType::boolean)
      throw ShapeError(
          message(op_, ": ", what, " of parameter ", index, " must be a number, is ", name(state.dtype()), " ", state.shape()));
    const double value = state.item();
    if (!is_floating_point(state.dtype()) || state.device().is_cuda()) {
      state = Tensor::scalar(value);
      made_ = true;
    }
    if (state->storage->read_only())
      throw Error(message(op_, ": the ", what, " of parameter ", index, " shares memory that is read-only"));
    return value;
  }

  void count_items() const {
    InlineVector<Input, 8> states;
    InlineVector<double, 8> values;
    for (const auto& [state, value] : counted_) {
      states.push_back(state);
      values.push_back(value);
    }
    const CountCall c{values.data()};
    if (!states.empty()) emit(Call{kCount, &c, {states.data(), states.size()}});
  }

  void resize(const char* what, std::vector<Tensor>& list) const {
    if (list.empty()) list.resize(params_.size());
    if (list.size() != params_.size())
      throw ValueError(message(op_, ": ", params_.size(), " parameters, but ", list.size(), " entries of ", what));
  }

  // The update of all items that go together with item `first`.
  template <class Step>
  void update(const OpDef& rule, const Step& step, size_t first, std::vector<bool>& done) const {
    const Item& model = items_[first];
    InlineVector<Input, 8 * kInputsOfItem> inputs;
    InlineVector<ItemStep, 8> steps;
    for (size_t i = first; i < items_.size(); ++i) {
      const Item& item = items_[i];
      if (done[i] || item.param.dtype() != model.param.dtype() || !(item.param.device() == model.param.device())) continue;
      done[i] = true;
      if (item.param.numel() == 0) continue;
      for (const Tensor* t : {&item.param, &item.grad, &item.states[0], &item.states[1], &item.states[2]}) inputs.push_back(*t);
      steps.push_back({item.index, item.fresh, item.step, item.mu_product});
    }
    const UpdateCall<Step> c{step, steps.data()};
    if (!inputs.empty()) emit(Call{rule, &c, {inputs.data(), inputs.size()}});
  }

  // A contiguous tensor to update `tensor`, the `what` of a parameter, in.
  Tensor writable(const char* what, size_t index, const Tensor& tensor) {
    if (tensor->storage->read_only())
      throw Error(message(op_, ": the ", what, " of parameter ", index, " shares memory that is read-only"));
    if (tensor.is_contiguous()) {
      written_.push_back(tensor);
      return tensor;
    }
    for (int dim = 0; dim < tensor.ndim(); ++dim)
      if (tensor.strides()[dim] == 0 && tensor.size(dim) > 1)
        throw Error(message(op_, ": elements of the ", what, " of parameter ", index, " share memory; it needs a clone()"));
    write_back_.emplace_back(tensor, plain_copy(tensor));
    return write_back_.back().second;
  }

  const char* op_;
  const std::vector<Tensor>& params_;
  std::vector<Item> items_;
  std::vector<std::pair<Tensor, double>> counted_;  // states that are one number, and what it becomes
  std::vector<Tensor> written_;
  std::vector<std::pair<Tensor, Tensor>> write_back_;
  bool made_ = false;
};

}  // namespace

bool sgd_step(const std::vector<Tensor>& params, std::vector<Tensor>& momentum_buffers, const SgdStep& step) {
  Group group("sgd_step", params, step.lr);
  if (step.momentum != 0) group.bind(0, "momentum_buffer", momentum_buffers);
  return group.run(rules::sgd_step, step);
}

bool adam_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& exp_avgs,
               std::vector<Tensor>& exp_avg_sqs, std::vector<Tensor>& max_exp_avg_sqs, const AdamStep& step) {
  const OpDef& rule = step.decoupled ? rules::adamw_step : rules::adam_step;
  Group group(rule.name, params, step.lr);
  group.bind(0, "exp_avg", exp_avgs);
  group.bind(1, "exp_avg_sq", exp_avg_sqs);
  if (step.amsgrad) group.bind(2, "max_exp_avg_sq", max_exp_avg_sqs);
  group.count_steps(steps);
  return group.run(rule, step);
}

bool adadelta_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& square_avgs,
                   std::vector<Tensor>& acc_deltas, const AdadeltaStep& step) {
  Group group("adadelta_step", params, step.lr);
  group.bind(0, "square_avg", square_avgs);
  group.bind(1, "acc_delta", acc_deltas);
  group.count_steps(steps);
  return group.run(rules::adadelta_step, step);
}

bool rmsprop_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& square_avgs,
                  std::vector<Tensor>& momentum_buffers, std::vector<Tensor>& grad_avgs, const RmspropStep& step) {
  Group group("rmsprop_step", params, step.lr);
  group.bind(0, "square_avg", square_avgs);
  if (step.momentum > 0) group.bind(1, "momentum_buffer", momentum_buffers);
  if (step.centered) group.bind(2, "grad_avg", grad_avgs);
  group.count_steps(steps);
  return group.run(rules::rmsprop_step, step);
}

bool adagrad_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& sums,
                  const AdagradStep& step, double initial_accumulator_value) {
  Group group("adagrad_step", params, step.lr);
  group.bind(0, "sum", sums, initial_accumulator_value);
  group.count_steps(steps);
  return group.run(rules::adagrad_step, step);
}

bool nadam_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& mu_products,
                std::vector<Tensor>& exp_avgs, std::vector<Tensor>& exp_avg_sqs, const NadamStep& step) {
  Group group("nadam_step", params, step.lr);
  group.bind(0, "exp_avg", exp_avgs);
  group.bind(1, "exp_avg_sq", exp_avg_sqs);
  group.count_steps(steps);
  group.multiply_momenta(mu_products, [&](int64_t number) { return nadam_momentum(step, number); });
  return group.run(rules::nadam_step, step);
}

bool radam_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& exp_avgs,
                std::vector<Tensor>& exp_avg_sqs, const RadamStep& step) {
  Group group("radam_step", params, step.lr);
  group.bind(0, "exp_avg", exp_avgs);
  group.bind(1, "exp_avg_sq", exp_avg_sqs);
  group.count_steps(steps);
  return group.run(rules::radam_step, step);
}

bool adamax_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& exp_avgs,
                 std::vector<Tensor>& exp_infs, const AdamaxStep& step) {
  Group group("adamax_step", params, step.lr);
  group.bind(0, "exp_avg", exp_avgs);
  group.bind(1, "exp_inf", exp_infs);
  group.count_steps(steps);
  return group.run(rules::adamax_step, step);
}

bool rprop_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& prevs,
                std::vector<Tensor>& step_sizes, const RpropStep& step) {
  Group group("rprop_step", params, step.lr);
  group.bind(0, "prev", prevs);
  group.bind(1, "step_size", step_sizes, step.lr);
  group.count_steps(steps);
  return group.run(rules::rprop_step, step);
}

void zero_grads(const std::vector<Tensor>& params, bool set_to_none) {
  for (Tensor param : params) {
    if (!gradient("zero_grads", param).defined()) continue;
    if (set_to_none) param.set_grad({});
    else copy_into(param.grad(), Tensor::scalar(0, param.options()));
  }
}

namespace {

[[noreturn]] void throw_nonfinite(double norm_type, double norm) {
  throw Error(
      message("clip_grad_norm_: the total norm of order ", norm_type, " is ", norm, ", so the gradients cannot be clipped"));
}

// Inputs of both: the norm, one float64 number; gradients, of one dtype.
struct NormCall {
  double number;  // the order of the norm; the largest norm
};
CNNX_FIELDS(NormCall, number)
template <auto kernel>
void run_on_gradients(const Run& r) {
  std::vector<int64_t> sizes;
  std::vector<void*> data;
  for (size_t i = 1; i < r.inputs.size(); ++i) {
    sizes.push_back(r.inputs[i].numel());
    data.push_back(r.input_data[i]);
  }
  (elements(r.queue).*kernel)(r.queue, r.inputs[1].dtype(), r.as<NormCall>().number, static_cast<int64_t>(sizes.size()),
                              sizes.data(), data.data(), r.inout<double>(0));
}
constexpr OpDef kAddNorm =
                    op<NormCall>("clip_grad_norm", no_results, run_on_gradients<&ElementTable::add_norm>).updating(input_bit(0)),
                kScaleToNorm = op<NormCall>("clip_grad_norm", no_results, run_on_gradients<&ElementTable::clip_norm>)
                                   .updating(kAllInputs & ~input_bit(0));

// Gradients on one device. Strided ones are copied, and written back by publish().
class Gradients {
 public:
  Gradients(const char* op, const std::vector<Tensor>& params) {
    for (const Tensor& param : params) {
      const Tensor grad = gradient(op, param);
      if (!grad.defined() || grad.numel() == 0) continue;
      if (!tensors_.empty() && !(grad.device() == device()))
        throw Error(message(op, ": gradients on ", device().str(), " and ", grad.device().str(),
                            "; clip those of each device by themselves"));
      dispatch_floating(op, grad.dtype(), [](auto) {});
      tensors_.emplace_back(grad, contiguous(grad));
      if (grad.dtype() == DType::float64) dtype_ = DType::float64;
    }
  }
  Device device() const { return tensors_.empty() ? Device{} : tensors_[0].first.device(); }
  DType dtype() const { return dtype_; }  // the widest
  // One call for those of each dtype.
  void emit_on(const OpDef& op, const Tensor& norm, double number) const {
    for (DType dtype : {DType::float32, DType::float64}) {
      InlineVector<Input, 32> inputs{norm};
      for (const auto& [grad, plain] : tensors_)
        if (grad.dtype() == dtype) inputs.push_back(plain);
      const NormCall c{number};
      if (inputs.size() > 1) emit(Call{op, &c, {inputs.data(), inputs.size()}});
    }
  }
  void publish() const {
    for (const auto& [grad, plain] : tensors_) {
      if (plain->storage == grad->storage) grad.bump_version();
      else copy_into(grad, plain);
    }
  }

 private:
  std::vector<std::pair<Tensor, Tensor>> tensors_;
  DType dtype_ = DType::float32;
};

}  // namespace

// On a device without a wait, unless an error is asked for.
Tensor clip_grad_norm_(const std::vector<Tensor>& params, double max_norm, double norm_type, bool error_if_nonfinite) {
  constexpr const char* kOp = "clip_grad_norm_";
  if (std::isnan(norm_type) || norm_type <= 0) throw ValueError(message(kOp, ": norm_type must be positive, got ", norm_type));
  const NoGrad guard;
  const Gradients gradients(kOp, params);
  const Tensor norm = Tensor::zeros({}, {DType::float64, gradients.device()});
  gradients.emit_on(kAddNorm, norm, norm_type);
  if (error_if_nonfinite && !std::isfinite(norm.item())) throw_nonfinite(norm_type, norm.item());
  gradients.emit_on(kScaleToNorm, norm, max_norm);
  gradients.publish();
  return gradients.dtype() == DType::float64 ? norm : cast(norm, DType::float32);
}

void clip_grad_value_(const std::vector<Tensor>& params, double clip_value) {
  const NoGrad guard;
  for (const Tensor& param : params)
    if (const Tensor grad = gradient("clip_grad_value_", param); grad.defined()) clamp_(grad, -clip_value, clip_value);
}

}  // namespace cnnx
