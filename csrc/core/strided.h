// Several strided operands of one shape.
#pragma once

#include "core/op.h"
#include "kernels/dispatch.h"
#include "kernels/shapes.h"

namespace cnnx {

// Strides that read t as if it had the larger shape: 0 along what is broadcast.
inline Dims broadcast_strides(const Tensor& t, const Dims& shape) {
  Dims strides = Dims::filled(shape.size(), 0);
  for (int i = 1; i <= t.ndim(); ++i)
    if (t.size(-i) != 1) strides[shape.size() - i] = t.strides().at(-i);
  return strides;
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

// The first result and the inputs of a call as the operands of an element-wise kernel: what is broadcast, or is a number and so
// undefined, is read with steps of 0. In lanes, an input has the shape of the result, one element or one per channel.
template <int kOperands>
StridedShape<kOperands> broadcast_operands(const Run& r) {
  const Tensor& out = r.results[0];
  Dims shape = out.shape(), strides[kOperands];
  strides[0] = out.strides();
  if (r.lanes > 1) {
    const LanesShape& lanes = out->storage->lanes_shape();
    shape = {lanes.blocks(), lanes.channels, lanes.spatial * r.lanes};
    strides[0] = contiguous_strides(shape);
  }
  for (int k = 1; k < kOperands; ++k) {
    const Tensor& t = r.inputs[static_cast<size_t>(k - 1)];
    if (!t.defined()) strides[k] = Dims::filled(shape.size(), 0);
    else if (r.lanes == 1) strides[k] = broadcast_strides(t, shape);
    else if (t.shape() == out.shape()) strides[k] = strides[0];
    else strides[k] = {0, t.numel() == 1 ? 0 : t.strides().at(-(out.ndim() - 1)), 0};
  }
  collapse_dims(shape, strides);
  return strided_shape(shape, strides);
}

// Between tensors of one shape, whose elements begin where the pointers are.
inline void copy_elements(const Queue& queue, const Tensor& to, void* to_data, const Tensor& from, const void* from_data) {
  Dims shape = to.shape(), strides[2] = {to.strides(), from.strides()};
  collapse_dims(shape, strides);
  elements(queue).copy(queue, strided_shape(shape, strides), to.dtype(), to_data, from.dtype(), from_data);
}

// For `run`: a first result that begins as zeros, or, unless the call is in place, as a copy of the first input.
inline void begin_with_zeros(const Run& r) {
  const Tensor& out = r.results[0];
  dispatch(out.dtype(), [&](auto tag) {
    const decltype(tag) zero{};
    elements(r.queue).fill(r.queue, out.dtype(), out.numel(), &zero, r.result_data[0]);
  });
}
inline void begin_with_input(const Run& r) {
  if (r.result_data[0] != r.input_data[0]) copy_elements(r.queue, r.results[0], r.result_data[0], r.inputs[0], r.input_data[0]);
}

}  // namespace cnnx
