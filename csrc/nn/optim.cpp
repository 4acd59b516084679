// Update rules over lists of parameters: checks, state, and one kernel call for all parameters of a device and dtype.
#include "cnnx/nn/optim.h"

#include <algorithm>
#include <cmath>

#include "cnnx/ops/elementwise.h"
#include "core/copy.h"
#include "cuda/graph.h"
#include "kernels/table.h"

namespace cnnx {
namespace {

// One parameter with what its update reads and writes, all contiguous.
struct Item {
  size_t index;  // in the caller's lists
  TensorOptions options;
  int64_t count;
  void* param;
  const void* grad;
  void* states[3] = {};
  bool fresh = false;  // its first state was made now
  int64_t step = 0;
};

Tensor gradient(const char* op, const Tensor& param) {
  if (!param.defined()) throw TypeError(message(op, ": a parameter is None"));
  return param.grad();
}

// What a captured update leaves for its replays: they change numbers, but neither items nor addresses.
struct Captured {
  std::vector<Item> items;
  std::vector<const void*> memory;  // of the parameters and states
};

// Collects the parameters that have a gradient, makes missing state, and writes copies of strided tensors back at the end. For
// the replay of a graph it takes the items of the capture, counts their steps, and has the kernels take the new numbers alone.
class Group {
 public:
  Group(const char* op, const std::vector<Tensor>& params, double lr) : op_(op), params_(params) {
    if (!std::isfinite(lr)) throw ValueError(message(op, ": lr must be a finite number, got ", lr));
    if (phase_ == cuda::Phase::replay) {
      captured_ = std::static_pointer_cast<Captured>(cuda::take_note(op));
      items_ = captured_->items;
      for (const Item& item : items_) {
        if (item.index >= params.size()) throw_changed("the number of parameters");
        item_memory("parameter", item, params[item.index]);
      }
      return;
    }
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
      if (phase_ == cuda::Phase::capture && !(param.device().is_cuda() && cuda::is_capturing(param.device().index)))
        throw Error(message(op, ": parameter ", i, " is on ", param.device().str(), ", which is not being captured"));
      Item item;
      item.index = i;
      item.options = param.options();
      item.count = param.numel();
      item_memory("parameter", item, param);
      item.param = writable("memory", i, param);
      Tensor plain = contiguous(grad);
      item.grad = plain.raw_pointer();
      keep_.push_back(std::move(plain));
      items_.push_back(item);
    }
  }

  // Binds the list as state number `slot` of every item. Entries that are missing are made, filled with `initial`.
  void bind(int slot, const char* what, std::vector<Tensor>& states, double initial = 0) {
    resize(what, states);
    for (Item& item : items_) {
      Tensor& state = states[item.index];
      const Tensor& param = params_[item.index];
      if (phase_ == cuda::Phase::capture && !state.defined())
        throw Error(
            message(op_, ": parameter ", item.index, " has no ", what, " yet: a step has to run once before it is captured"));
      if (phase_ != cuda::Phase::eager) item_memory(what, item, state);
      if (phase_ == cuda::Phase::replay) continue;
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
      Tensor& step = steps[item.index];
      if (!step.defined()) {  // the states above were missing too
        step = Tensor::scalar(0);
        made_ = true;
      }
      if (step.numel() != 1 || step.dtype() == DType::boolean)
        throw ShapeError(
            message(op_, ": step of parameter ", item.index, " must be a number, is ", name(step.dtype()), " ", step.shape()));
      const double count = step.item();
      if (!(count >= 0 && count < kMostSteps && count == std::floor(count)))
        throw ValueError(message(op_, ": step of parameter ", item.index, " must be a whole number from 0, is ", count));
      if (!is_floating_point(step.dtype()) || step.device().is_cuda()) {  // it is counted on the host
        step = Tensor::scalar(count);
        made_ = true;
      }
      item.step = static_cast<int64_t>(count) + 1;
    }
    steps_ = &steps;
  }

