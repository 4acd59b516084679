// Arithmetic of two operands with broadcasting and type promotion.
#include <cmath>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "kernels/parallel.h"
#include "kernels/table.h"
#include "ops/broadcast.h"
#include "ops/flat.h"
#include "ops/inplace.h"
#include "ops/integer.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

bool is_single(const TensorOrNumber& v) { return v.is_number() || v.tensor().numel() == 1; }

// One element of any operand as T.
template <class T>
T single_value(const TensorOrNumber& v) {
  if (v.is_number()) return v.number().wrapped<T>();
  return dispatch(v.dtype(), [&](auto tag) { return static_cast<T>(*v.tensor().data<decltype(tag)>()); });
}

BinaryRow row_of(BinaryOp op, DType dtype) {
  if (!is_floating_point(dtype)) return integer_row(op, dtype);
  return dispatch_floating("binary", dtype, [&](auto tag) -> BinaryRow {
    using T = decltype(tag);
    return [op](int64_t n, const void* a, bool a_full, const void* b, bool b_full, void* out) {
      kernels<T>().binary(op, n, a_full ? Operand::full : Operand::scalar, static_cast<const T*>(a),
                          b_full ? Operand::full : Operand::scalar, static_cast<const T*>(b), static_cast<T*>(out));
    };
  });
}

// out = a op b where every operand is one element or lies flat in the layout of `out`, which may be one of them.
template <class T>
void flat_binary(BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b, const Tensor& out, bool lanes) {
  const bool a_single = is_single(a) && out.numel() != 1, b_single = is_single(b) && out.numel() != 1;
  const bool a_scalar = a_single || a.is_number(), b_scalar = b_single || b.is_number();
  const T a_value = a_scalar ? single_value<T>(a) : T(0), b_value = b_scalar ? single_value<T>(b) : T(0);
  kernels<T>().binary(op, flat_count(out, lanes), a_scalar ? Operand::scalar : Operand::full,
                      a_scalar ? &a_value : flat_data<T>(a.tensor(), lanes), b_scalar ? Operand::scalar : Operand::full,
                      b_scalar ? &b_value : flat_data<T>(b.tensor(), lanes), flat_data<T>(out, lanes));
}

// Whether `t` holds one value per channel of a lanes tensor of shape `shape`: (C, 1, ...) or (1, C, 1, ...).
bool is_per_channel(const Tensor& t, const Dims& shape) {
  if (t.dtype() != DType::float32 || t.ndim() > shape.size() || t.ndim() < shape.size() - 1) return false;
  const int channel = t.ndim() - shape.size() + 1;
  for (int i = 0; i < t.ndim(); ++i)
    if (t.size(i) != (i == channel ? shape[1] : 1)) return false;
  return true;
}

Tensor per_channel(BinaryOp op, const Tensor& a, const Tensor& b, bool channel_is_a) {
  const Tensor& full = channel_is_a ? b : a;
  Tensor values = contiguous(channel_is_a ? a : b);
  Tensor out = Tensor::empty_lanes(full.shape());
  const LanesShape& shape = out->storage->lanes_shape();
  const int64_t run = shape.spatial * lane_count();
  const float* x = full.lanes_data();
  const float* v = values.data<float>();
  float* y = out.lanes_data();
  parallel_for(shape.blocks() * shape.channels, static_cast<double>(run), [&](int64_t unit) {
    const float* value = v + unit % shape.channels;
    const float* from = x + unit * run;
    kernels<float>().binary(op, run, channel_is_a ? Operand::scalar : Operand::full, channel_is_a ? value : from,
                            channel_is_a ? Operand::full : Operand::scalar, channel_is_a ? from : value, y + unit * run);
  });
  return out;
}

