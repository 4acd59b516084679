// For element-wise ops: same-shape operands as flat arrays in one layout, and views that need no history.
#pragma once

#include "cnnx/tensor.h"
#include "core/copy.h"
#include "core/strided.h"

namespace cnnx {

// An uninitialised tensor of t's shape and dtype, in lanes if asked.
inline Tensor empty_flat(const Tensor& t, bool lanes) {
  return lanes ? Tensor::empty_lanes(t.shape()) : Tensor::empty(t.shape(), t.options());
}

// The tensor in lanes, or row-major without gaps.
inline Tensor flattened(const Tensor& t, bool lanes) { return lanes ? to_lanes(t) : contiguous(t); }

// Data and count of a tensor that flattened() gave. Dead lanes count: they may be computed with, never summed.
template <class T>
T* flat_data(const Tensor& t, bool lanes) {
  if constexpr (std::is_same_v<T, float>) {
    if (lanes) return t.lanes_data();
  }
  return t.pointer<T>();
}
inline int64_t flat_count(const Tensor& t, bool lanes) { return lanes ? t->storage->lanes_shape().numel() : t.numel(); }

// A view with another shape of as many elements (a copy if the tensor has gaps), without history.
inline Tensor with_shape(const Tensor& t, const Dims& shape) {
  Tensor whole = contiguous(t);
  return whole.as_strided(shape, contiguous_strides(shape), whole->offset);
}

// The same for an op's own fresh result, which is nobody's view.
inline Tensor result_with_shape(const Tensor& t, const Dims& shape) {
  Tensor result = with_shape(t, shape);
  result->is_view = false;
  return result;
}

// A view of t broadcast to `shape`, without history.
inline Tensor expanded(const Tensor& t, const Dims& shape) { return t.as_strided(shape, broadcast_strides(t, shape), t->offset); }

// For in-place ops: throws if the memory may not be written.
inline void check_writable(const char* op, const Tensor& self) {
  if (self->storage->read_only()) throw Error(message(op, ": the tensor shares memory that is read-only"));
}

}  // namespace cnnx
