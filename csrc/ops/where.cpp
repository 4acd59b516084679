// Choices: where, masked_fill and clamp.
#include <cmath>
#include <limits>
#include <optional>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cuda/runtime.h"
#include "ops/broadcast.h"
#include "ops/flat.h"
#include "ops/inplace.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

// Values as bits, so that a choice is a blend of two words and never a branch; inlined for steps that the compiler knows, it
// becomes vectors.
typedef uint8_t Bits8 __attribute__((may_alias));
typedef uint32_t Bits32 __attribute__((may_alias));
typedef uint64_t Bits64 __attribute__((may_alias));

template <class T>
inline void choose_row(int64_t n, const Bits8* c, const T* x, const T* y, T* to, int64_t step_c, int64_t step_a, int64_t step_b) {
  for (int64_t i = 0; i < n; ++i) {
    const T mask = static_cast<T>(-static_cast<T>(c[i * step_c] != 0));
    to[i] = static_cast<T>((x[i * step_a] & mask) | (y[i * step_b] & ~mask));
  }
}

template <class T>
void choose_rows(const Dims& shape, const Dims (&strides)[4], const void* condition, const void* a, const void* b, void* out) {
  const int64_t n = shape.back(), step_c = strides[0].back(), step_a = strides[1].back(), step_b = strides[2].back();
  for_each_row(shape, strides, [=](const int64_t (&at)[4]) {
    const Bits8* c = static_cast<const Bits8*>(condition) + at[0];
    const T* x = static_cast<const T*>(a) + at[1];
    const T* y = static_cast<const T*>(b) + at[2];
    T* to = static_cast<T*>(out) + at[3];
    if (step_c == 1 && step_a == 1 && step_b == 1) choose_row(n, c, x, y, to, 1, 1, 1);
    else if (step_c == 1 && step_a == 1 && step_b == 0) choose_row(n, c, x, y, to, 1, 1, 0);
    else if (step_c == 1 && step_a == 0 && step_b == 1) choose_row(n, c, x, y, to, 1, 0, 1);
    else choose_row(n, c, x, y, to, step_c, step_a, step_b);
  });
}

Tensor choose(const Tensor& condition, const Tensor& a, const Tensor& b) {
  Dims shape = broadcast_shapes("where", condition.shape(), broadcast_shapes("where", a.shape(), b.shape()));
  Tensor out = Tensor::empty(shape, a.options());
  if (out.numel() == 0) return out;
  Dims strides[4] = {broadcast_strides(condition, shape), broadcast_strides(a, shape), broadcast_strides(b, shape),
                     out.strides()};
  collapse_dims(shape, strides);
  const void* choice = condition.raw_data();
  switch (itemsize(a.dtype())) {
    case 1: choose_rows<Bits8>(shape, strides, choice, a.raw_data(), b.raw_data(), out.raw_data()); break;
    case 4: choose_rows<Bits32>(shape, strides, choice, a.raw_data(), b.raw_data(), out.raw_data()); break;
    default: choose_rows<Bits64>(shape, strides, choice, a.raw_data(), b.raw_data(), out.raw_data()); break;
  }
  return out;
}

// Numbers stay numbers.
Tensor choose_on_device(const Tensor& condition, const TensorOrNumber& a, const TensorOrNumber& b, DType dtype) {
  Dims shape = broadcast_shapes("where", condition.shape(), broadcast_shapes("where", a.shape(), b.shape()));
  Tensor out = Tensor::empty(shape, condition.options(dtype));
  if (out.numel() == 0) return out;
  Dims strides[4] = {out.strides(), broadcast_strides(condition, shape), Dims::filled(shape.size(), 0),
                     Dims::filled(shape.size(), 0)};
  const TensorOrNumber* operands[2] = {&a, &b};
  ElementOperand values[2];
  Tensor held[2];
  for (int k = 0; k < 2; ++k) {
    const TensorOrNumber value = host_number(*operands[k], condition.device());
    if (value.is_number()) {
      values[k] = element_operand(value.number(), dtype);
      continue;
    }
    check_same_device("where", condition, value.tensor());
    held[k] = value.as_tensor(condition.options(dtype));
    strides[k + 2] = broadcast_strides(held[k], shape);
    values[k] = {held[k].raw_pointer(), 0, 0};
  }
  collapse_dims(shape, strides);
  cuda::element_kernels(condition.device().index)
      .choose(dtype, strided_shape(shape, strides), condition.pointer<bool>(), values[0], values[1], out.raw_pointer());
  return out;
}

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