// Operands of floating-point type `dtype` or numbers.
Tensor compute_floating(const char* name, BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b, DType dtype) {
  const bool a_lanes = !a.is_number() && a.tensor().in_lanes(), b_lanes = !b.is_number() && b.tensor().in_lanes();
  const Dims shape_a = a.shape(), shape_b = b.shape();
  const bool same = shape_a == shape_b;
  const bool b_joins = same || (is_single(b) && shape_b.size() <= shape_a.size());
  const bool a_joins = same || (is_single(a) && shape_a.size() <= shape_b.size());
  if (a_joins || b_joins) {
    const Tensor& model = b_joins && !a.is_number() ? a.tensor() : b.tensor();
    const bool lanes = a_lanes || b_lanes;
    auto prepared = [&](const TensorOrNumber& v) {
      return v.is_number() || (is_single(v) && !same) ? v : TensorOrNumber(flattened(v.tensor(), lanes));
    };
    Tensor out = empty_flat(model, lanes);
    dispatch_floating(name, dtype, [&](auto tag) { flat_binary<decltype(tag)>(op, prepared(a), prepared(b), out, lanes); });
    return out;
  }
  const Dims shape = broadcast_shapes(name, shape_a, shape_b);
  if (a_lanes && is_per_channel(b.tensor(), shape_a)) return per_channel(op, a.tensor(), b.tensor(), false);
  if (b_lanes && is_per_channel(a.tensor(), shape_b)) return per_channel(op, a.tensor(), b.tensor(), true);
  Tensor out = Tensor::empty(shape, a.tensor().options(dtype));
  broadcast_rows(a.tensor(), b.tensor(), out, row_of(op, dtype));
  return out;
}

// Any operands and strides, into `out`, which may be one of them; on a device.
void compute_on_device(const char* name, BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b, const Tensor& out) {
  if (out.numel() == 0) return;
  const DType dtype = out.dtype();
  const ElementOperands operands(a, b, dtype, out);
  Tensor zero_divisor;
  if (!is_floating_point(dtype) && divides(op)) {
    if (operands.b.data != nullptr) zero_divisor = Tensor::zeros({}, out.options(DType::int32));
    else if (operands.b.integer == 0) throw Error(message(name, ": integer division by zero"));
  }
  cuda::element_kernels(out.device().index)
      .binary(op, dtype, operands.shape, operands.a, operands.b, out.raw_pointer(),
              zero_divisor.defined() ? zero_divisor.pointer<int32_t>() : nullptr);
  // An error, as on the CPU, and so the one case in which arithmetic waits for the device.
  if (zero_divisor.defined() && zero_divisor.item() != 0) throw Error(message(name, ": integer division by zero"));
}

// The operand as the kernels take it: a number, or a tensor of `dtype`.
TensorOrNumber operand(const TensorOrNumber& v, DType dtype) {
  return v.is_number() || v.dtype() == dtype ? v : TensorOrNumber(cast(v.tensor(), dtype));
}

bool needs_grad_of(const TensorOrNumber& a, const TensorOrNumber& b) { return needs_grad({a.tensor(), b.tensor()}); }

// Values alone, without history.
Tensor compute(const char* name, BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b, DType dtype) {
  const Device device = common_device(name, a, b);
  if (!is_floating_point(dtype) && !wraps(op))
    for (const TensorOrNumber* v : {&a, &b}) check_number(name, *v, dtype);
  if (device.is_cuda()) {
    if (!is_floating_point(dtype)) check_integer_type(name, op, dtype);
    Tensor out = Tensor::empty(broadcast_shapes(name, a.shape(), b.shape()), {dtype, device});
    compute_on_device(name, op, a, b, out);
    return out;
  }
  if (is_floating_point(dtype)) return compute_floating(name, op, operand(a, dtype), operand(b, dtype), dtype);
  Tensor left = a.as_tensor({dtype, device}), right = b.as_tensor({dtype, device});
  check_integer_operands(name, op, right);
  Tensor out = Tensor::empty(broadcast_shapes(name, left.shape(), right.shape()), left.options());
  broadcast_rows(left, right, out, integer_row(op, dtype));
  return out;
}

// An operand in a gradient: what was given, kept for the backward pass.
struct SavedOperand {
  SavedOperand(const TensorOrNumber& v, bool keep) : number(v.is_number() ? v.number() : Number(0)), is_number(v.is_number()) {
    if (!is_number && keep) saved = Saved(v.tensor());
  }
  TensorOrNumber unpack(const char* op) const { return is_number ? TensorOrNumber(number) : TensorOrNumber(saved.unpack(op)); }
  Number number;
  bool is_number;
  Saved saved;
};

// The gradients of one op: from grad_output, operands and result to the gradients in the result's shape.
using Partial = Tensor (*)(const Tensor& g, const TensorOrNumber& a, const TensorOrNumber& b, const Tensor& out);
struct GradientRule {
  Partial for_a, for_b;
  bool keeps_a_for_a, keeps_b_for_a, keeps_a_for_b, keeps_b_for_b, keeps_out_for_b, keeps_out_for_a = false;
};

Tensor zeros_as(const Tensor& g) { return Tensor::zeros(g.shape(), g.options()); }