  // Runs `kernel` of the table with `step` on the items of each device and dtype, then publishes the results. Returns whether
  // state was made.
  template <class Step>
  bool run(const Step& step, void (*KernelTable<float>::*single)(const Step&, int64_t, const OptimItem<float>*),
           void (*KernelTable<double>::*wide)(const Step&, int64_t, const OptimItem<double>*)) {
    if (phase_ == cuda::Phase::capture) cuda::leave_note(std::make_shared<Captured>(Captured{items_, memory_}));
    if (phase_ == cuda::Phase::replay && memory_ != captured_->memory) throw_changed("an option");
    if (steps_ != nullptr && phase_ != cuda::Phase::capture) {  // what is captured has not run
      for (const Item& item : items_) {
        const Tensor& step = (*steps_)[item.index];
        set_step(step, item.step);
        if (phase_ == cuda::Phase::replay) cuda::undo_if_replay_fails([step, before = item.step - 1] { set_step(step, before); });
      }
    }
    std::vector<bool> done(items_.size());
    for (size_t i = 0; i < items_.size(); ++i) {
      if (done[i]) continue;
      if (items_[i].options.dtype == DType::float32) update(i, done, step, single);
      else update(i, done, step, wide);
    }
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

  static void set_step(const Tensor& step, int64_t value) {
    dispatch_floating("step", step.dtype(), [&](auto tag) { *step.data<decltype(tag)>() = static_cast<decltype(tag)>(value); });
    step.bump_version();
  }

  void resize(const char* what, std::vector<Tensor>& list) const {
    if (list.empty()) list.resize(params_.size());
    if (list.size() != params_.size())
      throw ValueError(message(op_, ": ", params_.size(), " parameters, but ", list.size(), " entries of ", what));
  }

  // The update of all items of the device and dtype of item `first`.
  template <class Step, class T>
  void update(size_t first, std::vector<bool>& done, const Step& step,
              void (*KernelTable<T>::*kernel)(const Step&, int64_t, const OptimItem<T>*)) const {
    const TensorOptions options = items_[first].options;
    std::vector<OptimItem<T>> list;
    for (size_t i = first; i < items_.size(); ++i) {
      const Item& item = items_[i];
      if (item.options.dtype != options.dtype || !(item.options.device == options.device)) continue;
      done[i] = true;
      if (item.count == 0) continue;
      list.push_back({item.count,
                      static_cast<T*>(item.param),
                      static_cast<const T*>(item.grad),
                      {static_cast<T*>(item.states[0]), static_cast<T*>(item.states[1]), static_cast<T*>(item.states[2])},
                      item.fresh,
                      item.step});
    }
    if (!list.empty()) (kernels<T>(options.device).*kernel)(step, static_cast<int64_t>(list.size()), list.data());
  }

  [[noreturn]] void throw_changed(const char* what) const {
    throw Error(message(op_, ": ", what, " has changed since the step was captured as a CUDA graph; capture it again"));
  }

  // Takes down where a parameter or state lies; in a replay it has to be where it was.
  void item_memory(const char* what, const Item& item, const Tensor& tensor) {
    if (phase_ == cuda::Phase::eager) return;
    const void* memory = tensor.defined() ? tensor.raw_pointer() : nullptr;
    if (phase_ == cuda::Phase::replay &&
        (memory_.size() == captured_->memory.size() || memory != captured_->memory[memory_.size()]))
      throw_changed(message("the ", what, " of parameter ", item.index).c_str());
    memory_.push_back(memory);
    if (phase_ == cuda::Phase::replay) written_.push_back(tensor);
  }

  // Contiguous memory to update `tensor`, the `what` of a parameter, in.
  void* writable(const char* what, size_t index, const Tensor& tensor) {
    if (tensor->storage->read_only())
      throw Error(message(op_, ": the ", what, " of parameter ", index, " shares memory that is read-only"));
    if (tensor.is_contiguous()) {
      written_.push_back(tensor);
      return tensor.raw_pointer();
    }
    for (int dim = 0; dim < tensor.ndim(); ++dim)
      if (tensor.strides()[dim] == 0 && tensor.size(dim) > 1)
        throw Error(message(op_, ": elements of the ", what, " of parameter ", index, " share memory; it needs a clone()"));
    write_back_.emplace_back(tensor, plain_copy(tensor));
    return write_back_.back().second.raw_pointer();
  }

  const char* op_;
  const cuda::Phase phase_ = cuda::phase();
  std::shared_ptr<Captured> captured_;
  std::vector<const void*> memory_;
  const std::vector<Tensor>& params_;
  std::vector<Tensor>* steps_ = nullptr;
  std::vector<Item> items_;
  std::vector<Tensor> keep_, written_;
  std::vector<std::pair<Tensor, Tensor>> write_back_;
  bool made_ = false;
};

// The slot of a kernel, for both tables.
#define CNNX_SLOT(name) &KernelTable<float>::name, &KernelTable<double>::name

}  // namespace

bool sgd_step(const std::vector<Tensor>& params, std::vector<Tensor>& momentum_buffers, const SgdOptions& options) {
  Group group("sgd_step", params, options.lr);
  if (options.momentum != 0) group.bind(0, "momentum_buffer", momentum_buffers);
  return group.run(
      SgdStep{options.lr, options.momentum, options.dampening, options.weight_decay, options.nesterov, options.maximize},
      CNNX_SLOT(sgd_step));
}

bool adam_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& exp_avgs,
               std::vector<Tensor>& exp_avg_sqs, std::vector<Tensor>& max_exp_avg_sqs, const AdamOptions& options) {
  Group group(options.decoupled ? "adamw_step" : "adam_step", params, options.lr);
  group.bind(0, "exp_avg", exp_avgs);
  group.bind(1, "exp_avg_sq", exp_avg_sqs);
  if (options.amsgrad) group.bind(2, "max_exp_avg_sq", max_exp_avg_sqs);
  group.count_steps(steps);
  return group.run(AdamStep{options.lr, options.beta1, options.beta2, options.eps, options.weight_decay, options.decoupled,
                            options.amsgrad, options.maximize},
                   CNNX_SLOT(adam_step));
}

