// Comparisons, logic, bits and tests. They have no derivatives.
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "kernels/dispatch.h"
#include "ops/broadcast.h"

namespace cnnx {
namespace {

// Inputs: the operands, of one dtype; undefined for a number.
template <class Op>
struct OperandsCall {
  Op op;
  ElementOperand numbers[2];
};
template <class Op>
CNNX_FIELDS(OperandsCall<Op>, op, numbers)

DType dtype_of_operands(const Call& call) {
  return (call[0].defined() ? call[0] : call[1]).dtype();
}

void infer_bool(const Call& call, ResultSpecs& results) { results.push_back({broadcast_shape_of(call), DType::boolean}); }
void infer_same(const Call& call, ResultSpecs& results) {
  results.push_back({broadcast_shape_of(call), dtype_of_operands(call)});
}

void run_compare(const Run& r) {
  const auto& c = r.as<OperandsCall<CompareOp>>();
  elements(r.queue).compare(r.queue, c.op, dtype_of_operands(r.call), broadcast_operands<3>(r), operand_of(r, 0, c.numbers[0]),
                            operand_of(r, 1, c.numbers[1]), r.out<bool>(0));
}

void run_bitwise(const Run& r) {
  const auto& c = r.as<OperandsCall<BitOp>>();
  elements(r.queue).bitwise(r.queue, c.op, r.results[0].dtype(), broadcast_operands<3>(r), operand_of(r, 0, c.numbers[0]),
                            operand_of(r, 1, c.numbers[1]), r.result_data[0]);
}

constexpr OpDef compare_op(const char* name) {
  return op<OperandsCall<CompareOp>>(name, infer_bool, run_compare).working_by_image(kByElement).reads({Place::strided});
}
constexpr OpDef kCompare[] = {compare_op("eq"), compare_op("ne"), compare_op("lt"), compare_op("le")};

constexpr OpDef bitwise_op(const char* name) {
  return op<OperandsCall<BitOp>>(name, infer_same, run_bitwise).reads({Place::strided});
}
constexpr OpDef kBitwise[] = {bitwise_op("bitwise_and"), bitwise_op("bitwise_or"), bitwise_op("bitwise_xor")};

template <class Op>
Tensor call_on(const char* name, const OpDef& def, Op op, const TensorOrNumber& a, const TensorOrNumber& b, DType dtype) {
  const NoGrad guard;
  const Device device = common_device(name, a, b);
  const TensorOrNumber left = operand_for(a, dtype, device), right = operand_for(b, dtype, device);
  const OperandsCall<Op> c{op, {number_operand(left, dtype), number_operand(right, dtype)}};
  return emit_one(def, c, {left.tensor(), right.tensor()});
}

// The type in which two operands are compared: one that holds both, so that 300 is not 44 beside a uint8.
DType comparison_type(const TensorOrNumber& a, const TensorOrNumber& b) {
  DType dtype = result_type(a, b);
  if (is_floating_point(dtype)) return dtype;
  for (const TensorOrNumber* v : {&a, &b}) {
    const bool held = !v->is_number() || dispatch(dtype, [&](auto tag) { return v->number().fits<decltype(tag)>(); });
    if (!v->is_number()) dtype = promote(dtype, v->dtype());
    else if (!held) dtype = DType::int64;
  }
  return dtype;
}

Tensor compare(const char* name, CompareOp op, const TensorOrNumber& a, const TensorOrNumber& b) {
  check_operands(name, a, b);
  return call_on(name, kCompare[static_cast<int>(op)], op, a, b, comparison_type(a, b));
}

Tensor bitwise(const char* name, BitOp op, const TensorOrNumber& a, const TensorOrNumber& b) {
  check_operands(name, a, b);
  const DType dtype = result_type(a, b);
  if (is_floating_point(dtype)) throw TypeError(message(name, ": needs bool or integer operands, got ", cnnx::name(dtype)));
  return call_on(name, kBitwise[static_cast<int>(op)], op, a, b, dtype);
}

Tensor truth(const Tensor& t) { return to(t, DType::boolean); }

void infer_test(const Call& call, ResultSpecs& results) { results.push_back({call[0].shape(), DType::boolean}); }
void run_test(const Run& r) {
  const Tensor& x = r.inputs[0];
  elements(r.queue).test(r.queue, r.as<TestOp>(), x.dtype(), x.numel(), r.input_data[0], r.out<bool>(0));
}
constexpr OpDef test_op(const char* name) { return op<TestOp>(name, infer_test, run_test); }
constexpr OpDef kTest[] = {test_op("logical_not"), test_op("isnan"), test_op("isinf"), test_op("isfinite"), test_op("signbit")};
Tensor test_each(TestOp op, const Tensor& input) {
  const OpDef& def = kTest[static_cast<int>(op)];
  check_defined(def.name, "input", input);
  return emit_one(def, op, {input});
}

}  // namespace

Tensor eq(const TensorOrNumber& a, const TensorOrNumber& b) { return compare("eq", CompareOp::eq, a, b); }
Tensor ne(const TensorOrNumber& a, const TensorOrNumber& b) { return compare("ne", CompareOp::ne, a, b); }
Tensor lt(const TensorOrNumber& a, const TensorOrNumber& b) { return compare("lt", CompareOp::lt, a, b); }
Tensor le(const TensorOrNumber& a, const TensorOrNumber& b) { return compare("le", CompareOp::le, a, b); }
Tensor gt(const TensorOrNumber& a, const TensorOrNumber& b) { return compare("gt", CompareOp::lt, b, a); }
Tensor ge(const TensorOrNumber& a, const TensorOrNumber& b) { return compare("ge", CompareOp::le, b, a); }

Tensor bitwise_and(const TensorOrNumber& a, const TensorOrNumber& b) { return bitwise("bitwise_and", BitOp::bit_and, a, b); }
Tensor bitwise_or(const TensorOrNumber& a, const TensorOrNumber& b) { return bitwise("bitwise_or", BitOp::bit_or, a, b); }
Tensor bitwise_xor(const TensorOrNumber& a, const TensorOrNumber& b) { return bitwise("bitwise_xor", BitOp::bit_xor, a, b); }

Tensor bitwise_not(const Tensor& input) {
  check_defined("bitwise_not", "input", input);
  if (is_floating_point(input.dtype()))
    throw TypeError(message("bitwise_not: needs a bool or integer tensor, got ", name(input.dtype())));
  if (input.dtype() == DType::boolean) return logical_not(input);
  return bitwise_xor(input, -1);
}

Tensor logical_and(const Tensor& a, const Tensor& b) {
  check_defined("logical_and", "a", a);
  check_defined("logical_and", "b", b);
  return bitwise("logical_and", BitOp::bit_and, truth(a), truth(b));
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  check_defined("logical_or", "a", a);
  check_defined("logical_or", "b", b);
  return bitwise("logical_or", BitOp::bit_or, truth(a), truth(b));
}
Tensor logical_xor(const Tensor& a, const Tensor& b) {
  check_defined("logical_xor", "a", a);
  check_defined("logical_xor", "b", b);
  return bitwise("logical_xor", BitOp::bit_xor, truth(a), truth(b));
}
Tensor logical_not(const Tensor& input) { return test_each(TestOp::logical_not, input); }
Tensor isnan(const Tensor& input) { return test_each(TestOp::isnan, input); }
Tensor isinf(const Tensor& input) { return test_each(TestOp::isinf, input); }
Tensor isfinite(const Tensor& input) { return test_each(TestOp::isfinite, input); }
Tensor signbit(const Tensor& input) { return test_each(TestOp::signbit, input); }

}  // namespace cnnx
