// What the spatial ops (convolution, pooling, unfold) share.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cnnx/error.h"

namespace cnnx {

// Throws where a kernel size, stride, padding or dilation is beyond 31 bits: no image is that large, and positions stay within
// 64.
template <class... Numbers>
void check_window(const char* op, const Numbers&... options) {
  const auto check = [op](int64_t number) {
    if (number > INT32_MAX)
      throw ValueError(message(op, ": a kernel size, stride, padding or dilation of ", number, " is too large"));
  };
  (std::for_each(std::begin(options), std::end(options), check), ...);
}

}  // namespace cnnx
