// What the spatial ops (convolution, pooling) share: the batch or height that an input lacks, and the layout they run in.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/copy.h"
#include "core/op.h"

namespace cnnx {

// A tensor with `axes` spatial dimensions, batched or not, as images (N, C, H, W), without history: the batch that (C, ...) lacks
// and the height that (N, C, W) lacks get extent 1. Batch and channels stay what they are, so what is in lanes stays in lanes.
inline Tensor as_images(const Tensor& t, int axes = 2) {
  if (t.ndim() == 4 && axes == 2) return t;
  Dims shape = t.shape(), strides = t.strides();
  if (axes == 1) {
    const int last = t.ndim() - 1;
    strides.insert(last, shape[last] * strides[last]);
    shape.insert(last, 1);
  }
  if (t.ndim() == axes + 1) {
    shape.insert(0, 1);
    strides.insert(0, t.numel());
  }
  return t.as_strided(shape, strides, t->offset);
}

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

// The inverse for a fresh result: without batch if `single`, without height if there is one axis.
inline Tensor from_images(const Tensor& t, int axes, bool single) {
  if (axes == 2 && !single) return t;
  Dims shape = t.shape(), strides = t.strides();
  if (axes == 1) {
    shape.erase(2);
    strides.erase(2);
  }
  if (single) {
    shape.erase(0);
    strides.erase(0);
  }
  Tensor result = t.as_strided(shape, strides, t->offset);
  result->is_view = false;
  return result;
}

// A spatial operand in the layout an op runs in.
template <class T>
struct Spatial {
  Tensor tensor;
  T* data;
};
template <class T>
Spatial<T> spatial_input(const Tensor& t, bool lanes) {
  if constexpr (std::is_same_v<T, float>) {
    if (lanes) {
      Tensor packed = to_lanes(t);
      return {packed, packed.lanes_data()};
    }
  }
  Tensor plain = contiguous(t);
  return {plain, plain.pointer<T>()};
}
template <class T>
Spatial<T> spatial_output(const Dims& shape, bool lanes, Device device) {
  if constexpr (std::is_same_v<T, float>) {
    if (lanes) {
      Tensor packed = Tensor::empty_lanes(shape);
      return {packed, packed.lanes_data()};
    }
  }
  Tensor plain = Tensor::empty(shape, {dtype_of<T>(), device});
  return {plain, plain.pointer<T>()};
}

}  // namespace cnnx