// d/d(the larger): everything where it wins, half where both are equal.
Tensor extreme_share(const Tensor& g, const TensorOrNumber& mine, const TensorOrNumber& other, bool max) {
  Tensor shared = where(eq(mine, other), mul(g, 0.5), g);
  return where(max ? lt(mine, other) : gt(mine, other), 0.0, shared);
}

const GradientRule& rule_of(BinaryOp op) {
  using V = const TensorOrNumber&;
  static const GradientRule add{[](const Tensor& g, V, V, const Tensor&) { return g; },
                                [](const Tensor& g, V, V, const Tensor&) { return g; },
                                false,
                                false,
                                false,
                                false,
                                false};
  static const GradientRule sub{[](const Tensor& g, V, V, const Tensor&) { return g; },
                                [](const Tensor& g, V, V, const Tensor&) { return neg(g); },
                                false,
                                false,
                                false,
                                false,
                                false};
  static const GradientRule mul{[](const Tensor& g, V, V b, const Tensor&) { return cnnx::mul(g, b); },
                                [](const Tensor& g, V a, V, const Tensor&) { return cnnx::mul(g, a); },
                                false,
                                true,
                                true,
                                false,
                                false};
  static const GradientRule div{[](const Tensor& g, V, V b, const Tensor&) { return cnnx::div(g, b); },
                                [](const Tensor& g, V, V b, const Tensor& out) { return neg(cnnx::mul(g, cnnx::div(out, b))); },
                                false,
                                true,
                                false,
                                true,
                                true};
  static const GradientRule pow{
      [](const Tensor& g, V a, V b, const Tensor&) { return cnnx::mul(g, compute("pow", BinaryOp::pow_slope, a, b, g.dtype())); },
      [](const Tensor& g, V a, V b, const Tensor& out) {
        Tensor slope = a.is_number() ? cnnx::mul(out, std::log(a.number().real())) : cnnx::mul(out, log(a.tensor()));
        if (a.is_number() && a.number().real() != 0) return cnnx::mul(g, slope);
        // 0 ^ b is flat for b >= 0, where out * log(0) would be 0 * inf.
        Tensor flat = a.is_number() ? ge(b, 0) : logical_and(eq(a, 0), ge(b, 0));
        return where(flat, 0.0, cnnx::mul(g, slope));
      },
      true,
      true,
      true,
      true,
      true};
  static const GradientRule maximum{[](const Tensor& g, V a, V b, const Tensor&) { return extreme_share(g, a, b, true); },
                                    [](const Tensor& g, V a, V b, const Tensor&) { return extreme_share(g, b, a, true); },
                                    true,
                                    true,
                                    true,
                                    true,
                                    false};
  static const GradientRule minimum{[](const Tensor& g, V a, V b, const Tensor&) { return extreme_share(g, a, b, false); },
                                    [](const Tensor& g, V a, V b, const Tensor&) { return extreme_share(g, b, a, false); },
                                    true,
                                    true,
                                    true,
                                    true,
                                    false};
  static const GradientRule remainder{
      [](const Tensor& g, V, V, const Tensor&) { return g; },
      [](const Tensor& g, V a, V b, const Tensor&) { return neg(cnnx::mul(g, floor_divide(a, b))); },
      false,
      false,
      true,
      true,
      false};
  static const GradientRule fmod{
      [](const Tensor& g, V, V, const Tensor&) { return g; },
      [](const Tensor& g, V a, V b, const Tensor&) { return neg(cnnx::mul(g, cnnx::div(a, b, "trunc"))); },
      false,
      false,
      true,
      true,
      false};
  static const GradientRule hypot{[](const Tensor& g, V a, V, const Tensor& out) { return cnnx::mul(g, cnnx::div(a, out)); },
                                  [](const Tensor& g, V, V b, const Tensor& out) { return cnnx::mul(g, cnnx::div(b, out)); },
                                  true,
                                  false,
                                  false,
                                  true,
                                  true,
                                  true};
  // Where a is 0, the slopes are the limits: log b, and 0 where there is none.
  static const GradientRule xlogy{[](const Tensor& g, V a, V b, const Tensor&) {
                                    const Tensor none = logical_and(eq(a, 0), le(b, 0));
                                    return where(none, 0.0, cnnx::mul(g, log(b.as_tensor(g.options()))));
                                  },
                                  [](const Tensor& g, V a, V b, const Tensor&) {
                                    return where(logical_and(eq(a, 0), eq(b, 0)), 0.0, cnnx::mul(g, cnnx::div(a, b)));
                                  },
                                  true,
                                  true,
                                  true,
                                  true,
                                  false};
  static const GradientRule flat{[](const Tensor& g, V, V, const Tensor&) { return zeros_as(g); },
                                 [](const Tensor& g, V, V, const Tensor&) { return zeros_as(g); },
                                 false,
                                 false,
                                 false,
                                 false,
                                 false};
  switch (op) {
    case BinaryOp::add: return add;
    case BinaryOp::sub: return sub;
    case BinaryOp::mul: return mul;
    case BinaryOp::div: return div;
    case BinaryOp::pow: return pow;
    case BinaryOp::maximum: return maximum;
    case BinaryOp::minimum: return minimum;
    case BinaryOp::remainder: return remainder;
    case BinaryOp::fmod: return fmod;
    case BinaryOp::hypot: return hypot;
    case BinaryOp::xlogy: return xlogy;
    default: return flat;
  }
}