bool are_numbers(const TensorOrNumber& min, const TensorOrNumber& max) {
  return (!min.defined() || min.is_number()) && (!max.defined() || max.is_number());
}

// One bound at least is a tensor. As of clamp by numbers, the gradient at a bound is the input's.
Tensor clamp_to_tensors(const Tensor& input, const TensorOrNumber& min, const TensorOrNumber& max) {
  Tensor out = input;
  {
    NoGrad guard;
    if (min.defined()) out = maximum(out, min);
    if (max.defined()) out = minimum(out, max);
  }
  if (!needs_grad({input, min.tensor(), max.tensor()})) return out;
  // Of a bound what sum_to needs, and its values: they decide who gets the gradient.
  struct Bound {
    explicit Bound(const TensorOrNumber& v) : given(v.defined()), number(v.is_number() ? v.number() : Number(0)) {
      if (!given || v.is_number()) return;
      tensor = Saved(v.tensor());
      shape = v.shape();
      options = v.tensor().options();
    }
    TensorOrNumber value() const { return shape ? TensorOrNumber(tensor.unpack("clamp")) : TensorOrNumber(number); }
    Tensor share(const Tensor& g) const { return to_device(sum_to(g, *shape, options.dtype), options.device); }
    bool given;
    Number number;
    Saved tensor;
    std::optional<Dims> shape;
    TensorOptions options;
  };
  return record("clamp", out, {input, min.tensor(), max.tensor()},
                [x = Saved(input), low = Bound(min), high = Bound(max), shape = input.shape(), type = input.dtype()](
                    const Tensor& g, const Needs& needs) {
                  const Tensor value = x.unpack("clamp");
                  Grads grads(3);
                  Tensor own = g;
                  if (low.given) own = where(ge(value, low.value()), own, 0.0);
                  if (high.given) own = where(le(value, high.value()), own, 0.0);
                  if (needs[0]) grads[0] = sum_to(own, shape, type);
                  if (needs[1]) {
                    Tensor part = where(lt(value, low.value()), g, 0.0);
                    if (high.given) part = where(lt(low.value(), high.value()), part, 0.0);
                    grads[1] = low.share(part);
                  }
                  if (needs[2]) {
                    Tensor above = gt(value, high.value());
                    if (low.given) above = logical_or(above, lt(high.value(), low.value()));
                    grads[2] = high.share(where(above, g, 0.0));
                  }
                  return grads;
                });
}

}  // namespace

