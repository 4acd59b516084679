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
  Tensor index = contiguous(target.dtype() == DType::int64 ? target : cast(target, DType::int64));
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
  return contiguous(weight);
}

template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

// Losses per element from log-probabilities, reduced. total_weight: what a mean divides by.
template <class T>
Tensor nll_values(const ClassShape& s, const Tensor& log_p, const Tensor& index, const Tensor& weight, int64_t ignore_index,
                  double label_smoothing, Reduction reduction, double* total_weight) {
  Tensor losses = Tensor::empty(index.shape(), log_p.options());
  kernels<T>().nll_forward(s, log_p.data<T>(), index.data<int64_t>(), data_or_null<T>(weight), ignore_index, label_smoothing,
                           losses.data<T>(), total_weight);
  if (reduction == Reduction::none) return losses;
  Tensor out = Tensor::empty({}, log_p.options());
  kernels<T>().reduce(ReduceOp::sum, ReduceShape{1, losses.numel(), 1}, losses.data<T>(), out.data<T>());
  if (reduction == Reduction::mean) *out.data<T>() = static_cast<T>(*out.data<T>() / *total_weight);
  return out;
}

// The factor of every loss in the gradient, unless each has its own.
double grad_factor(const Tensor& g, Reduction reduction, double total_weight) {
  return reduction == Reduction::none ? 0 : g.item() / (reduction == Reduction::mean ? total_weight : 1);
}

Tensor cross_entropy_indices(const Tensor& input, const Tensor& target, const Tensor& class_weights, int64_t ignore_index,
                             Reduction reduction, double label_smoothing) {
  constexpr const char* kOp = "cross_entropy";
  const ClassShape s = class_shape(kOp, input);
  Tensor index = class_indices(kOp, input, target, s.classes, ignore_index);
  Tensor weight = class_weight(kOp, class_weights, input, s.classes);
  Tensor x = contiguous(input);
  Tensor log_p = Tensor::empty(x.shape(), x.options());
  double total_weight = 0;
  Tensor out = dispatch_floating(kOp, x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>().softmax(ReduceShape{s.batch, s.classes, s.spatial}, true, x.data<T>(), log_p.data<T>());
    return nll_values<T>(s, log_p, index, weight, ignore_index, label_smoothing, reduction, &total_weight);
  });
  if (needs_grad({input})) {
    record(kOp, out, {input},
           [s, ignore_index, label_smoothing, reduction, total_weight, log_p = Saved(log_p), index = Saved(index),
            weight = Saved(weight)](const Tensor& g, const Needs&) {
             Tensor probability = log_p.unpack(kOp), at = index.unpack(kOp), factors = weight.unpack(kOp);
             Tensor grad = Tensor::empty(probability.shape(), probability.options());
             Tensor per_loss = reduction == Reduction::none ? contiguous(g) : Tensor();
             dispatch_floating(kOp, grad.dtype(), [&](auto tag) {
               using T = decltype(tag);
               kernels<T>().cross_entropy_backward(s, probability.data<T>(), at.data<int64_t>(), data_or_null<T>(factors),
                                                   ignore_index, label_smoothing, data_or_null<T>(per_loss),
                                                   grad_factor(g, reduction, total_weight), grad.data<T>());
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
  double total_weight = 0;
  Tensor out = dispatch_floating(kOp, x.dtype(), [&](auto tag) {
    return nll_values<decltype(tag)>(s, x, index, weight, ignore_index, 0, reduction, &total_weight);
  });
  if (needs_grad({input})) {
    record(kOp, out, {input},
           [s, ignore_index, reduction, total_weight, shape = input.shape(), index = Saved(index), weight = Saved(weight)](
               const Tensor& g, const Needs&) {
             Tensor at = index.unpack(kOp), factors = weight.unpack(kOp);
             Tensor grad = Tensor::zeros(shape, g.options());
             Tensor per_loss = reduction == Reduction::none ? contiguous(g) : Tensor();
             dispatch_floating(kOp, g.dtype(), [&](auto tag) {
               using T = decltype(tag);
               const double factor = grad_factor(g, reduction, total_weight);
               const T* own = data_or_null<T>(per_loss);
               const T* weights = data_or_null<T>(factors);
               const int64_t* classes = at.data<int64_t>();
               T* to = grad.data<T>();
               for (int64_t n = 0; n < s.batch; ++n)
                 for (int64_t i = 0; i < s.spatial; ++i) {
                   const int64_t row = n * s.spatial + i, t = classes[row];
                   if (t == ignore_index) continue;
                   const double slope = own != nullptr ? double(own[row]) : factor;
                   to[(n * s.classes + t) * s.spatial + i] =
                       static_cast<T>(-slope * (weights != nullptr ? double(weights[t]) : 1.0));
                 }
             });
             return Grads{grad};
           });
  }
  return out;
}

}  // namespace cnnx
