// Arithmetic of two operands with broadcasting and type promotion.
#include <cmath>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/floats.h"
#include "core/node.h"
#include "kernels/dispatch.h"
#include "ops/broadcast.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

// Inputs: the operands, of the result's dtype; undefined for a number.
struct BinaryCall {
  BinaryOp op;
  bool is_number[2];
  ElementOperand numbers[2];
  const char* name;  // in errors
};
CNNX_FIELDS(BinaryCall, op, is_number, numbers, name)

bool divides(BinaryOp op) {
  return op == BinaryOp::remainder || op == BinaryOp::fmod || op == BinaryOp::floor_divide || op == BinaryOp::div;
}
[[noreturn]] void refuse_zero(const char* name) { throw Error(message(name, ": integer division by zero")); }

void infer(const Call& call, ResultSpecs& results) {
  results.push_back({broadcast_shape_of(call), (call[0].defined() ? call[0] : call[1]).dtype(), Place::call});
}

// On the CPU integers are divided by what is there when the op runs, so that a plan can hold it.
void check_divisors(const Run& r) {
  const Tensor& b = r.inputs[1];
  const int64_t n = b.defined() ? b.numel() : 0;
  if (n == 0) return;
  bool* const is_zero = static_cast<bool*>(r.queue.scratch(0, static_cast<size_t>(n)));
  Dims shape = b.shape(), strides[3] = {contiguous_strides(shape), b.strides(), Dims::filled(shape.size(), 0)};
  collapse_dims(shape, strides);
  const ElementTable& table = elements(r.queue);
  table.compare(r.queue, CompareOp::eq, b.dtype(), strided_shape(shape, strides), {r.input_data[1], 0, 0}, {}, is_zero);
  bool any = false;
  table.integer_reduce(r.queue, ReduceOp::max, DType::boolean, {1, n, 1}, is_zero, &any);
  if (any) refuse_zero(r.as<BinaryCall>().name);
}

void run(const Run& r) {
  const BinaryCall& c = r.as<BinaryCall>();
  const Tensor& out = r.results[0];
  if (divides(c.op) && !is_floating_point(out.dtype()) && r.queue.device < 0) check_divisors(r);
  elements(r.queue).binary(r.queue, c.op, out.dtype(), broadcast_operands<3>(r), operand_of(r, 0, c.numbers[0]),
                           operand_of(r, 1, c.numbers[1]), r.result_data[0]);
}

// The quotient rounded to zero: of integers in one pass.
void run_truncated(const Run& r) {
  run(r);
  const Tensor& out = r.results[0];
  if (!is_floating_point(out.dtype())) return;
  on_floats(r, [&](const auto& f) { f.kernels.unary(r.queue, UnaryOp::trunc, r.count(out), 0, 0, f.out(0), f.out(0)); });
}

// What the gradients of the operands read.
constexpr uint64_t kA = input_bit(0), kB = input_bit(1), kOut = result_bit(0);
struct Reads {
  uint64_t for_a, for_b;
};
constexpr Reads reads_of(BinaryOp op) {
  switch (op) {
    case BinaryOp::mul: return {kB, kA};
    case BinaryOp::div: return {kB, kA | kB};
    case BinaryOp::pow: return {kA | kB, kA | kB | kOut};
    case BinaryOp::maximum:
    case BinaryOp::minimum:
    case BinaryOp::xlogy:
    case BinaryOp::atan2:
    case BinaryOp::pow_slope: return {kA | kB, kA | kB};
    case BinaryOp::remainder:
    case BinaryOp::fmod: return {0, kA | kB};
    case BinaryOp::hypot: return {kA | kOut, kB | kOut};
    default: return {0, 0};
  }
}

uint64_t saves(const Call& call, uint64_t needs) {
  const Reads reads = reads_of(call.as<BinaryCall>().op);
  return ((needs & kA) != 0 ? reads.for_a : 0) | ((needs & kB) != 0 ? reads.for_b : 0);
}

Tensor zeros_as(const Tensor& g) { return Tensor::zeros(g.shape(), g.options()); }

// b a^(b - 1), the slope of a^b in a.
Tensor pow_slope(const TensorOrNumber& a, const TensorOrNumber& b);