// `out` with the gradients of `op`; a count of ops stands for one that is flat.
Tensor recorded(const char* name, BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b, const Tensor& out) {
  if (!is_floating_point(out.dtype()) || !needs_grad_of(a, b)) return out;
  const GradientRule& rule = rule_of(op);
  const bool for_a = !a.is_number() && a.tensor().requires_grad(), for_b = !b.is_number() && b.tensor().requires_grad();
  SavedOperand kept_a(a, (for_a && rule.keeps_a_for_a) || (for_b && rule.keeps_a_for_b));
  SavedOperand kept_b(b, (for_a && rule.keeps_b_for_a) || (for_b && rule.keeps_b_for_b));
  Saved kept_out = (for_a && rule.keeps_out_for_a) || (for_b && rule.keeps_out_for_b) ? Saved(out) : Saved();
  const auto device_of = [](const TensorOrNumber& v) { return v.is_number() ? Device{} : v.tensor().device(); };
  auto gradient = [name, &rule, kept_a, kept_b, kept_out, shape_a = a.shape(), type_a = a.dtype(), device_a = device_of(a),
                   shape_b = b.shape(), type_b = b.dtype(), device_b = device_of(b)](const Tensor& g, const Needs& needs) {
    TensorOrNumber left = kept_a.unpack(name), right = kept_b.unpack(name);
    Tensor result = kept_out.unpack(name);
    return Grads{needs[0] ? to_device(sum_to(rule.for_a(g, left, right, result), shape_a, type_a), device_a) : Tensor(),
                 needs[1] ? to_device(sum_to(rule.for_b(g, left, right, result), shape_b, type_b), device_b) : Tensor()};
  };
  return record(name, out, {a.tensor(), b.tensor()}, gradient);
}

Tensor binary(const char* name, BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b, DType dtype) {
  return recorded(name, op, a, b, compute(name, op, a, b, dtype));
}

// The type in which `op` is computed, as its result.
DType type_of(const char* name, BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b) {
  check_operands(name, a, b);
  const DType dtype = result_type(a, b);
  const bool real = op == BinaryOp::div || op == BinaryOp::hypot || op == BinaryOp::xlogy;
  return real && !is_floating_point(dtype) ? default_dtype() : dtype;
}

Tensor binary(const char* name, BinaryOp op, const TensorOrNumber& a, const TensorOrNumber& b) {
  return binary(name, op, a, b, type_of(name, op, a, b));
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
  throw ValueError(message("div: rounding_mode must be None, \"floor\" or \"trunc\", got \"", rounding_mode, "\""));
}

// Quotients rounded to zero: exact for integers, trunc(a / b) for floats.
Tensor truncated_quotient(const TensorOrNumber& a, const TensorOrNumber& b) {
  check_operands("div", a, b);
  const DType dtype = result_type(a, b);
  if (is_floating_point(dtype)) {
    Tensor out;
    {
      NoGrad guard;  // flat: the slope of the quotient, which may be infinite, has no part in it
      out = trunc(binary("div", BinaryOp::div, a, b, dtype));
    }
    return recorded("div", BinaryOp::count, a, b, out);
  }
  const Device device = common_device("div", a, b);
  for (const TensorOrNumber* v : {&a, &b}) check_number("div", *v, dtype);
  if (device.is_cuda()) return compute("div", BinaryOp::div, a, b, dtype);
  Tensor left = a.as_tensor({dtype, device}), right = b.as_tensor({dtype, device});
  check_integer_operands("div", BinaryOp::floor_divide, right);
  Tensor out = Tensor::empty(broadcast_shapes("div", left.shape(), right.shape()), left.options());
  broadcast_rows(left, right, out, integer_trunc_row(dtype));
  return out;
}

