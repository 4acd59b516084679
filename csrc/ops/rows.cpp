// Reductions over any set of dimensions, as runs of neighbouring ones.
#include "ops/rows.h"

#include "kernels/table.h"
#include "ops/flat.h"

namespace cnnx {
namespace {

// The order of reduced_last as a permutation.
Dims last_order(const ReducedDims& dims, int ndim) {
  Dims order;
  for (int pass = 0; pass < 2; ++pass)
    for (int i = 0; i < ndim; ++i)
      if (dims.covers(i) == (pass == 1)) order.push_back(i);
  return order;
}

// A lanes tensor over all its spatial dimensions, without leaving the lanes: (N, C, 1...), plain.
Tensor reduce_lanes_spatial(ReduceOp op, const Tensor& input) {
  const LanesShape& lanes = input->storage->lanes_shape();
  const int64_t rows = lanes.blocks() * lanes.channels;
  Tensor packed = Tensor::empty({rows * lane_count()});
  kernels<float>().reduce(op, ReduceShape{rows, lanes.spatial, lane_count()}, input.lanes_data(), packed.data<float>());
  Dims shape = Dims::filled(input.ndim(), 1);
  shape[0] = lanes.batch;
  shape[1] = lanes.channels;
  Tensor result = Tensor::empty(shape);
  kernels<float>().unpack_lanes(lanes.batch, lanes.channels, lane_count(), packed.data<float>(), result.data<float>());
  return result;
}

}  // namespace

ReducedDims::ReducedDims(const char* op, const Tensor& input, const Dims& dims) {
  const int ndim = input.ndim();
  if (dims.empty()) mask_ = (1u << ndim) - 1;
  for (int64_t dim : dims) {
    const unsigned bit = 1u << normalize_dim(op, dim, ndim);
    if (mask_ & bit) throw ValueError(message(op, ": dim ", dim, " appears twice in ", dims));
    mask_ |= bit;
  }
  for (int i = 0; i < ndim; ++i) {
    kept_.push_back(covers(i) ? 1 : input.size(i));
    if (covers(i)) count_ *= input.size(i);
    else dropped_.push_back(input.size(i));
  }
}

ReduceShape rows_along(const Tensor& t, int dim) {
  if (t.ndim() == 0) return {1, 1, 1};
  ReduceShape s{1, t.size(dim), 1};
  for (int i = 0; i < dim; ++i) s.outer *= t.size(i);
  for (int i = dim + 1; i < t.ndim(); ++i) s.inner *= t.size(i);
  return s;
}

Tensor reduced_last(const Tensor& t, const ReducedDims& dims) {
  Dims shape, strides;
  for (int64_t dim : last_order(dims, t.ndim())) {
    shape.push_back(t.size(static_cast<int>(dim)));
    strides.push_back(t.strides()[static_cast<int>(dim)]);
  }
  return contiguous(t.as_strided(shape, strides, t->offset));
}

Rows rows_over(const Tensor& t, const ReducedDims& dims) {
  ReduceShape s{1, 1, 1};
  bool begun = false, done = false;
  for (int i = 0; i < t.ndim(); ++i) {
    if (t.size(i) == 1) continue;
    if (dims.covers(i)) {
      if (done) return {reduced_last(t, dims), {dims.kept_shape().numel(), dims.count(), 1}};
      s.reduce *= t.size(i);
      begun = true;
    } else {
      done = begun;
      (begun ? s.inner : s.outer) *= t.size(i);
    }
  }
  return {contiguous(t), s};
}

Tensor undo_reduced_last(const Tensor& t, const ReducedDims& dims, const Dims& shape) {
  const Dims order = last_order(dims, shape.size());
  Dims strides = shape;
  const Dims own = contiguous_strides(t.shape());
  for (int i = 0; i < order.size(); ++i) strides[static_cast<int>(order[i])] = own[i];
  return t.as_strided(shape, strides, t->offset);
}

Tensor reduce_floating(ReduceOp op, const Tensor& input, const ReducedDims& dims) {
  const int ndim = input.ndim();
  Tensor x = input;
  if (input.in_lanes()) {
    bool all_spatial = true;
    for (int i = 2; i < ndim; ++i) all_spatial = all_spatial && (dims.covers(i) || input.size(i) == 1);
    if (all_spatial) x = reduce_lanes_spatial(op, input);
  }
  // Neighbouring dimensions are reduced together, the last ones first.
  int dim = ndim - 1;
  bool touched = false;
  while (dim >= 0 || !touched) {
    while (dim >= 0 && !dims.covers(dim)) --dim;
    if (dim < 0 && touched) break;
    const int last = dim;
    while (dim >= 0 && (dims.covers(dim) || x.size(dim) == 1)) --dim;
    x = contiguous(x);
    ReduceShape s{1, 1, 1};
    Dims shape = x.shape();
    for (int i = 0; i < ndim; ++i) {
      int64_t& extent = i > last ? s.inner : i > dim ? s.reduce : s.outer;
      extent *= shape[i];
      if (i > dim && i <= last) shape[i] = 1;
    }
    Tensor y = Tensor::empty(shape, x.options());
    dispatch_floating("reduce", x.dtype(), [&](auto tag) {
      using T = decltype(tag);
      kernels<T>(x.device()).reduce(op, s, x.pointer<T>(), y.pointer<T>());
    });
    x = y;
    touched = true;
  }
  return x;
}

}  // namespace cnnx
