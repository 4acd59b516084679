// Giving a tensor other memory.
#pragma once

#include "cnnx/tensor.h"

namespace cnnx {

// `tensor` keeps its identity, history and gradient slot, and shows the memory of `source` from now on; it goes on counting its
// own changes. Throws TypeError where the tensor requires a gradient and the source is not floating-point.
CNNX_INTERNAL_API void set_data(const Tensor& tensor, const Tensor& source);

}  // namespace cnnx