bool adadelta_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& square_avgs,
                   std::vector<Tensor>& acc_deltas, const AdadeltaOptions& options) {
  Group group("adadelta_step", params, options.lr);
  group.bind(0, "square_avg", square_avgs);
  group.bind(1, "acc_delta", acc_deltas);
  group.count_steps(steps);
  return group.run(AdadeltaStep{options.lr, options.rho, options.eps, options.weight_decay, options.maximize},
                   CNNX_SLOT(adadelta_step));
}

bool rmsprop_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& square_avgs,
                  std::vector<Tensor>& momentum_buffers, std::vector<Tensor>& grad_avgs, const RmspropOptions& options) {
  Group group("rmsprop_step", params, options.lr);
  group.bind(0, "square_avg", square_avgs);
  if (options.momentum > 0) group.bind(1, "momentum_buffer", momentum_buffers);
  if (options.centered) group.bind(2, "grad_avg", grad_avgs);
  group.count_steps(steps);
  return group.run(RmspropStep{options.lr, options.alpha, options.eps, options.weight_decay, options.momentum, options.centered,
                               options.maximize},
                   CNNX_SLOT(rmsprop_step));
}

bool adagrad_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& sums,
                  const AdagradOptions& options) {
  Group group("adagrad_step", params, options.lr);
  group.bind(0, "sum", sums, options.initial_accumulator_value);
  group.count_steps(steps);
  return group.run(AdagradStep{options.lr, options.lr_decay, options.eps, options.weight_decay, options.maximize},
                   CNNX_SLOT(adagrad_step));
}

#undef CNNX_SLOT

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

// Gradients on one device, as its kernels take them. Strided ones are copied, and written back by publish().
struct GradLists {
  struct List {
    std::vector<int64_t> sizes;
    std::vector<void*> data;
  };
  GradLists(const char* op, const std::vector<Tensor>& params, Device device) {
    for (const Tensor& param : params) {
      const Tensor grad = gradient(op, param);
      if (!grad.defined() || grad.numel() == 0) continue;
      if (!(grad.device() == device))
        throw Error(message(op, ": gradients on ", device.str(), " and ", grad.device().str(),
                            "; clip those of each device by themselves"));
      dispatch_floating(op, grad.dtype(), [](auto) {});
      tensors.emplace_back(grad, contiguous(grad));
      List& list = grad.dtype() == DType::float32 ? single : wide;
      list.sizes.push_back(grad.numel());
      list.data.push_back(tensors.back().second.raw_pointer());
    }
  }
  template <class Run>
  void for_each(const Run& run) const {
    if (!single.data.empty()) run(DType::float32, single);
    if (!wide.data.empty()) run(DType::float64, wide);
  }
  void publish() const {
    for (const auto& [grad, plain] : tensors) {
      if (plain->storage == grad->storage) grad.bump_version();
      else copy_into(grad, plain);
    }
  }
  std::vector<std::pair<Tensor, Tensor>> tensors;
  List single, wide;
};

