// What ops ask about cnnx/autocast.h.
#pragma once

#include "cnnx/autocast.h"
#include "cnnx/tensor.h"

namespace cnnx {

// Whether a product with this operand that is called now rounds its factors.
inline bool multiplies_in_bfloat16(const Tensor& operand) {
  return is_autocast_enabled() && operand.dtype() == DType::float32 && !operand.device().is_cuda();
}

}  // namespace cnnx
