// Losses of pairs of input and target, element by element: one pass forward, one pass backward, in lanes where the input is.
#include <cmath>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/loss.h"
#include "cnnx/ops/view.h"
#include "core/floats.h"
#include "core/node.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

// The attributes of a loss and of its gradient.
struct PairLossCall {
  PairLoss loss;
  Reduction reduction;
  double beta;
  bool each() const { return reduction == Reduction::none; }
  double divisor(const Tensor& x) const { return reduction == Reduction::mean ? static_cast<double>(x.numel()) : 1; }
};
CNNX_FIELDS(PairLossCall, loss, reduction, beta)

// Inputs: input, target, weight, pos_weight, all of one shape and dtype.
enum : size_t { kX, kT, kWeight, kPosWeight };

void infer(const Call& call, ResultSpecs& results) {
  if (call.as<PairLossCall>().each()) results.push_back({call[kX].shape(), call[kX].dtype(), Place::call});
  else results.push_back({{}, call[kX].dtype()});
}

void run(const Run& r) {
  const PairLossCall& c = r.as<PairLossCall>();
  const Tensor& x = r.inputs[kX];
  PairShape s{1, x.numel(), 1};
  if (r.lanes > 1) {
    const LanesShape& shape = x->storage->lanes_shape();
    s = {shape.batch, shape.channels * shape.spatial, r.lanes};
  }
  on_floats(r, [&](const auto& f) {
    bool in_range = true;
    f.kernels.pair_loss(r.queue, c.loss, s, c.beta, f.in(kX), f.in(kT), f.in(kWeight), f.in(kPosWeight), c.divisor(x),
                        c.each() ? f.out(0) : nullptr, c.each() ? nullptr : f.out(0), &in_range);
    if (!in_range) throw Error(message(r.call.op.name, ": all elements of input and target should be between 0 and 1"));
  });
}

// Inputs: gradient of the loss, then those of the loss.
void infer_backward(const Call& call, ResultSpecs& results) {
  results.push_back({call[1].shape(), call[1].dtype(), Place::call});
}

void run_backward(const Run& r) {
  const PairLossCall& c = r.as<PairLossCall>();
  const Tensor& x = r.inputs[1];
  on_floats(r, [&](const auto& f) {
    f.kernels.pair_loss_backward(r.queue, c.loss, r.count(x), c.beta, f.in(1), f.in(2), f.in(3), f.in(4), f.in(0), c.each(),
                                 c.divisor(x), f.out(0));
  });
}

// d loss / d input.
Tensor slope(const PairLossCall& c, const Tensor& x, const Tensor& t, const Tensor& pos_weight) {
  const auto bounded = [&](double inside, double outside) {
    const Tensor d = sub(x, t);
    return where(lt(abs(d), c.beta), mul(d, inside), mul(sign(d), outside));
  };
  switch (c.loss) {
    case PairLoss::mse: return mul(sub(x, t), 2);
    case PairLoss::l1: return sign(sub(x, t));
    case PairLoss::smooth_l1: return bounded(1 / c.beta, 1);
    case PairLoss::huber: return bounded(1, c.beta);
    case PairLoss::bce: return div(sub(x, t), clamp(mul(sub(1, x), x), 1e-12, {}));
    case PairLoss::bce_with_logits: {
      const Tensor missed = mul(t, sigmoid(neg(x)));
      return sub(mul(sub(1, t), sigmoid(x)), pos_weight.defined() ? mul(pos_weight, missed) : missed);
    }
    case PairLoss::kl_div: return neg(t);
    case PairLoss::kl_div_log: return neg(exp(t));
  }
  throw Error("pair_loss: no such loss");
}
void formula_of_backward(const Call& call, Results& results) {
  const PairLossCall& c = call.as<PairLossCall>();
  Tensor grad = mul(slope(c, call[1], call[2], call[4]), call[0]);
  if (call[3].defined()) grad = mul(grad, call[3]);
  results.push_back(c.reduction == Reduction::mean ? div(grad, c.divisor(call[1])) : grad);
}

// By whether there is a gradient of each loss, or one of all.
constexpr OpDef backward_op(Place of_gradient) {
  return op<PairLossCall>("pair_loss_backward", infer_backward, run_backward)
      .reads({of_gradient, Place::call})
      .lanes_if(lanes_of_second)
      .with_gradient(gradient_of<formula_of_backward>, saves_inputs);
}
constexpr OpDef kBackwardOfAll = backward_op(Place::row_major), kBackwardOfEach = backward_op(Place::call);

bool is_symmetric(PairLoss loss) {
  return loss == PairLoss::mse || loss == PairLoss::l1 || loss == PairLoss::smooth_l1 || loss == PairLoss::huber;
}

// d loss / d target where it is not the negative of the other: composed, because targets seldom need it.
Tensor target_slope(PairLoss loss, const Tensor& x, const Tensor& t, const Tensor& pos_weight) {
  switch (loss) {
    // The derivative of the loss with its bounded logarithms.
    case PairLoss::bce: return sub(clamp(log1p(neg(x)), -100.0, {}), clamp(log(x), -100.0, {}));
    case PairLoss::bce_with_logits: {
      if (!pos_weight.defined()) return neg(x);
      // softplus(-x) - softplus(x) is -x, so this is -softplus(x) + pos_weight softplus(-x).
      const Tensor minus = add(log1p(exp(neg(abs(x)))), clamp(neg(x), 0, {}));
      return sub(mul(pos_weight, minus), add(minus, x));
    }
    case PairLoss::kl_div: return sub(add(log(t), 1), x);
    default: return mul(exp(t), sub(add(t, 1), x));
  }
}

