// Update rules over lists of parameters. The elements of all parameters together are cut into chunks of a fixed size, the units
// of work; so small biases share a unit and a large weight spreads over all threads.
#include "cnnx/nn/optim.h"

#include <algorithm>
#include <cmath>

#include "core/copy.h"
#include "kernels/parallel.h"
#include "kernels/table.h"

namespace cnnx {
namespace {

constexpr int kMaxStates = 3;
constexpr int64_t kChunk = 8192;

// One parameter with what its update reads and writes, all contiguous.
struct Item {
  size_t index;  // in the caller's lists
  DType dtype;
  int64_t first, count;  // place in the concatenation of all elements
  void* param;
  const void* grad;
  void* states[kMaxStates] = {};
  bool fresh = false;  // its first state was made now
  int64_t step = 0;
};

Tensor gradient(const char* op, const Tensor& param) {
  if (!param.defined()) throw TypeError(message(op, ": a parameter is None"));
  return param.grad();
}

// Collects the parameters that have a gradient, makes missing state, and writes copies of strided tensors back at the end.
class Group {
 public:
  Group(const char* op, const std::vector<Tensor>& params, double lr) : op_(op), params_(params) {
    if (!std::isfinite(lr)) throw ValueError(message(op, ": lr must be a finite number, got ", lr));
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
      Item item;
      item.index = i;
      item.dtype = param.dtype();
      item.first = total_;
      item.count = param.numel();
      item.param = writable(param);
      Tensor plain = contiguous(grad);
      item.grad = plain.raw_data();
      keep_.push_back(std::move(plain));
      total_ += item.count;
      items_.push_back(item);
    }
  }

  // Binds the list as state number `slot` of every item. Entries that are missing are made, as zeros.
  void bind(int slot, const char* what, std::vector<Tensor>& states) {
    resize(what, states);
    for (Item& item : items_) {
      Tensor& state = states[item.index];
      const Tensor& param = params_[item.index];
      if (!state.defined()) {
        state = Tensor::zeros(param.shape(), param.options());
        made_ = true;
        if (slot == 0) item.fresh = true;
      } else if (state.dtype() != param.dtype() || !(state.shape() == param.shape())) {
        throw ShapeError(message(op_, ": ", what, " of parameter ", item.index, " is ", name(state.dtype()), " ", state.shape(),
                                 ", the parameter ", name(param.dtype()), " ", param.shape()));
      }
      item.states[slot] = writable(state);
    }
  }

  // Counts one more update of every item.
  void count_steps(std::vector<Tensor>& steps) {
    resize("step", steps);
    for (Item& item : items_) {
      Tensor& step = steps[item.index];
      if (!step.defined()) {
        step = Tensor::scalar(0);
        made_ = true;
      }
      if (step.numel() != 1 || !is_floating_point(step.dtype()))
        throw ShapeError(message(op_, ": step of parameter ", item.index, " must be a floating-point scalar, is ",
                                 name(step.dtype()), " ", step.shape()));
      item.step = static_cast<int64_t>(step.item()) + 1;
    }
    steps_ = &steps;
  }

  // Runs update(item, T tag, offset, count) over all chunks, `nanoseconds` per element, then publishes the results. Returns whether state was made.
  template <class Update>
  bool run(double nanoseconds, const Update& update) {
    if (steps_ != nullptr) {
      for (const Item& item : items_) {
        const Tensor& step = (*steps_)[item.index];
        dispatch_floating(op_, step.dtype(),
                          [&](auto tag) { *step.data<decltype(tag)>() = static_cast<decltype(tag)>(item.step); });
        step.bump_version();
      }
    }
    const int64_t units = (total_ + kChunk - 1) / kChunk;
    parallel_for(units, nanoseconds * static_cast<double>(std::min(total_, kChunk)), [&](int64_t unit) {
      const int64_t begin = unit * kChunk, end = std::min(begin + kChunk, total_);
      auto item = std::upper_bound(items_.begin(), items_.end(), begin, [](int64_t place, const Item& candidate) {
        return place < candidate.first + candidate.count;
      });
      for (; item != items_.end() && item->first < end; ++item) {
        const int64_t from = std::max(begin, item->first), to = std::min(end, item->first + item->count);
        if (from >= to) continue;
        if (item->dtype == DType::float32) update(*item, float{}, from - item->first, to - from);
        else update(*item, double{}, from - item->first, to - from);
      }
    });
    for (const auto& [target, copy] : write_back_) copy_into(target, copy);
    for (const Tensor& tensor : written_) tensor.bump_version();
    return made_;
  }

 private:
  void resize(const char* what, std::vector<Tensor>& list) const {
    if (list.empty()) list.resize(params_.size());
    if (list.size() != params_.size())
      throw ValueError(message(op_, ": ", params_.size(), " parameters, but ", list.size(), " entries of ", what));
  }

  // Contiguous memory to update `tensor` in.
  void* writable(const Tensor& tensor) {
    if (tensor->storage->read_only()) throw Error(message(op_, ": a parameter shares memory that is read-only"));
    if (tensor.is_contiguous()) {
      written_.push_back(tensor);
      return tensor.raw_data();
    }
    write_back_.emplace_back(tensor, plain_copy(tensor));
    return write_back_.back().second.raw_data();
  }

