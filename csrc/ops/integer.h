// Integer and bool arithmetic. Overflow wraps; a division by zero is refused before the loop starts.
#pragma once

#include "kernels/shapes.h"
#include "ops/broadcast.h"

namespace cnnx {

BinaryRow integer_row(BinaryOp op, DType dtype);
BinaryRow integer_trunc_row(DType dtype);  // the quotient rounded to zero
// Whether the result is the same for operands that are equal modulo the number of values of their type.
bool wraps(BinaryOp op);
bool divides(BinaryOp op);
// Throws if `op` is not defined for integers of this type.
void check_integer_type(const char* name, BinaryOp op, DType dtype);
// The same, or if `op` divides and `right` holds a zero.
void check_integer_operands(const char* name, BinaryOp op, const Tensor& right);

}  // namespace cnnx