Tensor where(const Tensor& condition, const TensorOrNumber& a, const TensorOrNumber& b) {
  if (!condition.defined() || !a.defined() || !b.defined()) throw TypeError("where: an operand is None");
  if (condition.dtype() == DType::uint8) return where(cast(condition, DType::boolean), a, b);
  if (condition.dtype() != DType::boolean)
    throw TypeError(message("where: the condition must be a bool tensor, got ", name(condition.dtype())));
  const DType dtype = result_type(a, b);
  for (const TensorOrNumber* v : {&a, &b}) check_number("where", *v, dtype);
  const TensorOptions options{dtype, condition.device()};
  if (!options.device.is_cuda())
    for (const TensorOrNumber* v : {&a, &b})
      if (!v->is_number()) check_same_device("where", condition, v->tensor());
  Tensor out = options.device.is_cuda() ? choose_on_device(condition, a, b, dtype)
                                        : choose(condition, a.as_tensor(options), b.as_tensor(options));
  if (is_floating_point(dtype) && needs_grad({a.tensor(), b.tensor()})) {
    record("where", out, {a.tensor(), b.tensor()},
           [condition = Saved(condition), options_a = a.is_number() ? TensorOptions{} : a.tensor().options(), shape_a = a.shape(),
            options_b = b.is_number() ? TensorOptions{} : b.tensor().options(),
            shape_b = b.shape()](const Tensor& g, const Needs& needs) {
             Tensor choice = condition.unpack("where");
             const auto share = [](const Tensor& part, const Dims& shape, const TensorOptions& options) {
               return to_device(sum_to(part, shape, options.dtype), options.device);
             };
             return Grads{needs[0] ? share(where(choice, g, 0), shape_a, options_a) : Tensor(),
                          needs[1] ? share(where(choice, 0, g), shape_b, options_b) : Tensor()};
           });
  }
  return out;
}

Tensor masked_fill(const Tensor& input, const Tensor& mask, const TensorOrNumber& value) {
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
  return where(mask, stays ? value : TensorOrNumber(value.as_tensor(input.options())), input);
}

Tensor masked_fill_(const Tensor& self, const Tensor& mask, const TensorOrNumber& value) {
  check_writable("masked_fill_", self);
  if (must_record_inplace("masked_fill_", self, {value.tensor()})) {
    rebase("masked_fill_", self, [&](const Tensor& before) { return masked_fill(before, mask, value); });
    return self;
  }
  NoGrad guard;
  Tensor result = masked_fill(self, mask, value);
  if (!(result.shape() == self.shape()))
    throw ShapeError(message("masked_fill_: mask of shape ", mask.shape(), " does not broadcast to ", self.shape()));
  copy_into(self, result);
  return self;
}

Tensor clamp(const Tensor& input, const TensorOrNumber& min, const TensorOrNumber& max) {
  check_bounds("clamp", min, max);
  if (are_numbers(min, max)) {
    DType dtype = input.dtype();
    if (min.defined()) dtype = result_type(TensorOrNumber(input), min);
    if (max.defined() && !is_floating_point(dtype)) dtype = result_type(TensorOrNumber(input), max);
    check_bounds_fit("clamp", min, max, dtype);
    const Bounds bounds = number_bounds(min, max);
    if (bounds.low != bounds.low || bounds.high != bounds.high) return mul(input, std::numeric_limits<double>::quiet_NaN());
    return unary("clamp", UnaryOp::clamp, dtype == input.dtype() ? input : cast(input, dtype), bounds.low, bounds.high);
  }
  return clamp_to_tensors(input, min, max);
}

Tensor clamp_(const Tensor& self, const TensorOrNumber& min, const TensorOrNumber& max) {
  check_bounds("clamp_", min, max);
  if (are_numbers(min, max) && is_floating_point(self.dtype())) {
    check_bounds_fit("clamp_", min, max, self.dtype());
    const Bounds bounds = number_bounds(min, max);
    const bool known = bounds.low == bounds.low && bounds.high == bounds.high;  // a bound of NaN makes all of it NaN, as in clamp
    if (known) return unary_("clamp_", UnaryOp::clamp, self, bounds.low, bounds.high);
  }
  check_writable("clamp_", self);
  if (must_record_inplace("clamp_", self, {min.tensor(), max.tensor()})) {
    rebase("clamp_", self, [&](const Tensor& before) { return clamp(before, min, max); });
    return self;
  }
  NoGrad guard;
  Tensor result = clamp(self, min, max);
  if (is_floating_point(result.dtype()) && !is_floating_point(self.dtype()))
    throw Error(
        message("clamp_: a result of ", name(result.dtype()), " cannot be written into a tensor of ", name(self.dtype())));
  assign(self, result);
  return self;
}

}  // namespace cnnx