// d/d(the larger): everything where it wins, half where both are equal.
Tensor extreme_share(const Tensor& g, const TensorOrNumber& mine, const TensorOrNumber& other, bool max) {
  const Tensor shared = where(eq(mine, other), mul(g, 0.5), g);
  return where(max ? lt(mine, other) : gt(mine, other), 0.0, shared);
}

// a^b log a where it is; 0^b is flat for b >= 0, where it would be 0 * inf.
Tensor pow_slope_in_exponent(const Tensor& g, const TensorOrNumber& a, const TensorOrNumber& b, const Tensor& power) {
  const Tensor slope = mul(power, a.is_number() ? TensorOrNumber(std::log(a.number().real())) : TensorOrNumber(log(a.tensor())));
  if (a.is_number() && a.number().real() != 0) return mul(g, slope);
  const Tensor flat = a.is_number() ? ge(b, 0) : logical_and(eq(a, 0), ge(b, 0));
  return where(flat, 0.0, mul(g, slope));
}

// side / (a^2 + b^2), without squares that are too large or too small; 0 where both are 0.
Tensor turn(const TensorOrNumber& side, const TensorOrNumber& a, const TensorOrNumber& b) {
  const Tensor length = hypot(a, b);
  return where(eq(length, 0), 0.0, div(div(side, length), length));
}

Tensor gradient_of_a(BinaryOp op, const Tensor& g, const TensorOrNumber& a, const TensorOrNumber& b, const Tensor& out) {
  switch (op) {
    case BinaryOp::add:
    case BinaryOp::sub:
    case BinaryOp::remainder:
    case BinaryOp::fmod: return g;
    case BinaryOp::mul: return mul(g, b);
    case BinaryOp::div: return div(g, b);
    case BinaryOp::pow: return mul(g, pow_slope(a, b));
    case BinaryOp::pow_slope: return mul(g, mul(b, pow_slope(a, sub(b, 1))));
    case BinaryOp::maximum: return extreme_share(g, a, b, true);
    case BinaryOp::minimum: return extreme_share(g, a, b, false);
    case BinaryOp::hypot: return mul(g, div(a, out));
    case BinaryOp::atan2: return mul(g, turn(b, a, b));
    // Where a is 0, the slopes of xlogy are the limits: log b, and 0 where there is none.
    case BinaryOp::xlogy:
      return where(logical_and(eq(a, 0), le(b, 0)), 0.0,
                   mul(g, b.is_number() ? TensorOrNumber(std::log(b.number().real())) : TensorOrNumber(log(b.tensor()))));
    default: return zeros_as(g);
  }
}

Tensor gradient_of_b(BinaryOp op, const Tensor& g, const TensorOrNumber& a, const TensorOrNumber& b, const Tensor& out) {
  switch (op) {
    case BinaryOp::add: return g;
    case BinaryOp::sub: return neg(g);
    case BinaryOp::mul: return mul(g, a);
    case BinaryOp::div: return neg(mul(g, div(div(a, b), b)));
    case BinaryOp::pow: return pow_slope_in_exponent(g, a, b, out);
    case BinaryOp::pow_slope: {
      const Tensor power = pow(a, sub(b, 1));
      return add(mul(g, power), pow_slope_in_exponent(mul(g, b), a, sub(b, 1), power));
    }
    case BinaryOp::maximum: return extreme_share(g, b, a, true);
    case BinaryOp::minimum: return extreme_share(g, b, a, false);
    case BinaryOp::remainder: return neg(mul(g, floor_divide(a, b)));
    case BinaryOp::fmod: return neg(mul(g, div(a, b, "trunc")));
    case BinaryOp::hypot: return mul(g, div(b, out));
    case BinaryOp::atan2: return neg(mul(g, turn(a, a, b)));
    case BinaryOp::xlogy: return where(logical_and(eq(a, 0), eq(b, 0)), 0.0, mul(g, div(a, b)));
    default: return zeros_as(g);
  }
}

TensorOrNumber saved_operand(const Backward& call, size_t i) {
  const BinaryCall& c = call.as<BinaryCall>();
  return c.is_number[i] ? TensorOrNumber(c.numbers[i].real) : TensorOrNumber(call.input(i));
}

void gradient(const Backward& call, Grads& grads) {
  const BinaryOp op = call.as<BinaryCall>().op;
  const TensorOrNumber a = saved_operand(call, 0), b = saved_operand(call, 1);
  const Tensor out = call.result();
  if (call.needs(0)) grads[0] = sum_to(gradient_of_a(op, call.grad(), a, b, out), call.shape(0));
  if (call.needs(1)) grads[1] = sum_to(gradient_of_b(op, call.grad(), a, b, out), call.shape(1));
}

