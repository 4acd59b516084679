// Copies and fills without history. All other code that needs a contiguous or converted operand calls these.
#pragma once

#include "cnnx/api.h"
#include "cnnx/number.h"
#include "core/op.h"

namespace cnnx {

// A fresh plain, contiguous copy.
CNNX_INTERNAL_API Tensor plain_copy(const Tensor& tensor);
// A fresh copy in the layout of the original.
Tensor copy_in_layout(const Tensor& tensor);
// The tensor itself if it is row-major without gaps (converting a lanes storage), else a plain copy.
Tensor contiguous(const Tensor& tensor);
// A copy in another dtype (a fresh one also if the dtype is the same). Float to integer truncates; to bool is != 0.
CNNX_INTERNAL_API Tensor cast(const Tensor& tensor, DType dtype);
// The tensor itself if it lives there, else a plain, contiguous copy that does.
CNNX_INTERNAL_API Tensor to_device(const Tensor& tensor, Device device);
// Writes source, broadcast to target's shape and cast to its dtype, into the view `target`, in lanes where both are; bumps its
// version. Overlap is allowed, and so is a source on another device.
void copy_into(const Tensor& target, const Tensor& source);

// The same as ops, which are recorded.
Tensor recorded_copy(const Tensor& tensor);   // row-major
Tensor recorded_clone(const Tensor& tensor);  // in the layout of the original
Tensor recorded_cast(const Tensor& tensor, DType dtype);
Tensor recorded_transfer(const Tensor& tensor, Device device);
void recorded_write(const Tensor& target, const Tensor& source);  // of target's shape and device
void recorded_fill(const Tensor& target, const Number& value);

// A new tensor, all elements of which are `value`; what does not fit wraps.
Tensor filled(const Dims& shape, const TensorOptions& options, const Number& value);

}  // namespace cnnx
