// Batches of a data set by index: what a data loader does, in native code. No history is recorded.
#pragma once

#include <cstdint>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// How bytes become floats: (value / divisor - mean[c]) / stddev[c], each step rounded to float32 as the transforms ToTensor and
// Normalize do one after the other, so the result is theirs to the bit. Empty mean and stddev: the division alone. One value
// serves all channels.
struct PixelScale {
  double divisor = 255;
  std::vector<double> mean, stddev;
};

// Images source[index[start + i]] for i < count as float32 (count, C, H, W). source is uint8 (N, H, W), then C is 1, or
// (N, C, H, W); index is int64 (M). The result is in lanes when ops would keep it so.
Tensor gather_images(const Tensor& source, const Tensor& index, int64_t start, int64_t count, const PixelScale& scale = {});

// Rows source[index[start + i]] for i < count of a tensor of any dtype, (count, ...).
Tensor gather_rows(const Tensor& source, const Tensor& index, int64_t start, int64_t count);

}  // namespace cnnx CNNX_API
