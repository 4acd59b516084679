// Losses.
#include "cnnx/ops/loss.h"

#include <cmath>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/softmax.h"
#include "kernels/table.h"
#include "ops/flat.h"

namespace cnnx {
namespace {

// Logits (N, C, d1...) or (C,) as rows for the kernels.
ClassShape class_shape(const char* op, const Tensor& input) {
  if (input.ndim() == 0) throw ShapeError(message(op, ": the input must be (N, C, ...) or (C,), got a scalar"));
  if (input.ndim() == 1) return {1, input.size(0), 1};
  ClassShape s{input.size(0), input.size(1), 1};
  for (int i = 2; i < input.ndim(); ++i) s.spatial *= input.size(i);
  return s;
}

Dims target_shape(const Dims& input) {
  Dims shape = input;
  shape.erase(input.size() == 1 ? 0 : 1);
  return shape;
}

// Class indices as int64, plain and checked.
Tensor class_indices(const char* op, const Tensor& input, const Tensor& target, int64_t classes, int64_t ignore_index) {
  if (is_floating_point(target.dtype()) || target.dtype() == DType::boolean)
    throw TypeError(message(op, ": class indices must be integers, got ", name(target.dtype()), " of shape ", target.shape()));
  if (!(target.shape() == target_shape(input.shape())))
    throw ShapeError(message(op, ": target of shape ", target.shape(), " does not match input of shape ", input.shape(),
                             "; expected ", target_shape(input.shape())));
  check_same_device(op, input, target);
  Tensor index = contiguous(target.dtype() == DType::int64 ? target : cast(target, DType::int64));
  if (index.device().is_cuda()) return index;  // the kernels look, and the next call that waits for the device throws
  const int64_t* data = index.data<int64_t>();
  for (int64_t i = 0, n = index.numel(); i < n; ++i)
    if ((data[i] < 0 || data[i] >= classes) && data[i] != ignore_index)
      throw IndexError(message(op, ": target ", data[i], " at position ", i, " is out of range for ", classes, " classes"));
  return index;
}

Tensor class_weight(const char* op, const Tensor& weight, const Tensor& input, int64_t classes) {
  if (!weight.defined()) return weight;
  if (weight.ndim() != 1 || weight.size(0) != classes)
    throw ShapeError(message(op, ": weight of shape ", weight.shape(), " for ", classes, " classes"));
  if (weight.dtype() != input.dtype())
    throw TypeError(message(op, ": weight is ", name(weight.dtype()), ", input ", name(input.dtype())));
  check_same_device(op, input, weight);
  return contiguous(weight);
}

template <class T>
T* pointer_or_null(const Tensor& t) {
  return t.defined() ? t.pointer<T>() : nullptr;
}

// What a loss kernel writes: every loss, or their sum or mean and, for the gradient, what the mean divided by. It stays on the
// device.
struct Losses {
  Losses(const Tensor& index, const Tensor& input, Reduction reduction)
      : each(Tensor::empty(index.shape(), input.options())),
        total_weight(Tensor::empty({}, input.options(DType::float64))),
        reduction_(reduction) {
    if (reduction != Reduction::none) result_ = Tensor::empty({}, input.options());
  }
  Tensor result() const { return reduction_ == Reduction::none ? each : result_; }
  bool mean() const { return reduction_ == Reduction::mean; }
  template <class T>
  T* reduced() const {
    return pointer_or_null<T>(result_);
  }

  Tensor each, total_weight;

