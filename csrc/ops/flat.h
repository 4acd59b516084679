// For element-wise ops: same-shape operands as flat arrays in one layout, and views that need no history.
#pragma once

#include "cnnx/tensor.h"
#include "core/copy.h"

namespace cnnx {

// An uninitialised tensor of t's shape and dtype, in lanes if asked.
inline Tensor empty_flat(const Tensor& t, bool lanes) {
  return lanes ? Tensor::empty_lanes(t.shape()) : Tensor::empty(t.shape(), t.dtype());
}

// The tensor in lanes, or row-major without gaps.
inline Tensor flattened(const Tensor& t, bool lanes) { return lanes ? to_lanes(t) : contiguous(t); }

// Data and count of a tensor that flattened() gave. Dead lanes count: they may be computed with, never summed.
template <class T>
T* flat_data(const Tensor& t, bool lanes) {
  if constexpr (std::is_same_v<T, float>) {
    if (lanes) return t.lanes_data();
  }
  return t.data<T>();
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

// Strides that read t as if it had the larger shape: 0 along what is broadcast.
inline Dims broadcast_strides(const Tensor& t, const Dims& shape) {
  Dims strides = Dims::filled(shape.size(), 0);
  for (int i = 1; i <= t.ndim(); ++i)
    if (t.size(-i) != 1) strides[shape.size() - i] = t.strides().at(-i);
  return strides;
}

// A view of t broadcast to `shape`, without history.
inline Tensor expanded(const Tensor& t, const Dims& shape) { return t.as_strided(shape, broadcast_strides(t, shape), t->offset); }

// The number of innermost rows of a shape.
inline int64_t row_count(const Dims& shape) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

// Calls row(offset), with the operands' offsets in elements that the strides give, for the innermost rows [begin, end) of `shape`.
template <int kOperands, class Row>
void for_each_row(const Dims& shape, const Dims (&strides)[kOperands], int64_t begin, int64_t end, const Row& row) {
  const int outer = shape.size() - 1;
  Dims position = Dims::filled(outer, 0);
  int64_t offset[kOperands] = {};
  for (int64_t i = outer - 1, rest = begin; i >= 0; --i) {
    const int dim = static_cast<int>(i);
    position[dim] = rest % shape[dim];
    rest /= shape[dim];
    for (int k = 0; k < kOperands; ++k) offset[k] += strides[k][dim] * position[dim];
  }
  for (int64_t r = begin; r < end; ++r) {
    row(offset);
    for (int i = outer - 1; i >= 0; --i) {
      for (int k = 0; k < kOperands; ++k) offset[k] += strides[k][i];
      if (++position[i] < shape[i]) break;
      for (int k = 0; k < kOperands; ++k) offset[k] -= strides[k][i] * shape[i];
      position[i] = 0;
    }
  }
}
template <int kOperands, class Row>
void for_each_row(const Dims& shape, const Dims (&strides)[kOperands], const Row& row) {
  for_each_row(shape, strides, 0, row_count(shape), row);
}

// Drops dimensions of extent 1 and merges neighbours that every operand steps through evenly; at least one dimension is left.
template <int kOperands>
void collapse_dims(Dims& shape, Dims (&strides)[kOperands]) {
  Dims new_shape, merged[kOperands];
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    const int last = new_shape.size() - 1;
    bool even = last >= 0;
    for (int k = 0; k < kOperands && even; ++k) even = merged[k][last] == strides[k][i] * shape[i];
    if (even) {
      new_shape[last] *= shape[i];
      for (int k = 0; k < kOperands; ++k) merged[k][last] = strides[k][i];
    } else {
      new_shape.push_back(shape[i]);
      for (int k = 0; k < kOperands; ++k) merged[k].push_back(strides[k][i]);
    }
  }
  if (new_shape.empty()) {
    new_shape.push_back(1);
    for (int k = 0; k < kOperands; ++k) merged[k].push_back(1);
  }
  shape = new_shape;
  for (int k = 0; k < kOperands; ++k) strides[k] = merged[k];
}

// For in-place ops: throws if the memory may not be written.
inline void check_writable(const char* op, const Tensor& self) {
  if (self->storage->read_only()) throw Error(message(op, ": the tensor shares memory that is read-only"));
}

}  // namespace cnnx