void gradient_flat(const Backward& call, Grads& grads) {
  for (size_t i : {0, 1})
    if (call.needs(i)) grads[i] = Tensor::zeros(call.shape(i), call.options(i));
}

constexpr OpDef binary_op(const char* name) {
  return op<BinaryCall>(name, infer, run)
      .working_by_image(kByElement)
      .reads({Place::broadcast})
      .lanes_if(fit_lanes)
      .with_gradient(gradient, saves);
}
constexpr OpDef kOps[] = {binary_op("add"),          binary_op("sub"),      binary_op("mul"),     binary_op("div"),
                          binary_op("pow"),          binary_op("maximum"),  binary_op("minimum"), binary_op("remainder"),
                          binary_op("floor_divide"), binary_op("fmod"),     binary_op("hypot"),   binary_op("xlogy"),
                          binary_op("atan2"),        binary_op("pow_slope")};
static_assert(std::size(kOps) == static_cast<size_t>(BinaryOp::count));
constexpr OpDef kTruncated = op<BinaryCall>("div_trunc", infer, run_truncated)
                                 .working_by_image(kByElement)
                                 .reads({Place::broadcast})
                                 .lanes_if(fit_lanes)
                                 .with_gradient(gradient_flat);
const OpDef& def_of(BinaryOp op) { return kOps[static_cast<int>(op)]; }

bool wraps(BinaryOp op) { return op == BinaryOp::add || op == BinaryOp::sub || op == BinaryOp::mul || op == BinaryOp::pow; }
// Throws for what integers and bool have not.
void check_integers(const char* name, BinaryOp op, DType dtype, const TensorOrNumber& b, Device device) {
  if (dtype == DType::boolean && op != BinaryOp::add && op != BinaryOp::mul && op != BinaryOp::maximum && op != BinaryOp::minimum)
    throw TypeError(message(name, ": is not defined for bool tensors"));
  if (!divides(op)) return;
  // An error here and now, and so arithmetic that waits for a device.
  const NoGrad guard;
  if (b.is_number() ? b.number().wrapped<int64_t>() == 0 : device.is_cuda() && any(eq(b, 0)).item() != 0) refuse_zero(name);
}

// The call of `def` on operands that promote to `dtype`; with `into` in place.
Tensor call_binary(const char* name, const OpDef& def, BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b, DType dtype,
                   const Tensor* into = nullptr) {
  const Device device = common_device(name, a, b);
  if (!is_floating_point(dtype)) {
    if (!wraps(op))
      for (const TensorOrNumber* v : {&a, &b}) check_number(name, *v, dtype);
    check_integers(name, op, dtype, b, device);
  }
  const TensorOrNumber left = operand_for(a, dtype, device), right = operand_for(b, dtype, device);
  if (left.is_number() && right.is_number()) {  // 0-dimensional tensors elsewhere
    return call_binary(name, def, op, left.as_tensor({dtype, device}), right, dtype, into);
  }
  const BinaryCall c{
      op, {left.is_number(), right.is_number()}, {number_operand(left, dtype), number_operand(right, dtype)}, name};
  return emit_one(def, c, {left.tensor(), right.tensor()}, into);
}

// The type in which `op` is computed, as its result.
DType type_of(const char* name, BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b) {
  check_operands(name, a, b);
  const DType dtype = result_type(a, b);
  const bool real = op == BinaryOp::div || op == BinaryOp::hypot || op == BinaryOp::xlogy || op == BinaryOp::atan2;
  return real && !is_floating_point(dtype) ? default_dtype() : dtype;
}

Tensor binary(BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b) {
  const OpDef& def = def_of(op);
  return call_binary(def.name, def, op, a, b, type_of(def.name, op, a, b));
}

Tensor pow_slope(const TensorOrNumber& a, const TensorOrNumber& b) { return binary(BinaryOp::pow_slope, a, b); }

Tensor truncated_quotient(const TensorOrNumber& a, const TensorOrNumber& b, const Tensor* into = nullptr) {
  check_operands("div", a, b);
  const DType dtype = result_type(a, b);
  for (const TensorOrNumber* v : {&a, &b}) check_number("div", *v, dtype);
  return call_binary("div", kTruncated, BinaryOp::div, a, b, dtype, into);
}

