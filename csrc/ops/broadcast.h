// The loop over two broadcast operands that binary ops and comparisons share.
#pragma once

#include <functional>

#include "cnnx/number.h"
#include "cnnx/tensor.h"

namespace cnnx {

// out[i] = f(a[i or 0], b[i or 0]) for i < n: an operand that is not full is one element.
using BinaryRow = std::function<void(int64_t n, const void* a, bool a_full, const void* b, bool b_full, void* out)>;

// Calls `row` over two operands of one dtype and a plain row-major result of the broadcast shape.
void broadcast_rows(const Tensor& a, const Tensor& b, const Tensor& out, const BinaryRow& row);

// Where both operands live; throws if that is not one device.
Device common_device(const char* op, const TensorOrNumber& a, const TensorOrNumber& b);

// Throws if neither operand is a tensor or one is undefined.
void check_operands(const char* op, const TensorOrNumber& a, const TensorOrNumber& b);

}  // namespace cnnx
