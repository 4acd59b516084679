// Losses of pairs of input and target, element by element: one pass forward, one pass backward, in lanes where the input is.
#include <cmath>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/loss.h"
#include "kernels/table.h"
#include "ops/flat.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

struct Options {
  const char* name;  // a literal: it outlives the graph
  PairLoss loss;
  Reduction reduction;
  double beta = 0;
};

template <class T>
const T* flat_or_null(const Tensor& t, bool lanes) {
  return t.defined() ? flat_data<T>(t, lanes) : nullptr;
}

PairShape pair_shape(const Tensor& x, bool lanes) {
  if (!lanes) return {1, x.numel(), 1};
  const LanesShape& shape = x->storage->lanes_shape();
  return {shape.batch, shape.channels * shape.spatial, lane_count()};
}

// An operand as the kernels take it: of the common shape and type, flat.
Tensor operand(const Tensor& t, const Dims& shape, DType dtype, bool lanes) {
  const Tensor whole = t.shape() == shape ? t : expanded(t, shape);
  return flattened(whole.dtype() == dtype ? whole : cast(whole, dtype), lanes);
}

Tensor weight_operand(const Options& o, const char* what, const Tensor& weight, const Dims& shape, DType dtype, bool lanes) {
  if (!weight.defined()) return weight;
  if (needs_grad({weight})) throw Error(message(o.name, ": there is no gradient of ", what, "; detach it"));
  if (!is_floating_point(weight.dtype()))
    throw TypeError(message(o.name, ": ", what, " must be floating-point, is ", name(weight.dtype())));
  if (!(broadcast_shapes(o.name, weight.shape(), shape) == shape))
    throw ShapeError(message(o.name, ": ", what, " of shape ", weight.shape(), " does not broadcast to ", shape));
  return operand(weight, shape, dtype, lanes);
}

Tensor values(const Options& o, const Tensor& x, const Tensor& t, const Tensor& weight, const Tensor& pos_weight, bool lanes) {
  const bool whole = o.reduction == Reduction::none;
  Tensor out = whole ? empty_flat(x, lanes) : Tensor::empty({}, x.options());
  dispatch_floating(o.name, x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    bool in_range = true;
    const double divisor = o.reduction == Reduction::mean ? static_cast<double>(x.numel()) : 1;
    kernels<T>(x.device())
        .pair_loss(o.loss, pair_shape(x, lanes), o.beta, flat_data<T>(x, lanes), flat_data<T>(t, lanes),
                   flat_or_null<T>(weight, lanes), flat_or_null<T>(pos_weight, lanes), divisor,
                   whole ? flat_data<T>(out, lanes) : nullptr, whole ? nullptr : out.pointer<T>(), &in_range);
    if (!in_range) throw Error(message(o.name, ": all elements of input and target should be between 0 and 1"));
  });
  return out;
}

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

GradientFn gradient_of(const Options& o, const Tensor& input, const Tensor& target, const Tensor& x, const Tensor& t,
                       const Tensor& weight, const Tensor& pos_weight) {
  return [o, x = Saved(x), t = Saved(t), weight = Saved(weight), pos_weight = Saved(pos_weight), shape_x = input.shape(),
          type_x = input.dtype(), shape_t = target.shape(), type_t = target.dtype()](const Tensor& g, const Needs& needs) {
    const Tensor from = x.unpack(o.name), to = t.unpack(o.name), w = weight.unpack(o.name), pos = pos_weight.unpack(o.name);
    const bool lanes = from.in_lanes(), each = o.reduction == Reduction::none;
    Tensor grads[2];
    if (needs[0] || is_symmetric(o.loss)) {
      const Tensor own = each ? flattened(g, lanes) : g;
      const double divisor = o.reduction == Reduction::mean ? static_cast<double>(from.numel()) : 1;
      Tensor grad = empty_flat(from, lanes);
      dispatch_floating(o.name, from.dtype(), [&](auto tag) {
        using T = decltype(tag);
        kernels<T>(from.device())
            .pair_loss_backward(o.loss, flat_count(from, lanes), o.beta, flat_data<T>(from, lanes), flat_data<T>(to, lanes),
                                flat_or_null<T>(w, lanes), flat_or_null<T>(pos, lanes),
                                each ? flat_data<T>(own, lanes) : own.pointer<T>(), each, divisor, flat_data<T>(grad, lanes));
      });
      if (needs[0]) grads[0] = sum_to(grad, shape_x, type_x);
      if (needs[1] && is_symmetric(o.loss)) grads[1] = sum_to(neg(grad), shape_t, type_t);
    }
    if (needs[1] && !is_symmetric(o.loss)) {
      Tensor grad = mul(target_slope(o.loss, from, to, pos), g);
      if (w.defined()) grad = mul(grad, w);
      if (o.reduction == Reduction::mean) grad = div(grad, static_cast<double>(from.numel()));
      grads[1] = sum_to(grad, shape_t, type_t);
    }
    return Grads{grads[0], grads[1]};
  };
}

