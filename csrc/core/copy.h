// Copies between views, without history. All other code that needs a contiguous or converted operand calls these.
#pragma once

#include "cnnx/tensor.h"

namespace cnnx {

// A fresh plain, contiguous copy.
Tensor plain_copy(const Tensor& tensor);
// The tensor itself if it is row-major without gaps (converting a lanes storage), else a plain copy.
Tensor contiguous(const Tensor& tensor);
// A copy in another dtype (a fresh one also if the dtype is the same). Float to integer truncates; to bool is != 0.
Tensor cast(const Tensor& tensor, DType dtype);
// The tensor itself if it lives there, else a plain, contiguous copy that does.
Tensor to_device(const Tensor& tensor, Device device);
// Writes source, broadcast to target's shape and cast to its dtype, into the view `target`; bumps its version. Overlap is
// allowed, and so is a source on another device.
void copy_into(const Tensor& target, const Tensor& source);

// Whether ops keep a float32 (N, C, S...) tensor in lanes: a process with lanes, and at least half a block of images.
bool use_lanes(const Tensor& tensor);
// The tensor itself if it is in lanes, else a copy that is. Its logical value is the same.
Tensor to_lanes(const Tensor& tensor);

}  // namespace cnnx