// Whether the kernel may write its result over self while it reads other.
bool may_write_over(const Tensor& self, const TensorOrNumber& other) {
  if (other.is_number()) return true;
  const Tensor& t = other.tensor();
  if (t->storage != self->storage) return true;
  return t->offset == self->offset && t.shape() == self.shape() && t.strides() == self.strides();
}

// `compute_new` is the out-of-place op.
template <class Compute>
Tensor binary_inplace(const char* name, BinaryOp op, const Tensor& self, const TensorOrNumber& other,
                      const Compute& compute_new) {
  check_operands(name, self, other);
  check_writable(name, self);
  const DType dtype = type_of(name, op, self, other);
  if ((is_floating_point(dtype) && !is_floating_point(self.dtype())) ||
      (dtype != DType::boolean && self.dtype() == DType::boolean))
    throw Error(
        message(name, ": a result of ", cnnx::name(dtype), " cannot be written into a tensor of ", cnnx::name(self.dtype())));
  const Dims shape = broadcast_shapes(name, self.shape(), other.shape());
  if (!(shape == self.shape()))
    throw ShapeError(message(name, ": operand of shape ", other.shape(), " does not broadcast to self of shape ", self.shape()));
  if (must_record_inplace(name, self, {other.tensor()})) {
    const bool squared = !other.is_number() && other.tensor().is_same(self);
    rebase(name, self, [&](const Tensor& before) { return compute_new(before, squared ? TensorOrNumber(before) : other); });
    return self;
  }
  NoGrad guard;
  if (common_device(name, self, other).is_cuda()) {
    if (!self.device().is_cuda()) check_same_device(name, self, other.tensor());
    if (dtype == self.dtype() && op != BinaryOp::count && may_write_over(self, other)) {
      if (!is_floating_point(dtype)) check_integer_type(name, op, dtype);
      compute_on_device(name, op, self, other, self);
      self.bump_version();
    } else {
      assign(self, compute_new(self, other));
    }
    return self;
  }
  const bool lanes = self.in_lanes();
  const bool flat = is_single(other) || other.shape() == self.shape();
  if (dtype == self.dtype() && is_floating_point(dtype) && op != BinaryOp::count && flat && (lanes || self.is_contiguous()) &&
      may_write_over(self, other)) {
    TensorOrNumber right = operand(other, dtype);
    if (!is_single(right)) right = flattened(right.tensor(), lanes);
    dispatch_floating(name, dtype, [&](auto tag) { flat_binary<decltype(tag)>(op, self, right, self, lanes); });
    self.bump_version();
  } else {
    assign(self, compute_new(self, other));
  }
  return self;
}

}  // namespace

Tensor add(const TensorOrNumber& a, const TensorOrNumber& b, const Number& alpha) {
  return binary("add", BinaryOp::add, a, scaled("add", a, b, alpha));
}
Tensor sub(const TensorOrNumber& a, const TensorOrNumber& b, const Number& alpha) {
  if (a.defined() && b.defined() && (a.dtype() == DType::boolean || b.dtype() == DType::boolean))
    throw TypeError("sub: is not defined for bool; use logical_not or ^");
  return binary("sub", BinaryOp::sub, a, scaled("sub", a, b, alpha));
}
Tensor mul(const TensorOrNumber& a, const TensorOrNumber& b) { return binary("mul", BinaryOp::mul, a, b); }
Tensor div(const TensorOrNumber& a, const TensorOrNumber& b, const std::string& rounding_mode) {
  const BinaryOp op = division(rounding_mode);
  if (rounding_mode == "trunc") return truncated_quotient(a, b);
  return binary("div", op, a, b);
}
Tensor pow(const TensorOrNumber& a, const TensorOrNumber& b) {
  check_operands("pow", a, b);
  const DType dtype = result_type(a, b);
  if (b.is_number() && is_floating_point(dtype)) {
    const double exponent = b.number().real();
    Tensor base = a.as_tensor({dtype, common_device("pow", a, b)});
    if (exponent == 2) return unary("pow", UnaryOp::square, base);
    if (exponent == 0.5) return unary("pow", UnaryOp::sqrt, base);
    return unary("pow", UnaryOp::pow_scalar, base, exponent);
  }
  if (b.is_number() && b.number().real() < 0)
    throw Error("pow: integers to negative powers are not defined; convert to floating point first");
  check_number("pow", b, dtype);
  return binary("pow", BinaryOp::pow, a, b, dtype);
}
Tensor maximum(const TensorOrNumber& a, const TensorOrNumber& b) { return binary("maximum", BinaryOp::maximum, a, b); }
Tensor minimum(const TensorOrNumber& a, const TensorOrNumber& b) { return binary("minimum", BinaryOp::minimum, a, b); }
Tensor remainder(const TensorOrNumber& a, const TensorOrNumber& b) { return binary("remainder", BinaryOp::remainder, a, b); }
Tensor fmod(const TensorOrNumber& a, const TensorOrNumber& b) { return binary("fmod", BinaryOp::fmod, a, b); }
Tensor floor_divide(const TensorOrNumber& a, const TensorOrNumber& b) {
  return binary("floor_divide", BinaryOp::floor_divide, a, b);
}
Tensor hypot(const TensorOrNumber& a, const TensorOrNumber& b) { return binary("hypot", BinaryOp::hypot, a, b); }
Tensor xlogy(const TensorOrNumber& a, const TensorOrNumber& b) { return binary("xlogy", BinaryOp::xlogy, a, b); }

