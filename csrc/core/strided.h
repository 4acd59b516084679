// Loops over several strided operands of one shape.
#pragma once

#include "cnnx/tensor.h"
#include "kernels/shapes.h"

namespace cnnx {

// Strides that read t as if it had the larger shape: 0 along what is broadcast.
inline Dims broadcast_strides(const Tensor& t, const Dims& shape) {
  Dims strides = Dims::filled(shape.size(), 0);
  for (int i = 1; i <= t.ndim(); ++i)
    if (t.size(-i) != 1) strides[shape.size() - i] = t.strides().at(-i);
  return strides;
}

// The number of innermost rows of a shape.
inline int64_t row_count(const Dims& shape) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

// Calls row(offset), with the operands' offsets in elements that the strides give, for the innermost rows [begin, end) of
// `shape`.
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

// The shape as a device's kernels take it.
template <int kOperands>
StridedShape<kOperands> strided_shape(const Dims& shape, const Dims (&strides)[kOperands]) {
  static_assert(Dims::kMaxDims <= kMaxDims);
  StridedShape<kOperands> s{};
  s.ndim = shape.size();
  for (int i = 0; i < shape.size(); ++i) {
    s.extent[i] = shape[i];
    for (int k = 0; k < kOperands; ++k) s.stride[k][i] = strides[k][i];
  }
  return s;
}

}  // namespace cnnx