TensorOrNumber scaled(const char* op, const TensorOrNumber& other, const TensorOrNumber& v, const Number& alpha) {
  if (alpha.real() == 1) return v;
  check_operands(op, other, v);
  const DType dtype = result_type(other, v);
  check_number(op, alpha, dtype);
  if (dtype == DType::boolean && alpha.dtype() != DType::float32) return mul(v, Number(alpha.wrapped<bool>()));
  if (!v.is_number()) {
    if (alpha.dtype() == DType::float32 && !is_floating_point(v.dtype()))
      throw TypeError(message(op, ": a floating-point alpha needs floating-point tensors, got ", name(v.dtype())));
    return mul(v, alpha);
  }
  if (alpha.dtype() == DType::float32 || v.dtype() == DType::float32) return Number(v.number().real() * alpha.real());
  return Number(static_cast<int64_t>(v.number().wrapped<uint64_t>() * alpha.wrapped<uint64_t>()));
}

BinaryOp division(const std::string& rounding_mode) {
  if (rounding_mode.empty()) return BinaryOp::div;
  if (rounding_mode == "floor") return BinaryOp::floor_divide;
  if (rounding_mode == "trunc") return BinaryOp::div;
  throw ValueError(message("div: rounding_mode must be \"floor\", \"trunc\" or left out, got \"", rounding_mode, "\""));
}

// The checks of an op in place, as far as emit() cannot make them; the type of its result.
DType check_inplace(const char* name, BinaryOp op, const Tensor& self, const TensorOrNumber& other) {
  check_operands(name, self, other);
  const DType dtype = type_of(name, op, self, other);
  if ((is_floating_point(dtype) && !is_floating_point(self.dtype())) ||
      (dtype != DType::boolean && self.dtype() == DType::boolean))
    throw Error(
        message(name, ": a result of ", cnnx::name(dtype), " cannot be written into a tensor of ", cnnx::name(self.dtype())));
  if (!(broadcast_shapes(name, self.shape(), other.shape()) == self.shape()))
    throw ShapeError(message(name, ": operand of shape ", other.shape(), " does not broadcast to self of shape ", self.shape()));
  if (!(common_device(name, self, other) == self.device())) check_same_device(name, self, other.tensor());
  return dtype;
}

Tensor binary_(const char* name, BinaryOp op, const Tensor& self, const TensorOrNumber& other) {
  const DType dtype = check_inplace(name, op, self, other);
  if (dtype != self.dtype()) return copy_(self, binary(op, self, other));
  call_binary(name, def_of(op), op, self, other, dtype, &self);
  return self;
}

// self + alpha other in one pass: the update rule of hand-written training loops.
void run_axpy(const Run& r) {
  const int64_t n = r.count(r.results[0]);
  on_floats(r, [&]<class T>(const Floats<T>& f) {
    if (f.out(0) != f.in(0))
      elements(r.queue).copy(r.queue, {1, {n}, {{1}, {1}}}, dtype_of<T>(), f.out(0), dtype_of<T>(), f.in(0));
    f.kernels.axpy(r.queue, n, r.as<double>(), f.in(1), f.out(0));
  });
}
void gradient_axpy(const Backward& call, Grads& grads) {
  if (call.needs(0)) grads[0] = call.grad();
  if (call.needs(1)) grads[1] = mul(call.grad(), call.as<double>());
}
constexpr OpDef kAxpy = op<double>("add", infer, run_axpy)
                            .working_by_image(kByElement)
                            .reads({Place::call})
                            .lanes_if(lanes_of_both)
                            .with_gradient(gradient_axpy);

}  // namespace

