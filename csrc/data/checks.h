// Checks and conversions that batches with and without transforms share.
#pragma once

#include <vector>

#include "cnnx/data/gather.h"

namespace cnnx {

// index[start, start + count) on `device`, contiguous, each within [0, rows). Positions that are on a device already are looked
// at by the kernels that read them.
Tensor checked_positions(const char* op, const Tensor& index, int64_t start, int64_t count, int64_t rows, Device device);

// What the gather kernel takes, checked. Null pointers where nothing is normalised.
struct ChannelScale {
  float divisor;
  std::vector<float> mean, stddev;
  ChannelScale(const char* op, const PixelScale& scale, int64_t channels);
  const float* mean_data() const { return mean.empty() ? nullptr : mean.data(); }
  const float* stddev_data() const { return stddev.empty() ? nullptr : stddev.data(); }
};

// Throws unless source is uint8 (N, H, W) or (N, C, H, W), and index is given.
void check_images(const char* op, const Tensor& source, const Tensor& index);

}  // namespace cnnx