// Without a wait, unless an error is asked for.
Tensor clip_on_device(const std::vector<Tensor>& params, Device device, double max_norm, double norm_type,
                      bool error_if_nonfinite) {
  constexpr const char* kOp = "clip_grad_norm_";
  const GradLists lists(kOp, params, device);
  const Tensor norm = Tensor::zeros({}, {DType::float64, device});
  const ElementTable& table = cuda::element_kernels(device.index);
  lists.for_each([&](DType dtype, const GradLists::List& list) {
    table.add_norm(dtype, norm_type, static_cast<int64_t>(list.data.size()), list.sizes.data(), list.data.data(),
                   norm.pointer<double>());
  });
  if (error_if_nonfinite && !std::isfinite(norm.item())) throw_nonfinite(norm_type, norm.item());
  lists.for_each([&](DType dtype, const GradLists::List& list) {
    table.clip_norm(dtype, max_norm, norm.pointer<double>(), static_cast<int64_t>(list.data.size()), list.sizes.data(),
                    list.data.data());
  });
  lists.publish();
  return lists.wide.data.empty() ? cast(norm, DType::float32) : norm;
}

}  // namespace

Tensor clip_grad_norm_(const std::vector<Tensor>& params, double max_norm, double norm_type, bool error_if_nonfinite) {
  if (std::isnan(norm_type) || norm_type <= 0)
    throw ValueError(message("clip_grad_norm_: norm_type must be positive, got ", norm_type));
  for (const Tensor& param : params)
    if (const Tensor grad = gradient("clip_grad_norm_", param); grad.defined() && grad.device().is_cuda())
      return clip_on_device(params, grad.device(), max_norm, norm_type, error_if_nonfinite);
  double total = 0;
  DType dtype = DType::float32;
  for (const Tensor& param : params) {
    const Tensor grad = gradient("clip_grad_norm_", param);
    if (!grad.defined()) continue;
    dtype = promote(dtype, grad.dtype());
    const Tensor plain = contiguous(grad);
    dispatch_floating("clip_grad_norm_", grad.dtype(), [&](auto tag) {
      const auto* g = plain.data<decltype(tag)>();
      const int64_t n = plain.numel();
      for (int64_t i = 0; i < n; ++i) {
        const double size = std::abs(static_cast<double>(g[i]));
        if (std::isinf(norm_type)) total = size > total || std::isnan(size) ? size : total;
        else total += norm_type == 2 ? size * size : std::pow(size, norm_type);
      }
    });
  }
  const double norm = std::isinf(norm_type) ? total : std::pow(total, 1 / norm_type);
  if (error_if_nonfinite && !std::isfinite(norm)) throw_nonfinite(norm_type, norm);
  const double scale = max_norm / (norm + 1e-6);
  if (!(scale >= 1)) {  // a NaN scales too, as in PyTorch
    for (const Tensor& param : params) {
      const Tensor grad = param.grad();
      if (!grad.defined()) continue;
      const Tensor scaled = plain_copy(grad);
      dispatch_floating("clip_grad_norm_", grad.dtype(), [&](auto tag) {
        using T = decltype(tag);
        T* g = scaled.data<T>();
        for (int64_t i = 0, n = scaled.numel(); i < n; ++i) g[i] = static_cast<T>(g[i] * scale);
      });
      copy_into(grad, scaled);
    }
  }
  return Tensor::scalar(norm, {dtype});
}

void clip_grad_value_(const std::vector<Tensor>& params, double clip_value) {
  for (const Tensor& param : params) {
    const Tensor grad = gradient("clip_grad_value_", param);
    if (!grad.defined()) continue;
    if (grad.device().is_cuda()) {
      copy_into(grad, clamp(grad.detach(), -clip_value, clip_value));
      continue;
    }
    const Tensor clipped = plain_copy(grad);
    dispatch_floating("clip_grad_value_", grad.dtype(), [&](auto tag) {
      using T = decltype(tag);
      T* g = clipped.data<T>();
      const T high = static_cast<T>(clip_value);
      for (int64_t i = 0, n = clipped.numel(); i < n; ++i) g[i] = g[i] > high ? high : g[i] < -high ? -high : g[i];
    });
    copy_into(grad, clipped);
  }
}

}  // namespace cnnx