Tensor pair_loss(const Options& o, const Tensor& input, const Tensor& target, const Tensor& weights = {},
                 const Tensor& pos_weights = {}) {
  check_same_device(o.name, input, target);
  for (const Tensor& t : {weights, pos_weights})
    if (t.defined()) check_same_device(o.name, input, t);
  const Dims shape = broadcast_shapes(o.name, input.shape(), target.shape());
  const DType dtype = result_type(input, target);
  if (!is_floating_point(dtype))
    throw TypeError(message(o.name, ": needs floating-point tensors, got ", name(input.dtype()), " and ", name(target.dtype())));
  const bool lanes = input.in_lanes() && input.shape() == shape && dtype == DType::float32;
  const Tensor x = operand(input, shape, dtype, lanes), t = operand(target, shape, dtype, lanes);
  const Tensor weight = weight_operand(o, "weight", weights, shape, dtype, lanes);
  const Tensor pos_weight = weight_operand(o, "pos_weight", pos_weights, shape, dtype, lanes);
  Tensor out = values(o, x, t, weight, pos_weight, lanes);
  if (needs_grad({input, target})) record(o.name, out, {input, target}, gradient_of(o, input, target, x, t, weight, pos_weight));
  return out;
}

}  // namespace

Tensor mse_loss(const Tensor& input, const Tensor& target, Reduction reduction) {
  return pair_loss({"mse_loss", PairLoss::mse, reduction}, input, target);
}

Tensor l1_loss(const Tensor& input, const Tensor& target, Reduction reduction) {
  return pair_loss({"l1_loss", PairLoss::l1, reduction}, input, target);
}

Tensor smooth_l1_loss(const Tensor& input, const Tensor& target, Reduction reduction, double beta) {
  if (!(beta >= 0)) throw Error(message("smooth_l1_loss: beta must not be negative, got ", beta));
  return pair_loss({"smooth_l1_loss", beta == 0 ? PairLoss::l1 : PairLoss::smooth_l1, reduction, beta}, input, target);
}

Tensor huber_loss(const Tensor& input, const Tensor& target, Reduction reduction, double delta) {
  if (!(delta > 0)) throw Error(message("huber_loss: delta must be positive, got ", delta));
  return pair_loss({"huber_loss", PairLoss::huber, reduction, delta}, input, target);
}

Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight, Reduction reduction) {
  constexpr const char* kOp = "binary_cross_entropy";
  if (!(input.shape() == target.shape()))
    throw ValueError(message(kOp, ": target of shape ", target.shape(), " must have the input's shape ", input.shape()));
  return pair_loss({kOp, PairLoss::bce, reduction}, input, target, weight);
}

Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target, const Tensor& weight, Reduction reduction,
                                        const Tensor& pos_weight) {
  constexpr const char* kOp = "binary_cross_entropy_with_logits";
  if (!(input.shape() == target.shape()))
    throw ValueError(message(kOp, ": target of shape ", target.shape(), " must have the input's shape ", input.shape()));
  return pair_loss({kOp, PairLoss::bce_with_logits, reduction}, input, target, weight, pos_weight);
}

Tensor kl_div(const Tensor& input, const Tensor& target, Reduction reduction, bool log_target) {
  return pair_loss({"kl_div", log_target ? PairLoss::kl_div_log : PairLoss::kl_div, reduction}, input, target);
}

}  // namespace cnnx
