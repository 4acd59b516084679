// Losses.
#include "cnnx/ops/loss.h"

#include <cmath>

#include "cnnx/autograd.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/softmax.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/floats.h"
#include "core/node.h"
#include "ops/softmax.h"

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

// Class indices as int64, plain.
Tensor class_indices(const char* op, const Tensor& input, const Tensor& target) {
  if (is_floating_point(target.dtype()) || target.dtype() == DType::boolean)
    throw TypeError(message(op, ": class indices must be integers, got ", name(target.dtype()), " of shape ", target.shape()));
  if (!(target.shape() == target_shape(input.shape())))
    throw ShapeError(message(op, ": target of shape ", target.shape(), " does not match input of shape ", input.shape(),
                             "; expected ", target_shape(input.shape())));
  check_same_device(op, input, target);
  return contiguous(target.dtype() == DType::int64 ? target : cast(target, DType::int64));
}

// The attributes of the losses of class indices and of their gradients.
struct ClassLossCall {
  ClassShape shape;
  int64_t ignore_index;
  double label_smoothing;
  Reduction reduction;
};
CNNX_FIELDS(ClassLossCall, shape, ignore_index, label_smoothing, reduction)

// Inputs: logits or log-probabilities, class indices, weights of the classes. Results: the losses or their sum or mean; what the
// mean divided by; the log-softmax of logits.
enum : size_t { kLoss, kTotalWeight, kLogP };

void infer(const Call& call, ResultSpecs& results) {
  const DType dtype = call[0].dtype();
  const bool reduced = call.as<ClassLossCall>().reduction != Reduction::none;
  results.push_back({reduced ? Dims{} : call[1].shape(), dtype});
  results.push_back({{}, DType::float64, Place::row_major, true, false});
}
void infer_cross_entropy(const Call& call, ResultSpecs& results) {
  infer(call, results);
  results.push_back({call[0].shape(), call[0].dtype()});  // what the gradient is computed from, so it has one itself
}

// On the CPU; a device's kernels look, and the next call that waits for the device throws.
void check_targets(const Run& r) {
  const ClassLossCall& c = r.as<ClassLossCall>();
  if (r.queue.device >= 0) return;
  const int64_t* target = r.in<int64_t>(1);
  for (int64_t i = 0, n = r.inputs[1].numel(); i < n; ++i)
    if ((target[i] < 0 || target[i] >= c.shape.classes) && target[i] != c.ignore_index)
      throw IndexError(message(r.call.op.name, ": target ", target[i], " at position ", i, " is out of range for ",
                               c.shape.classes, " classes"));
}

void run_cross_entropy(const Run& r) {
  const ClassLossCall& c = r.as<ClassLossCall>();
  check_targets(r);
  const bool each = c.reduction == Reduction::none, mean = c.reduction == Reduction::mean;
  on_floats(r, [&](const auto& f) {
    f.kernels.cross_entropy_forward(r.queue, c.shape, f.in(0), r.in<int64_t>(1), f.in(2), c.ignore_index, c.label_smoothing, mean,
                                    f.out(kLogP), each ? f.out(kLoss) : nullptr, each ? nullptr : f.out(kLoss),
                                    r.out<double>(kTotalWeight));
  });
}

void run_nll(const Run& r) {
  const ClassLossCall& c = r.as<ClassLossCall>();
  check_targets(r);
  const bool each = c.reduction == Reduction::none, mean = c.reduction == Reduction::mean;
  on_floats(r, [&](const auto& f) {
    f.kernels.nll_forward(r.queue, c.shape, f.in(0), r.in<int64_t>(1), f.in(2), c.ignore_index, c.label_smoothing, mean,
                          each ? f.out(kLoss) : nullptr, each ? nullptr : f.out(kLoss), r.out<double>(kTotalWeight));
  });
}

// Inputs of the gradients: that of the loss, class indices, weights, what the mean divided by, the log-softmax.
void infer_backward(const Call& call, ResultSpecs& results) {
  const ClassShape& s = call.as<ClassLossCall>().shape;
  Dims shape = call[1].shape();
  shape.insert(shape.empty() ? 0 : 1, s.classes);
  results.push_back({shape, call[0].dtype()});
}

void run_backward(const Run& r) {
  const ClassLossCall& c = r.as<ClassLossCall>();
  const bool each = c.reduction == Reduction::none;
  const double* divisor = c.reduction == Reduction::mean ? r.in<double>(3) : nullptr;
  on_floats(r, [&](const auto& f) {
    if (const auto* log_p = f.in(4))
      f.kernels.cross_entropy_backward(r.queue, c.shape, log_p, r.in<int64_t>(1), f.in(2), c.ignore_index, c.label_smoothing,
                                       f.in(0), each, divisor, f.out(0));
    else f.kernels.nll_backward(r.queue, c.shape, r.in<int64_t>(1), f.in(2), c.ignore_index, f.in(0), each, divisor, f.out(0));
  });
}