Tensor add_(const Tensor& self, const TensorOrNumber& other, const Number& alpha) {
  const bool plain_sum = alpha.real() == 1;
  // self += alpha * other in one pass: the update rule of hand-written training loops.
  if (!plain_sum && other.defined() && !other.is_number() && is_floating_point(self.dtype()) && other.dtype() == self.dtype() &&
      other.shape() == self.shape() && self.is_contiguous() && !self.in_lanes() && may_write_over(self, other) &&
      !must_record_inplace("add_", self, {other.tensor()})) {
    check_writable("add_", self);
    check_same_device("add_", self, other.tensor());
    check_number("add_", alpha, self.dtype());
    Tensor x = contiguous(other.tensor());
    dispatch_floating("add_", self.dtype(), [&](auto tag) {
      using T = decltype(tag);
      kernels<T>(self.device()).axpy(self.numel(), alpha.real(), x.pointer<T>(), self.pointer<T>());
    });
    self.bump_version();
    return self;
  }
  if (!plain_sum) return add_(self, scaled("add_", self, other, alpha));
  return binary_inplace("add_", BinaryOp::add, self, other,
                        [](const TensorOrNumber& a, const TensorOrNumber& b) { return add(a, b); });
}
Tensor sub_(const Tensor& self, const TensorOrNumber& other, const Number& alpha) {
  if (alpha.real() != 1)
    return add_(
        self, other,
        alpha.dtype() == DType::float32 ? Number(-alpha.real()) : Number(static_cast<int64_t>(0 - alpha.wrapped<uint64_t>())));
  return binary_inplace("sub_", BinaryOp::sub, self, other,
                        [](const TensorOrNumber& a, const TensorOrNumber& b) { return sub(a, b); });
}
Tensor mul_(const Tensor& self, const TensorOrNumber& other) {
  return binary_inplace("mul_", BinaryOp::mul, self, other,
                        [](const TensorOrNumber& a, const TensorOrNumber& b) { return mul(a, b); });
}
Tensor div_(const Tensor& self, const TensorOrNumber& other, const std::string& rounding_mode) {
  BinaryOp op = division(rounding_mode);
  if (rounding_mode == "trunc") op = BinaryOp::count;  // no single kernel does it
  return binary_inplace("div_", op, self, other,
                        [&](const TensorOrNumber& a, const TensorOrNumber& b) { return div(a, b, rounding_mode); });
}
Tensor pow_(const Tensor& self, const TensorOrNumber& other) {
  return binary_inplace("pow_", BinaryOp::pow, self, other,
                        [](const TensorOrNumber& a, const TensorOrNumber& b) { return pow(a, b); });
}
Tensor remainder_(const Tensor& self, const TensorOrNumber& other) {
  return binary_inplace("remainder_", BinaryOp::remainder, self, other,
                        [](const TensorOrNumber& a, const TensorOrNumber& b) { return remainder(a, b); });
}
Tensor floor_divide_(const Tensor& self, const TensorOrNumber& other) {
  return binary_inplace("floor_divide_", BinaryOp::floor_divide, self, other,
                        [](const TensorOrNumber& a, const TensorOrNumber& b) { return floor_divide(a, b); });
}

}  // namespace cnnx
