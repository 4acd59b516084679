// Distances of all pairs of rows.
#include "cnnx/ops/distance.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "kernels/table.h"
#include "ops/flat.h"

namespace cnnx {
namespace {

constexpr const char* kOp = "cdist";

Dims batch_of(const Tensor& t) { return Dims(t.shape().begin(), t.shape().end() - 2); }

Dims with_rows(const Dims& batch, int64_t rows, int64_t columns) {
  Dims shape = batch;
  shape.push_back(rows);
  shape.push_back(columns);
  return shape;
}

// The rows as the kernels take them: one matrix for all of the batch, or one for each.
Tensor rows_of(const Tensor& t, const Dims& batch) {
  const Dims own = batch_of(t);
  if (own.numel() == 1 || own == batch) return contiguous(t);
  return contiguous(expanded(t.detach(), with_rows(batch, t.size(-2), t.size(-1))));
}

// The gradient of `x`, of shape `shape`.
Tensor gradient_of(CdistShape s, double p, bool transposed, const Tensor& grad, const Tensor& distance, const Tensor& x,
                   const Tensor& y, const Dims& batch, const Dims& shape) {
  if (transposed) {
    std::swap(s.x_rows, s.y_rows);
    std::swap(s.x_shared, s.y_shared);
  }
  Tensor whole = Tensor::empty(with_rows(batch, s.x_rows, s.features), x.options());
  dispatch_floating(kOp, x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(x.device())
        .cdist_backward(s, p, transposed, grad.pointer<T>(), distance.pointer<T>(), x.pointer<T>(), y.pointer<T>(),
                        whole.pointer<T>());
  });
  return sum_to(whole, shape, whole.dtype());
}

}  // namespace

Tensor cdist(const Tensor& x, const Tensor& y, double p) {
  if (!(p >= 0)) throw ValueError(message(kOp, ": p must be 0 or more, is ", p));
  if (x.ndim() < 2 || y.ndim() < 2 || x.size(-1) != y.size(-1))
    throw ShapeError(message(kOp, ": needs (..., P, M) and (..., R, M), got ", x.shape(), " and ", y.shape()));
  if (x.dtype() != y.dtype() || !is_floating_point(x.dtype()))
    throw TypeError(message(kOp, ": needs two tensors of float32 or float64, got ", name(x.dtype()), " and ", name(y.dtype())));
  check_same_device(kOp, x, y);
  const Dims batch = broadcast_shapes(kOp, batch_of(x), batch_of(y));
  const Tensor left = rows_of(x, batch), right = rows_of(y, batch);
  const CdistShape s{
      batch.numel(), x.size(-2), y.size(-2), x.size(-1), batch_of(left).numel() == 1, batch_of(right).numel() == 1};
  Tensor distance = Tensor::empty(with_rows(batch, s.x_rows, s.y_rows), x.options());
  dispatch_floating(kOp, x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    if (distance.numel() > 0) kernels<T>(x.device()).cdist(s, p, left.pointer<T>(), right.pointer<T>(), distance.pointer<T>());
  });
  if (!needs_grad({x, y})) return distance;
  return record(kOp, distance, {x, y},
                [s, p, batch, shape_x = x.shape(), shape_y = y.shape(), x = Saved(left), y = Saved(right),
                 distance = Saved(distance)](const Tensor& g, const Needs& needs) {
                  const Tensor grad = contiguous(g), length = distance.unpack(kOp), from = x.unpack(kOp), to = y.unpack(kOp);
                  return Grads{needs[0] ? gradient_of(s, p, false, grad, length, from, to, batch, shape_x) : Tensor(),
                               needs[1] ? gradient_of(s, p, true, grad, length, to, from, batch, shape_y) : Tensor()};
                });
}

}  // namespace cnnx