// The losses are the sum over classes c of -a[c] log p[c], with a weight a for each class of each row.
Tensor class_shares(const ClassLossCall& c, const Dims& shape, const Tensor& index, const Tensor& weight, DType dtype) {
  const int dim = shape.size() == 1 ? 0 : 1;
  Dims classes = Dims::filled(shape.size(), 1);
  classes[dim] = c.shape.classes;
  const Tensor kept = ne(index, c.ignore_index);
  const Tensor row = arange(c.shape.classes, {.device = index.device()});
  const Tensor hit = eq(unsqueeze(index, dim), reshape(row, classes));
  Tensor shares = where(hit, Tensor::full({}, 1 - c.label_smoothing, {dtype, index.device()}), 0.0);
  if (c.label_smoothing > 0) shares = add(shares, c.label_smoothing / static_cast<double>(c.shape.classes));
  if (weight.defined()) shares = mul(shares, reshape(weight, classes));
  return where(unsqueeze(kept, dim), shares, 0.0);
}

void formula_of_backward(const Call& call, Results& results) {
  const ClassLossCall& c = call.as<ClassLossCall>();
  Tensor g = call[0];
  Dims shape = call[1].shape();
  const int dim = shape.empty() ? 0 : 1;
  shape.insert(dim, c.shape.classes);
  const Tensor shares = class_shares(c, shape, call[1], call[2], g.dtype());
  if (c.reduction == Reduction::none) g = unsqueeze(g, dim);
  if (c.reduction == Reduction::mean) g = div(g, cast(call[3], g.dtype()));
  const Tensor slope = call[4].defined() ? sub(mul(exp(call[4]), sum(shares, {dim}, true)), shares) : neg(shares);
  results.push_back(mul(slope, g));
}

constexpr OpDef kBackward = op<ClassLossCall>("class_loss_backward", infer_backward, run_backward)
                                .with_gradient(gradient_of<formula_of_backward>, saves_inputs);

constexpr auto saves = saving<input_bit(1) | input_bit(2) | result_bit(kTotalWeight) | result_bit(kLogP)>;

void gradient(const Backward& call, Grads& grads) {
  const Tensor log_p = call.result(kLogP);
  if (call.grad(kLoss).defined())
    grads[0] = emit_one(kBackward, call.as<ClassLossCall>(),
                        {call.grad(kLoss), call.input(1), call.input(2), call.result(kTotalWeight), log_p});
  if (call.grads().size() <= kLogP || !call.grad(kLogP).defined()) return;
  const Tensor more = log_softmax_backward(call.grad(kLogP), log_p, log_p.ndim() == 1 ? 0 : 1);
  grads[0] = grads[0].defined() ? add(grads[0], more) : more;
}

constexpr OpDef kCrossEntropy =
    op<ClassLossCall>("cross_entropy", infer_cross_entropy, run_cross_entropy).with_gradient(gradient, saves);
constexpr OpDef kNll = op<ClassLossCall>("nll_loss", infer, run_nll).with_gradient(gradient, saves);

Tensor class_loss(const OpDef& op, const Tensor& input, const Tensor& target, const Tensor& class_weights, int64_t ignore_index,
                  Reduction reduction, double label_smoothing) {
  const ClassShape s = class_shape(op.name, input);
  const Tensor index = class_indices(op.name, input, target);
  check_parameter(op.name, "weight", class_weights, {s.classes}, input);
  return emit(op, ClassLossCall{s, ignore_index, label_smoothing, reduction}, {input, index, class_weights})[kLoss];
}

// Class probabilities as target: composed of recorded ops, so that the target may require a gradient too.
Tensor cross_entropy_probabilities(const Tensor& input, const Tensor& target, const Tensor& class_weights, int64_t ignore_index,
                                   Reduction reduction, double label_smoothing) {
  constexpr const char* kOp = "cross_entropy";
  if (ignore_index >= 0) throw Error("cross_entropy: ignore_index cannot be used with class probabilities as target");
  const ClassShape s = class_shape(kOp, input);
  check_parameter(kOp, "weight", class_weights, {s.classes}, input);
  const int dim = input.ndim() == 1 ? 0 : 1;
  Tensor q = target;
  if (label_smoothing > 0) q = add(mul(q, 1 - label_smoothing), label_smoothing / static_cast<double>(s.classes));
  Tensor terms = mul(log_softmax(input, dim), q);
  if (class_weights.defined()) {
    Dims shape = Dims::filled(input.ndim(), 1);
    shape[dim] = s.classes;
    terms = mul(terms, reshape(class_weights, shape));
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
  check_defined("cross_entropy", "input", input);
  check_defined("cross_entropy", "target", target);
  check_smoothing(label_smoothing);
  check_floating("cross_entropy", input);
  if (is_floating_point(target.dtype()) && target.shape() == input.shape())
    return cross_entropy_probabilities(input, target, weight, ignore_index, reduction, label_smoothing);
  return class_loss(kCrossEntropy, input, target, weight, ignore_index, reduction, label_smoothing);
}

Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& class_weights, int64_t ignore_index,
                Reduction reduction) {
  check_defined("nll_loss", "input", input);
  check_defined("nll_loss", "target", target);
  check_floating("nll_loss", input);
  return class_loss(kNll, input, target, class_weights, ignore_index, reduction, 0);
}

}  // namespace cnnx
