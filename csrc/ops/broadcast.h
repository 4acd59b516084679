// The loop over two broadcast operands that binary ops and comparisons share.
#pragma once

#include <functional>

#include "cnnx/number.h"
#include "cnnx/tensor.h"
#include "kernels/shapes.h"

namespace cnnx {

// out[i] = f(a[i or 0], b[i or 0]) for i < n: an operand that is not full is one element.
using BinaryRow = std::function<void(int64_t n, const void* a, bool a_full, const void* b, bool b_full, void* out)>;

// Calls `row` over two operands of one dtype and a plain row-major result of the broadcast shape.
void broadcast_rows(const Tensor& a, const Tensor& b, const Tensor& out, const BinaryRow& row);

// The operands of an element-wise kernel of a device, over the shape of `out`; each is a number or a tensor of `dtype`.
struct ElementOperands {
  ElementOperands(const TensorOrNumber& a, const TensorOrNumber& b, DType dtype, const Tensor& out);
  StridedShape<3> shape;  // of out, a, b
  ElementOperand a, b;

 private:
  Tensor held_[2];  // what a and b point to
};
// A number or one element in host memory, as a kernel takes it.
ElementOperand element_operand(const Number& number, DType dtype);
// A 0-dimensional CPU tensor as a number, for an op with tensors of a device; anything else as it is.
TensorOrNumber host_number(const TensorOrNumber& v, const Device& device);

// Where both operands live; throws if that is not one device. 0-dimensional CPU tensors are numbers for those on another.
Device common_device(const char* op, const TensorOrNumber& a, const TensorOrNumber& b);

// Throws if neither operand is a tensor or one is undefined.
void check_operands(const char* op, const TensorOrNumber& a, const TensorOrNumber& b);

}  // namespace cnnx