  const char* op_;
  const std::vector<Tensor>& params_;
  std::vector<Tensor>* steps_ = nullptr;
  std::vector<Item> items_;
  std::vector<Tensor> keep_, written_;
  std::vector<std::pair<Tensor, Tensor>> write_back_;
  int64_t total_ = 0;
  bool made_ = false;
};

template <class T>
T* at(void* data, int64_t offset) {
  return data != nullptr ? static_cast<T*>(data) + offset : nullptr;
}
template <class T>
const T* at(const void* data, int64_t offset) {
  return static_cast<const T*>(data) + offset;
}

}  // namespace

bool sgd_step(const std::vector<Tensor>& params, std::vector<Tensor>& momentum_buffers, const SgdOptions& options) {
  Group group("sgd_step", params, options.lr);
  if (options.momentum != 0) group.bind(0, "momentum_buffer", momentum_buffers);
  return group.run(0.4, [&](const Item& item, auto tag, int64_t offset, int64_t count) {
    using T = decltype(tag);
    const SgdStep step{options.lr,       options.momentum, options.dampening, options.weight_decay,
                       options.nesterov, options.maximize, item.fresh};
    kernels<T>().sgd_step(step, count, at<T>(item.param, offset), at<T>(item.grad, offset), at<T>(item.states[0], offset));
  });
}

bool adam_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& exp_avgs,
               std::vector<Tensor>& exp_avg_sqs, std::vector<Tensor>& max_exp_avg_sqs, const AdamOptions& options) {
  Group group(options.decoupled ? "adamw_step" : "adam_step", params, options.lr);
  group.bind(0, "exp_avg", exp_avgs);
  group.bind(1, "exp_avg_sq", exp_avg_sqs);
  if (options.amsgrad) group.bind(2, "max_exp_avg_sq", max_exp_avg_sqs);
  group.count_steps(steps);
  return group.run(1, [&](const Item& item, auto tag, int64_t offset, int64_t count) {
    using T = decltype(tag);
    const AdamStep step{options.lr,        options.beta1,   options.beta2,    options.eps, options.weight_decay,
                        options.decoupled, options.amsgrad, options.maximize, item.step};
    kernels<T>().adam_step(step, count, at<T>(item.param, offset), at<T>(item.grad, offset), at<T>(item.states[0], offset),
                           at<T>(item.states[1], offset), at<T>(item.states[2], offset));
  });
}

bool adadelta_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& square_avgs,
                   std::vector<Tensor>& acc_deltas, const AdadeltaOptions& options) {
  Group group("adadelta_step", params, options.lr);
  group.bind(0, "square_avg", square_avgs);
  group.bind(1, "acc_delta", acc_deltas);
  group.count_steps(steps);
  return group.run(1, [&](const Item& item, auto tag, int64_t offset, int64_t count) {
    using T = decltype(tag);
    const AdadeltaStep step{options.lr, options.rho, options.eps, options.weight_decay, options.maximize};
    kernels<T>().adadelta_step(step, count, at<T>(item.param, offset), at<T>(item.grad, offset), at<T>(item.states[0], offset),
                               at<T>(item.states[1], offset));
  });
}

bool rmsprop_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& square_avgs,
                  std::vector<Tensor>& momentum_buffers, std::vector<Tensor>& grad_avgs, const RmspropOptions& options) {
  Group group("rmsprop_step", params, options.lr);
  group.bind(0, "square_avg", square_avgs);
  if (options.momentum > 0) group.bind(1, "momentum_buffer", momentum_buffers);
  if (options.centered) group.bind(2, "grad_avg", grad_avgs);
  group.count_steps(steps);
  return group.run(1, [&](const Item& item, auto tag, int64_t offset, int64_t count) {
    using T = decltype(tag);
    const RmspropStep step{options.lr,       options.alpha,    options.eps,     options.weight_decay,
                           options.momentum, options.centered, options.maximize};
    kernels<T>().rmsprop_step(step, count, at<T>(item.param, offset), at<T>(item.grad, offset), at<T>(item.states[0], offset),
                              at<T>(item.states[1], offset), at<T>(item.states[2], offset));
  });
}

bool adagrad_step(const std::vector<Tensor>& params, std::vector<Tensor>& steps, std::vector<Tensor>& sums,
                  const AdagradOptions& options) {
  Group group("adagrad_step", params, options.lr);
  group.bind(0, "sum", sums);
  group.count_steps(steps);
  return group.run(1, [&](const Item& item, auto tag, int64_t offset, int64_t count) {
    using T = decltype(tag);
    const AdagradStep step{options.lr / (1 + static_cast<double>(item.step - 1) * options.lr_decay), options.eps,
                           options.weight_decay, options.maximize};
    kernels<T>().adagrad_step(step, count, at<T>(item.param, offset), at<T>(item.grad, offset), at<T>(item.states[0], offset));
  });
}

void zero_grads(const std::vector<Tensor>& params, bool set_to_none) {
  for (Tensor param : params) {
    if (!gradient("zero_grads", param).defined()) continue;
    if (set_to_none) param.set_grad({});
    else copy_into(param.grad(), Tensor::scalar(0, param.options()));
  }
}

Tensor clip_grad_norm_(const std::vector<Tensor>& params, double max_norm, double norm_type, bool error_if_nonfinite) {
  if (std::isnan(norm_type) || norm_type <= 0)
    throw ValueError(message("clip_grad_norm_: norm_type must be positive, got ", norm_type));
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
  if (error_if_nonfinite && !std::isfinite(norm))
    throw Error(
        message("clip_grad_norm_: the total norm of order ", norm_type, " is ", norm, ", so the gradients cannot be clipped"));
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
