// Choices: where, masked_fill and clamp.
#include <cmath>
#include <limits>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/node.h"
#include "kernels/dispatch.h"
#include "ops/broadcast.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

// Numbers among the operands behind the first input.
struct ChoiceCall {
  ElementOperand numbers[2];
  DType dtype;  // of the result
};
CNNX_FIELDS(ChoiceCall, numbers, dtype)

// Inputs: condition, then the two values.
void infer(const Call& call, ResultSpecs& results) { results.push_back({broadcast_shape_of(call), call.as<ChoiceCall>().dtype}); }

void run_where(const Run& r) {
  const ChoiceCall& c = r.as<ChoiceCall>();
  elements(r.queue).choose(r.queue, c.dtype, broadcast_operands<4>(r), r.in<bool>(0), operand_of(r, 1, c.numbers[0]),
                           operand_of(r, 2, c.numbers[1]), r.result_data[0]);
}

void gradient_where(const Backward& call, Grads& grads) {
  const Tensor condition = call.input(0);
  if (call.needs(1)) grads[1] = sum_to(where(condition, call.grad(), 0.0), call.shape(1));
  if (call.needs(2)) grads[2] = sum_to(where(condition, 0.0, call.grad()), call.shape(2));
}

constexpr OpDef kWhere = op<ChoiceCall>("where", infer, run_where)
                             .working_by_image(kByElement)
                             .reads({Place::strided})
                             .with_gradient(gradient_where, saving<input_bit(0)>);

// Inputs: values, lower bound, upper bound; a bound may be absent, a number or neither (then has_bound).
struct ClampCall {
  ElementOperand numbers[2];
  bool has[2], is_number[2];
};
CNNX_FIELDS(ClampCall, numbers, has, is_number)

void infer_clamp(const Call& call, ResultSpecs& results) { results.push_back({broadcast_shape_of(call), call[0].dtype()}); }

// The larger of values and lower bound, then the smaller of that and the upper bound.
void run_clamp(const Run& r) {
  const ClampCall& c = r.as<ClampCall>();
  const DType dtype = r.results[0].dtype();
  const StridedShape<4> all = broadcast_operands<4>(r);
  const void* values = r.input_data[0];
  int values_at = 1;
  for (int k = 0; k < 2; ++k) {
    if (!c.has[k]) continue;
    StridedShape<3> s{};
    s.ndim = all.ndim;
    for (int d = 0; d < all.ndim; ++d) {
      s.extent[d] = all.extent[d];
      s.stride[0][d] = all.stride[0][d];
      s.stride[1][d] = all.stride[values_at][d];
      s.stride[2][d] = all.stride[2 + k][d];
    }
    elements(r.queue).binary(r.queue, k == 0 ? BinaryOp::maximum : BinaryOp::minimum, dtype, s, {values, 0, 0},
                             operand_of(r, static_cast<size_t>(1 + k), c.numbers[k]), r.result_data[0]);
    values = r.result_data[0];
    values_at = 0;
  }
}

// As of clamp by numbers, the gradient at a bound is the input's.
void gradient_clamp(const Backward& call, Grads& grads) {
  const ClampCall& c = call.as<ClampCall>();
  const auto bound = [&](size_t k) {
    return c.is_number[k] ? TensorOrNumber(c.numbers[k].real) : TensorOrNumber(call.input(1 + k));
  };
  const TensorOrNumber low = c.has[0] ? bound(0) : TensorOrNumber(), high = c.has[1] ? bound(1) : TensorOrNumber();
  const Tensor value = call.input(0), g = call.grad();
  if (call.needs(0)) {
    Tensor own = g;
    if (c.has[0]) own = where(ge(value, low), own, 0.0);
    if (c.has[1]) own = where(le(value, high), own, 0.0);
    grads[0] = sum_to(own, call.shape(0));
  }
  if (call.needs(1)) {
    Tensor part = where(lt(value, low), g, 0.0);
    if (c.has[1]) part = where(lt(low, high), part, 0.0);
    grads[1] = sum_to(part, call.shape(1));
  }
  if (call.needs(2)) {
    Tensor above = gt(value, high);
    if (c.has[0]) above = logical_or(above, lt(high, low));
    grads[2] = sum_to(where(above, g, 0.0), call.shape(2));
  }
}

