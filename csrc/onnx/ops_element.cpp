// Functions of elements, arithmetic, comparisons, logic.
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

template <Tensor (*function)(const Tensor&)>
void unary(NodeRun& run) {
  run.out(function(run.in(0)));
}

void tan_node(NodeRun& run) { run.out(div(sin(run.in(0)), cos(run.in(0)))); }

void is_inf(NodeRun& run) {
  const Tensor& x = run.in(0);
  const bool down = run.flag("detect_negative", true), up = run.flag("detect_positive", true);
  Tensor found = isinf(x);
  if (!down) found = logical_and(found, gt(x, 0));
  if (!up) found = logical_and(found, lt(x, 0));
  run.out(found);
}

using Binary = Tensor (*)(const TensorOrNumber&, const TensorOrNumber&);

template <Binary function>
void binary(NodeRun& run) {
  run.out(function(run.in(0), run.in(1)));
}

template <Tensor (*function)(const Tensor&, const Tensor&)>
void logic(NodeRun& run) {
  run.out(function(run.in(0), run.in(1)));
}

Tensor plus(const TensorOrNumber& a, const TensorOrNumber& b) { return add(a, b); }
Tensor minus(const TensorOrNumber& a, const TensorOrNumber& b) { return sub(a, b); }

// Of integers without the fraction.
void div_node(NodeRun& run) { run.out(div(run.in(0), run.in(1), is_floating_point(run.in(0).dtype()) ? "" : "trunc")); }

// The exponent may be of another dtype; the result is of the base's.
void pow_node(NodeRun& run) {
  const Tensor &x = run.in(0), &y = run.in(1);
  const bool is_whole = !is_floating_point(x.dtype());  // 2 to the -1 is 0, and float32 has not all of them
  run.out(to(pow(is_whole ? to(x, DType::float64) : x, y), x.dtype()));
}

// Floats without fmod: from opset 28 on.
void mod(NodeRun& run) { run.out(run.flag("fmod") ? fmod(run.in(0), run.in(1)) : remainder(run.in(0), run.in(1))); }

// Shifts by a negative number, or by more than there are bits, leave nothing but the sign.
void bit_shift(NodeRun& run) {
  const bool left = run.word("direction", "", {"LEFT", "RIGHT"}) == "LEFT";
  const Tensor &x = run.in(0), given = to(run.in(1), DType::int64);
  const auto bits = static_cast<int64_t>(8 * itemsize(x.dtype()));
  const Tensor is_far = logical_or(lt(given, 0), ge(given, bits)), by = where(is_far, 62, given);
  const auto power_of_two = [&](const Tensor& n) {
    return to(pow(Tensor::full({}, 2, {DType::float64, x.device()}), n), DType::int64);
  };
  const Tensor wide = to(x, DType::int64), half = floor_divide(by, 2);
  if (!left) return run.out(to(floor_divide(wide, power_of_two(clamp(by, 0, 62))), x.dtype()));
  const Tensor shifted = where(is_far, 0, mul(mul(wide, power_of_two(half)), power_of_two(sub(by, half))));
  run.out(to(x.dtype() == DType::uint8 ? bitwise_and(shifted, 0xFF) : shifted, x.dtype()));
}

// Of any number of inputs.
template <Binary function>
Tensor together(NodeRun& run) {
  Tensor result = run.in(0);
  for (size_t i = 1; i < run.input_count(); ++i) result = function(result, run.in(i));
  return result;
}
template <Binary function>
void variadic(NodeRun& run) {
  run.out(together<function>(run));
}
void mean_node(NodeRun& run) { run.out(div(together<plus>(run), static_cast<double>(run.input_count()))); }

void where_node(NodeRun& run) { run.out(where(run.in(0), run.in(1), run.in(2))); }

constexpr Op kOps[] = {
    {.name = "Abs", .run = unary<abs>},
    {.name = "Acos", .run = unary<acos>},
    {.name = "Acosh", .run = unary<acosh>},
    {.name = "Asin", .run = unary<asin>},
    {.name = "Asinh", .run = unary<asinh>},
    {.name = "Atan", .run = unary<atan>},
    {.name = "Atanh", .run = unary<atanh>},
    {.name = "Ceil", .run = unary<ceil>},
    {.name = "Cos", .run = unary<cos>},
    {.name = "Cosh", .run = unary<cosh>},
    {.name = "Erf", .run = unary<erf>},
    {.name = "Exp", .run = unary<exp>},
    {.name = "Floor", .run = unary<floor>},
    {.name = "IsInf", .run = is_inf, .attributes = "detect_negative detect_positive"},
    {.name = "IsNaN", .run = unary<isnan>},
    {.name = "Log", .run = unary<log>},
    {.name = "Neg", .run = unary<neg>},
    {.name = "Not", .run = unary<logical_not>},
    {.name = "BitwiseNot", .run = unary<bitwise_not>},
    {.name = "Reciprocal", .run = unary<reciprocal>},
    {.name = "Round", .run = unary<round>},
    {.name = "Sign", .run = unary<sign>},
    {.name = "Sin", .run = unary<sin>},
    {.name = "Sinh", .run = unary<sinh>},
    {.name = "Sqrt", .run = unary<sqrt>},
    {.name = "Tan", .run = tan_node},

    {.name = "Add", .run = binary<plus>, .parameters = 0b11, .takes_numbers = true},
    {.name = "Sub", .run = binary<minus>},
    {.name = "Mul", .run = binary<mul>, .parameters = 0b11, .takes_numbers = true},
    {.name = "Div", .run = div_node},
    {.name = "Pow", .run = pow_node},
    {.name = "Mod", .run = mod, .attributes = "fmod"},
    {.name = "Equal", .run = binary<eq>},
    {.name = "Greater", .run = binary<gt>},
    {.name = "GreaterOrEqual", .run = binary<ge>},
    {.name = "Less", .run = binary<lt>},
    {.name = "LessOrEqual", .run = binary<le>},
    {.name = "And", .run = logic<logical_and>},
    {.name = "Or", .run = logic<logical_or>},
    {.name = "Xor", .run = logic<logical_xor>},
    {.name = "BitwiseAnd", .run = binary<bitwise_and>},
    {.name = "BitwiseOr", .run = binary<bitwise_or>},
    {.name = "BitwiseXor", .run = binary<bitwise_xor>},
    {.name = "BitShift", .run = bit_shift, .attributes = "direction"},
    {.name = "Max", .run = variadic<maximum>},
    {.name = "Min", .run = variadic<minimum>},
    {.name = "Sum", .run = variadic<plus>},
    {.name = "Mean", .run = mean_node},
    {.name = "Where", .run = where_node},
};

}  // namespace

std::span<const Op> element_ops() { return kOps; }

}  // namespace cnnx::onnx
