// What the spatial ops (convolution, pooling) share: the batch dimension that an unbatched input lacks, and the layout they run in.
#pragma once

#include "core/copy.h"

namespace cnnx {

// (C, H, W) as (1, C, H, W) without history; a 4-D tensor as it is.
inline Tensor batched(const Tensor& t) {
  if (t.ndim() == 4) return t;
  Dims shape = t.shape(), strides = t.strides();
  shape.insert(0, 1);
  strides.insert(0, t.numel());
  return t.as_strided(shape, strides, t->offset);
}

// The inverse, for a fresh result.
inline Tensor unbatched(const Tensor& t) {
  Dims shape = t.shape(), strides = t.strides();
  shape.erase(0);
  strides.erase(0);
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
  return {plain, plain.data<T>()};
}
template <class T>
Spatial<T> spatial_output(const Dims& shape, bool lanes) {
  if constexpr (std::is_same_v<T, float>) {
    if (lanes) {
      Tensor packed = Tensor::empty_lanes(shape);
      return {packed, packed.lanes_data()};
    }
  }
  Tensor plain = Tensor::empty(shape, dtype_of<T>());
  return {plain, plain.data<T>()};
}

}  // namespace cnnx