constexpr OpDef kClamp =
    op<ClampCall>("clamp", infer_clamp, run_clamp).reads({Place::strided}).with_gradient(gradient_clamp, saves_inputs);

// A bound as a double, rounded for an integer tensor; NaN bounds make everything NaN, as comparisons with them do not.
double bound(const TensorOrNumber& v, double absent) { return v.defined() ? v.number().real() : absent; }

struct Bounds {
  double low, high;
};
Bounds number_bounds(const TensorOrNumber& min, const TensorOrNumber& max) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {bound(min, -kInfinity), bound(max, kInfinity)};
}

void check_bounds(const char* op, const TensorOrNumber& min, const TensorOrNumber& max) {
  if (!min.defined() && !max.defined()) throw ValueError(message(op, ": needs min or max"));
}

// An element can become the upper bound, so it must be one; nothing lies below a lower bound that no element can have.
void check_bounds_fit(const char* op, const TensorOrNumber& min, const TensorOrNumber& max, DType dtype) {
  if (min.defined()) check_number(op, min, dtype);
  if (max.defined()) check_range(op, max, dtype);
}

void check_fits(const char* op, DType result, DType self) {
  if (is_floating_point(result) && !is_floating_point(self))
    throw Error(message(op, ": a result of ", name(result), " cannot be written into a tensor of ", name(self)));
}

bool are_numbers(const TensorOrNumber& min, const TensorOrNumber& max) {
  return (!min.defined() || min.is_number()) && (!max.defined() || max.is_number());
}

// One bound at least is a tensor.
Tensor clamp_to_tensors(const char* name, const Tensor& input, const TensorOrNumber& min, const TensorOrNumber& max,
                        const Tensor* into = nullptr) {
  DType dtype = input.dtype();
  Device device = input.device();
  for (const TensorOrNumber* v : {&min, &max}) {
    if (!v->defined()) continue;
    device = common_device(name, input, *v);
    dtype = result_type(v == &min ? TensorOrNumber(input) : TensorOrNumber(to(input, dtype)), *v);
  }
  const TensorOrNumber value = operand_for(input, dtype, device), low = operand_for(min, dtype, device),
                       high = operand_for(max, dtype, device);
  const ClampCall c{{number_operand(low, dtype), number_operand(high, dtype)},
                    {low.defined(), high.defined()},
                    {low.is_number(), high.is_number()}};
  return emit_one(kClamp, c, {value.as_tensor({dtype, device}), low.tensor(), high.tensor()}, into);
}

// Where to write a choice; null: a new tensor.
Tensor choose(const Tensor& condition, const TensorOrNumber& a, const TensorOrNumber& b, const Tensor* into) {
  check_defined("where", "condition", condition);
  if (!a.defined() || !b.defined()) refuse_undefined("where", "an operand");
  if (condition.dtype() == DType::uint8) return choose(to(condition, DType::boolean), a, b, into);
  if (condition.dtype() != DType::boolean)
    throw TypeError(message("where: the condition must be a bool tensor, got ", name(condition.dtype())));
  const DType dtype = result_type(a, b);
  for (const TensorOrNumber* v : {&a, &b}) check_number("where", *v, dtype);
  const Device device = condition.device();
  const TensorOrNumber values[2] = {operand_for(a, dtype, device), operand_for(b, dtype, device)};
  for (const TensorOrNumber& v : values)
    if (!v.is_number()) check_same_device("where", condition, v.tensor());
  const ChoiceCall c{{number_operand(values[0], dtype), number_operand(values[1], dtype)}, dtype};
  return emit_one(kWhere, c, {condition, values[0].tensor(), values[1].tensor()}, into);
}

}  // namespace

Tensor where(const Tensor& condition, const TensorOrNumber& a, const TensorOrNumber& b) {
  return choose(condition, a, b, nullptr);
}

