// Padding: what a tensor is surrounded with.
#pragma once

#include <vector>

#include "cnnx/api.h"
#include "cnnx/number.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

enum class PadMode {
  constant,   // one value
  reflect,    // mirrored at the edge, which is not repeated
  replicate,  // the edge itself
  circular    // from the other side
};
const char* name(PadMode mode);  // "constant", ...

// `pads` holds (before, after) for the last dimension, then for the one before it, and so on; a negative number crops. With
// `constant` any dimensions of any dtype; the other modes pad the one or two last dimensions of (N, C, W), (C, W), (N, C, H, W)
// or (C, H, W). What is in lanes stays so where only spatial dimensions are padded.
Tensor pad(const Tensor& input, const std::vector<int64_t>& pads, PadMode mode = PadMode::constant, const Number& value = 0);

}  // namespace cnnx CNNX_API
