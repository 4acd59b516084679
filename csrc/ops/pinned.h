// Tensors in pinned memory, and copies between them and a device that the host does not wait for.
#pragma once

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_INTERNAL_API {

bool is_pinned(const Tensor& tensor);
// The tensor itself if it is pinned, else a contiguous copy that is. Throws unless it is on the CPU.
Tensor pin(const Tensor& tensor);
// As to(tensor, device), which records the gradient's way back, but without a wait for what can be copied without:
// - from pinned, contiguous memory to a device: the tensor's memory may be changed again when the copy is done;
// - from a device to the CPU: the result is pinned, and its values are there when the device's stream has come so far.
Tensor move_async(const Tensor& tensor, Device device);
// Writes a tensor on a device into a pinned, contiguous one of its shape and dtype, without a wait; false if they are not like
// that.
bool download_into(const Tensor& target, const Tensor& source);

}  // namespace cnnx CNNX_INTERNAL_API