namespace {

Tensor fill_where(const Tensor& input, const Tensor& mask, const TensorOrNumber& value, const Tensor* into) {
  if (!value.defined()) refuse_undefined("masked_fill", "value");
  if (mask.dtype() != DType::boolean)
    throw TypeError(message("masked_fill: the mask must be a bool tensor, got ", name(mask.dtype())));
  if (!value.is_number() && value.tensor().ndim() > 0)
    throw ShapeError(message("masked_fill: the value must be a number or a 0-dimensional tensor, got shape ", value.shape()));
  if (value.dtype() == DType::float32 && !is_floating_point(input.dtype()))
    throw TypeError(message("masked_fill: a floating-point value cannot be written into a tensor of ", name(input.dtype())));
  check_number("masked_fill", value, input.dtype());
  // One element of a wider integer type is read, so that it does not wrap either.
  if (!value.is_number() && !is_floating_point(input.dtype()) && promote(value.dtype(), input.dtype()) != input.dtype())
    check_number("masked_fill", Number(to_device(contiguous(cast(value.tensor(), DType::int64)), {}).data<int64_t>()[0]),
                 input.dtype());
  // A number stays one where that keeps the input's dtype: a device then needs no launch to make a tensor of it.
  const bool stays = !value.is_number() || result_type(value, input) == input.dtype();
  return choose(mask, stays ? value : TensorOrNumber(value.as_tensor(input.options())), input, into);
}

}  // namespace

Tensor masked_fill(const Tensor& input, const Tensor& mask, const TensorOrNumber& value) {
  check_defined("masked_fill", "input", input);
  check_defined("masked_fill", "mask", mask);
  return fill_where(input, mask, value, nullptr);
}

Tensor masked_fill_(const Tensor& self, const Tensor& mask, const TensorOrNumber& value) {
  check_defined("masked_fill_", "self", self);
  check_defined("masked_fill_", "mask", mask);
  if (!(broadcast_shapes("masked_fill_", self.shape(), mask.shape()) == self.shape()))
    throw ShapeError(message("masked_fill_: mask of shape ", mask.shape(), " does not broadcast to ", self.shape()));
  fill_where(self, mask, value, &self);
  return self;
}

Tensor clamp(const Tensor& input, const TensorOrNumber& min, const TensorOrNumber& max) {
  check_defined("clamp", "input", input);
  check_bounds("clamp", min, max);
  if (are_numbers(min, max)) {
    DType dtype = input.dtype();
    if (min.defined()) dtype = result_type(TensorOrNumber(input), min);
    if (max.defined() && !is_floating_point(dtype)) dtype = result_type(TensorOrNumber(input), max);
    check_bounds_fit("clamp", min, max, dtype);
    const Bounds bounds = number_bounds(min, max);
    if (bounds.low != bounds.low || bounds.high != bounds.high) return mul(input, std::numeric_limits<double>::quiet_NaN());
    return unary(UnaryOp::clamp, dtype == input.dtype() ? input : cast(input, dtype), bounds.low, bounds.high);
  }
  return clamp_to_tensors("clamp", input, min, max);
}

Tensor clamp_(const Tensor& self, const TensorOrNumber& min, const TensorOrNumber& max) {
  check_defined("clamp_", "self", self);
  check_bounds("clamp_", min, max);
  if (are_numbers(min, max) && is_floating_point(self.dtype())) {
    check_bounds_fit("clamp_", min, max, self.dtype());
    const Bounds bounds = number_bounds(min, max);
    const bool known = bounds.low == bounds.low && bounds.high == bounds.high;  // a bound of NaN makes all of it NaN, as in clamp
    if (known) return unary_(UnaryOp::clamp, self, bounds.low, bounds.high);
  }
  if (are_numbers(min, max)) {
    const Tensor result = clamp(self, min, max);
    check_fits("clamp_", result.dtype(), self.dtype());
    return copy_(self, result);
  }
  DType dtype = self.dtype();
  for (const TensorOrNumber* v : {&min, &max})
    if (v->defined()) dtype = promote(dtype, result_type(TensorOrNumber(self), *v));
  check_fits("clamp_", dtype, self.dtype());
  if (dtype != self.dtype()) return copy_(self, clamp(self, min, max));
  clamp_to_tensors("clamp_", self, min, max, &self);
  return self;
}

}  // namespace cnnx