 private:
  Reduction reduction_;
  Tensor result_;
};

// What the gradient kernels take of the incoming gradient: one for each loss, or one for all and its divisor.
struct LossGrad {
  LossGrad(const Tensor& g, Reduction reduction, const Tensor& total_weight)
      : grad(contiguous(g)),
        each(reduction == Reduction::none),
        divisor(reduction == Reduction::mean ? total_weight.pointer<double>() : nullptr) {}
  Tensor grad;
  bool each;
  const double* divisor;
};

Tensor cross_entropy_indices(const Tensor& input, const Tensor& target, const Tensor& class_weights, int64_t ignore_index,
                             Reduction reduction, double label_smoothing) {
  constexpr const char* kOp = "cross_entropy";
  const ClassShape s = class_shape(kOp, input);
  Tensor index = class_indices(kOp, input, target, s.classes, ignore_index);
  Tensor weight = class_weight(kOp, class_weights, input, s.classes);
  Tensor x = contiguous(input);
  Tensor log_p = Tensor::empty(x.shape(), x.options());
  const Losses losses(index, x, reduction);
  dispatch_floating(kOp, x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(x.device())
        .cross_entropy_forward(s, x.pointer<T>(), index.pointer<int64_t>(), pointer_or_null<T>(weight), ignore_index,
                               label_smoothing, losses.mean(), log_p.pointer<T>(), losses.each.pointer<T>(), losses.reduced<T>(),
                               losses.total_weight.pointer<double>());
  });
  Tensor out = losses.result();
  if (needs_grad({input})) {
    record(kOp, out, {input},
           [s, ignore_index, label_smoothing, reduction, total_weight = losses.total_weight, log_p = Saved(log_p),
            index = Saved(index), weight = Saved(weight)](const Tensor& g, const Needs&) {
             Tensor probability = log_p.unpack(kOp), at = index.unpack(kOp), factors = weight.unpack(kOp);
             Tensor grad = Tensor::empty(probability.shape(), probability.options());
             const LossGrad from(g, reduction, total_weight);
             dispatch_floating(kOp, grad.dtype(), [&](auto tag) {
               using T = decltype(tag);
               kernels<T>(grad.device())
                   .cross_entropy_backward(s, probability.pointer<T>(), at.pointer<int64_t>(), pointer_or_null<T>(factors),
                                           ignore_index, label_smoothing, from.grad.pointer<T>(), from.each, from.divisor,
                                           grad.pointer<T>());
             });
             return Grads{grad};
           });
  }
  return out;
}

// Class probabilities as target: composed of recorded ops, so that the target may require a gradient too.
Tensor cross_entropy_probabilities(const Tensor& input, const Tensor& target, const Tensor& class_weights, int64_t ignore_index,
                                   Reduction reduction, double label_smoothing) {
  constexpr const char* kOp = "cross_entropy";
  if (ignore_index >= 0) throw Error("cross_entropy: ignore_index cannot be used with class probabilities as target");
  const ClassShape s = class_shape(kOp, input);
  Tensor weight = class_weight(kOp, class_weights, input, s.classes);
  const int dim = input.ndim() == 1 ? 0 : 1;
  Tensor q = target;
  if (label_smoothing > 0) q = add(mul(q, 1 - label_smoothing), label_smoothing / static_cast<double>(s.classes));
  Tensor terms = mul(log_softmax(input, dim), q);
  if (weight.defined()) {
    Dims shape = Dims::filled(input.ndim(), 1);
    shape[dim] = s.classes;
    terms = mul(terms, with_shape(weight, shape));
  }
  if (reduction == Reduction::none) return neg(sum(terms, {dim}));
  Tensor total = neg(sum(terms));
  return reduction == Reduction::mean ? div(total, static_cast<double>(s.batch * s.spatial)) : total;
}

void check_smoothing(double label_smoothing) {
  if (!(label_smoothing >= 0 && label_smoothing <= 1))
    throw ValueError(message("cross_entropy: label_smoothing must be between 0 and 1, got ", label_smoothing));
}

}  // namespace

Reduction parse_reduction(const char* op, const std::string& text) {
  if (text == "mean") return Reduction::mean;
  if (text == "sum") return Reduction::sum;
  if (text == "none") return Reduction::none;
  throw ValueError(message(op, ": reduction must be \"none\", \"mean\" or \"sum\", got \"", text, "\""));
}

Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight, int64_t ignore_index, Reduction reduction,
                     double label_smoothing) {
  check_smoothing(label_smoothing);
  if (!is_floating_point(input.dtype()))
    throw TypeError(message("cross_entropy: needs float32 or float64 logits, got ", name(input.dtype())));
  if (is_floating_point(target.dtype()) && target.shape() == input.shape())
    return cross_entropy_probabilities(input, target, weight, ignore_index, reduction, label_smoothing);
  return cross_entropy_indices(input, target, weight, ignore_index, reduction, label_smoothing);
}

Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& class_weights, int64_t ignore_index,
                Reduction reduction) {
  constexpr const char* kOp = "nll_loss";
  const ClassShape s = class_shape(kOp, input);
  if (!is_floating_point(input.dtype()))
    throw TypeError(message("nll_loss: needs float32 or float64 log-probabilities, got ", name(input.dtype())));
  Tensor index = class_indices(kOp, input, target, s.classes, ignore_index);
  Tensor weight = class_weight(kOp, class_weights, input, s.classes);
  Tensor x = contiguous(input);
  const Losses losses(index, x, reduction);
  dispatch_floating(kOp, x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(x.device())
        .nll_forward(s, x.pointer<T>(), index.pointer<int64_t>(), pointer_or_null<T>(weight), ignore_index, 0, losses.mean(),
                     losses.each.pointer<T>(), losses.reduced<T>(), losses.total_weight.pointer<double>());
  });
  Tensor out = losses.result();
  if (needs_grad({input})) {
    record(kOp, out, {input},
           [s, ignore_index, reduction, total_weight = losses.total_weight, shape = input.shape(), index = Saved(index),
            weight = Saved(weight)](const Tensor& g, const Needs&) {
             Tensor at = index.unpack(kOp), factors = weight.unpack(kOp);
             Tensor grad = Tensor::empty(shape, g.options());
             const LossGrad from(g, reduction, total_weight);
             dispatch_floating(kOp, g.dtype(), [&](auto tag) {
               using T = decltype(tag);
               kernels<T>(grad.device())
                   .nll_backward(s, at.pointer<int64_t>(), pointer_or_null<T>(factors), ignore_index, from.grad.pointer<T>(),
                                 from.each, from.divisor, grad.pointer<T>());
             });
             return Grads{grad};
           });
  }
  return out;
}

}  // namespace cnnx