void gradient(const Backward& call, Grads& grads) {
  const PairLossCall& c = call.as<PairLossCall>();
  const Tensor x = call.input(kX), t = call.input(kT), weight = call.input(kWeight), pos_weight = call.input(kPosWeight);
  const Tensor& g = call.grad();
  const bool mirrored = call.needs(kT) && is_symmetric(c.loss);
  if (call.needs(kX) || mirrored) {
    grads[kX] = emit_one(c.each() ? kBackwardOfEach : kBackwardOfAll, c, {g, x, t, weight, pos_weight});
    if (mirrored) grads[kT] = neg(grads[kX]);
  }
  if (call.needs(kT) && !mirrored) {
    Tensor grad = mul(target_slope(c.loss, x, t, pos_weight), g);
    if (weight.defined()) grad = mul(grad, weight);
    grads[kT] = c.reduction == Reduction::mean ? div(grad, c.divisor(x)) : grad;
  }
}

constexpr OpDef loss_op(const char* name) {
  return op<PairLossCall>(name, infer, run).reads({Place::call}).lanes_if(lanes_of_first).with_gradient(gradient, saves_inputs);
}

// Of the common shape and type.
Tensor matched(const Tensor& t, const Dims& shape, DType dtype) {
  const Tensor typed = to(t, dtype);
  return typed.shape() == shape ? typed : expand(typed, shape);
}

Tensor matched_weight(const char* op, const char* what, const Tensor& weight, const Dims& shape, DType dtype) {
  if (!weight.defined()) return weight;
  if (needs_grad({weight})) throw Error(message(op, ": there is no gradient of ", what, "; detach it"));
  if (!is_floating_point(weight.dtype()))
    throw TypeError(message(op, ": ", what, " must be floating-point, is ", name(weight.dtype())));
  if (!(broadcast_shapes(op, weight.shape(), shape) == shape))
    throw ShapeError(message(op, ": ", what, " of shape ", weight.shape(), " does not broadcast to ", shape));
  return matched(weight, shape, dtype);
}

Tensor pair_loss(const OpDef& op, const PairLossCall& c, const Tensor& input, const Tensor& target, const Tensor& weights = {},
                 const Tensor& pos_weights = {}) {
  check_same_device(op.name, input, target);
  for (const Tensor* t : {&weights, &pos_weights})
    if (t->defined()) check_same_device(op.name, input, *t);
  const Dims shape = broadcast_shapes(op.name, input.shape(), target.shape());
  const DType dtype = result_type(input, target);
  if (!is_floating_point(dtype))
    throw TypeError(message(op.name, ": needs floating-point tensors, got ", name(input.dtype()), " and ", name(target.dtype())));
  const Tensor x = matched(input, shape, dtype), t = matched(target, shape, dtype);
  return emit_one(op, c,
                  {x, t, matched_weight(op.name, "weight", weights, shape, dtype),
                   matched_weight(op.name, "pos_weight", pos_weights, shape, dtype)});
}

constexpr OpDef kMse = loss_op("mse_loss"), kL1 = loss_op("l1_loss"), kSmoothL1 = loss_op("smooth_l1_loss"),
                kHuber = loss_op("huber_loss"), kBce = loss_op("binary_cross_entropy"),
                kBceWithLogits = loss_op("binary_cross_entropy_with_logits"), kKlDiv = loss_op("kl_div");

}  // namespace

Tensor mse_loss(const Tensor& input, const Tensor& target, Reduction reduction) {
  return pair_loss(kMse, {PairLoss::mse, reduction, 0}, input, target);
}

Tensor l1_loss(const Tensor& input, const Tensor& target, Reduction reduction) {
  return pair_loss(kL1, {PairLoss::l1, reduction, 0}, input, target);
}

Tensor smooth_l1_loss(const Tensor& input, const Tensor& target, Reduction reduction, double beta) {
  if (!(beta >= 0)) throw Error(message("smooth_l1_loss: beta must not be negative, got ", beta));
  return pair_loss(kSmoothL1, {beta == 0 ? PairLoss::l1 : PairLoss::smooth_l1, reduction, beta}, input, target);
}

Tensor huber_loss(const Tensor& input, const Tensor& target, Reduction reduction, double delta) {
  if (!(delta > 0)) throw Error(message("huber_loss: delta must be positive, got ", delta));
  return pair_loss(kHuber, {PairLoss::huber, reduction, delta}, input, target);
}

Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight, Reduction reduction) {
  check_defined("binary_cross_entropy", "input", input);
  check_defined("binary_cross_entropy", "target", target);
  if (!(input.shape() == target.shape()))
    throw ValueError(
        message("binary_cross_entropy: target of shape ", target.shape(), " must have the input's shape ", input.shape()));
  return pair_loss(kBce, {PairLoss::bce, reduction, 0}, input, target, weight);
}

Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target, const Tensor& weight, Reduction reduction,
                                        const Tensor& pos_weight) {
  check_defined("binary_cross_entropy_with_logits", "input", input);
  check_defined("binary_cross_entropy_with_logits", "target", target);
  if (!(input.shape() == target.shape()))
    throw ValueError(message("binary_cross_entropy_with_logits: target of shape ", target.shape(),
                             " must have the input's shape ", input.shape()));
  return pair_loss(kBceWithLogits, {PairLoss::bce_with_logits, reduction, 0}, input, target, weight, pos_weight);
}

Tensor kl_div(const Tensor& input, const Tensor& target, Reduction reduction, bool log_target) {
  return pair_loss(kKlDiv, {log_target ? PairLoss::kl_div_log : PairLoss::kl_div, reduction, 0}, input, target);
}

}  // namespace cnnx
