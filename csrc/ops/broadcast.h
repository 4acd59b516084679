// Element-wise calls whose operands are broadcast: tensors of one dtype, or numbers.
#pragma once

#include "cnnx/number.h"
#include "core/op.h"
#include "core/strided.h"

namespace cnnx {

// Throws if neither operand is a tensor or one is undefined.
void check_operands(const char* op, const TensorOrNumber& a, const TensorOrNumber& b);
// Where both operands live; throws if that is not one device. 0-dimensional CPU tensors are numbers for those on another.
Device common_device(const char* op, const TensorOrNumber& a, const TensorOrNumber& b);
// The operand of an op that computes in `dtype` on `device`: a tensor there, converted if need be as ops that are recorded, or a
// number, which a 0-dimensional tensor elsewhere becomes unless it needs a gradient.
TensorOrNumber operand_for(const TensorOrNumber& v, DType dtype, const Device& device);

// A number as the attributes of a call hold it; for a tensor it means nothing.
ElementOperand number_operand(const TensorOrNumber& v, DType dtype);
// What a kernel takes for input i: its data, or the number.
inline ElementOperand operand_of(const Run& r, size_t i, ElementOperand number) {
  number.data = r.input_data[i];
  return number;
}

// Whether all inputs fit a call in lanes: one lies so, and every other has its shape, one element or one value per channel.
bool fit_lanes(const Call& call);

// The shape that the inputs give together; throws ShapeError.
inline Dims broadcast_shape_of(const Call& call) {
  Dims shape;
  for (const Input& input : call.inputs)
    if (input->defined()) shape = broadcast_shapes(call.op.name, shape, input->shape());
  return shape;
}

}  // namespace cnnx