Tensor add(const TensorOrNumber& a, const TensorOrNumber& b, const Number& alpha) {
  return binary(BinaryOp::add, a, scaled("add", a, b, alpha));
}
Tensor sub(const TensorOrNumber& a, const TensorOrNumber& b, const Number& alpha) {
  if (a.defined() && b.defined() && (a.dtype() == DType::boolean || b.dtype() == DType::boolean))
    throw TypeError("sub: is not defined for bool; use logical_not or ^");
  return binary(BinaryOp::sub, a, scaled("sub", a, b, alpha));
}
Tensor mul(const TensorOrNumber& a, const TensorOrNumber& b) { return binary(BinaryOp::mul, a, b); }
Tensor div(const TensorOrNumber& a, const TensorOrNumber& b, const std::string& rounding_mode) {
  const BinaryOp op = division(rounding_mode);
  return rounding_mode == "trunc" ? truncated_quotient(a, b) : binary(op, a, b);
}
Tensor pow(const TensorOrNumber& a, const TensorOrNumber& b) {
  check_operands("pow", a, b);
  const DType dtype = result_type(a, b);
  if (b.is_number() && is_floating_point(dtype)) {
    const double exponent = b.number().real();
    const Tensor base = a.as_tensor({dtype, common_device("pow", a, b)});
    if (exponent == 2) return unary(UnaryOp::square, base);
    if (exponent == 0.5) return unary(UnaryOp::sqrt, base);
    return unary(UnaryOp::pow_scalar, base, exponent);
  }
  if (b.is_number() && b.number().real() < 0)
    throw Error("pow: integers to negative powers are not defined; convert to floating point first");
  check_number("pow", b, dtype);
  return binary(BinaryOp::pow, a, b);
}
Tensor maximum(const TensorOrNumber& a, const TensorOrNumber& b) { return binary(BinaryOp::maximum, a, b); }
Tensor minimum(const TensorOrNumber& a, const TensorOrNumber& b) { return binary(BinaryOp::minimum, a, b); }
Tensor remainder(const TensorOrNumber& a, const TensorOrNumber& b) { return binary(BinaryOp::remainder, a, b); }
Tensor fmod(const TensorOrNumber& a, const TensorOrNumber& b) { return binary(BinaryOp::fmod, a, b); }
Tensor floor_divide(const TensorOrNumber& a, const TensorOrNumber& b) { return binary(BinaryOp::floor_divide, a, b); }
Tensor hypot(const TensorOrNumber& a, const TensorOrNumber& b) { return binary(BinaryOp::hypot, a, b); }
Tensor xlogy(const TensorOrNumber& a, const TensorOrNumber& b) { return binary(BinaryOp::xlogy, a, b); }
Tensor atan2(const TensorOrNumber& a, const TensorOrNumber& b) { return binary(BinaryOp::atan2, a, b); }

Tensor add_(const Tensor& self, const TensorOrNumber& other, const Number& alpha) {
  if (alpha.real() == 1) return binary_("add_", BinaryOp::add, self, other);
  check_operands("add_", self, other);
  const bool same = other.defined() && !other.is_number() && is_floating_point(self.dtype()) && other.dtype() == self.dtype() &&
                    other.shape() == self.shape() && other.tensor().device() == self.device();
  if (!same) return add_(self, scaled("add_", self, other, alpha));
  check_number("add_", alpha, self.dtype());
  emit(kAxpy, alpha.real(), {self, other.tensor()}, &self);
  return self;
}
Tensor sub_(const Tensor& self, const TensorOrNumber& other, const Number& alpha) {
  if (alpha.real() == 1) return binary_("sub_", BinaryOp::sub, self, other);
  check_operands("sub_", self, other);
  const bool real = alpha.dtype() == DType::float32;
  return add_(self, other, real ? Number(-alpha.real()) : Number(static_cast<int64_t>(0 - alpha.wrapped<uint64_t>())));
}
Tensor mul_(const Tensor& self, const TensorOrNumber& other) { return binary_("mul_", BinaryOp::mul, self, other); }
Tensor div_(const Tensor& self, const TensorOrNumber& other, const std::string& rounding_mode) {
  const BinaryOp op = division(rounding_mode);
  if (rounding_mode != "trunc") return binary_("div_", op, self, other);
  check_inplace("div_", BinaryOp::floor_divide, self, other);
  return copy_(self, truncated_quotient(self, other));
}
Tensor pow_(const Tensor& self, const TensorOrNumber& other) {
  if (!other.is_number()) return binary_("pow_", BinaryOp::pow, self, other);
  check_inplace("pow_", BinaryOp::pow, self, other);
  return copy_(self, pow(self, other));
}
Tensor remainder_(const Tensor& self, const TensorOrNumber& other) {
  return binary_("remainder_", BinaryOp::remainder, self, other);
}
Tensor floor_divide_(const Tensor& self, const TensorOrNumber& other) {
  return binary_("floor_divide_", BinaryOp::floor_divide, self, other);
}

}  // namespace cnnx
