// Integer and bool arithmetic. Overflow wraps; a division by zero is refused before the loop starts.
#pragma once

#include "kernels/shapes.h"
#include "ops/broadcast.h"

namespace cnnx {

BinaryRow integer_row(BinaryOp op, DType dtype);
BinaryRow integer_trunc_row(DType dtype);  // the quotient rounded to zero
// Throws if `op` is not defined for the type of `right`, or divides and `right` holds a zero.
void check_integer_operands(const char* name, BinaryOp op, const Tensor& right);

}  // namespace cnnx
