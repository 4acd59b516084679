// Distances of all pairs of rows.
#include "cnnx/ops/distance.h"

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "core/floats.h"
#include "core/node.h"

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

struct CdistCall {
  CdistShape shape;
  double p;
  bool transposed;  // of a gradient: it is the other operand's
  Dims batch;
};
CNNX_FIELDS(CdistCall, shape, p, transposed, batch)

// Inputs: the rows, one matrix for all of the batch or one for each.
void infer(const Call& call, ResultSpecs& results) {
  const CdistCall& c = call.as<CdistCall>();
  results.push_back({with_rows(c.batch, c.shape.x_rows, c.shape.y_rows), call[0].dtype()});
}
void run(const Run& r) {
  const CdistCall& c = r.as<CdistCall>();
  on_floats(r, [&](const auto& f) { f.kernels.cdist(r.queue, c.shape, c.p, f.in(0), f.in(1), f.out(0)); });
}

// Inputs: gradient of the distances, distances, the operand whose gradient it is, the other.
void infer_backward(const Call& call, ResultSpecs& results) {
  const CdistCall& c = call.as<CdistCall>();
  results.push_back({with_rows(c.batch, c.shape.x_rows, c.shape.features), call[0].dtype()});
}
void run_backward(const Run& r) {
  const CdistCall& c = r.as<CdistCall>();
  on_floats(r, [&](const auto& f) {
    f.kernels.cdist_backward(r.queue, c.shape, c.p, c.transposed, f.in(0), f.in(1), f.in(2), f.in(3), f.out(0));
  });
}
// Of the sum of g times the distances, the gradient in x, where they differ.
constexpr OpDef kBackward = op<CdistCall>("cdist_backward", infer_backward, run_backward);

void gradient(const Backward& call, Grads& grads) {
  CdistCall c = call.as<CdistCall>();
  const Tensor distance = call.result(), x = call.input(0), y = call.input(1);
  if (call.needs(0)) grads[0] = sum_to(emit_one(kBackward, c, {call.grad(), distance, x, y}), call.shape(0));
  std::swap(c.shape.x_rows, c.shape.y_rows);
  std::swap(c.shape.x_shared, c.shape.y_shared);
  c.transposed = true;
  if (call.needs(1)) grads[1] = sum_to(emit_one(kBackward, c, {call.grad(), distance, y, x}), call.shape(1));
}

constexpr OpDef kCdist =
    op<CdistCall>(kOp, infer, run).with_gradient(gradient, saving<input_bit(0) | input_bit(1) | result_bit(0)>);

// As many matrices as the batch has, or one.
Tensor rows_of(const Tensor& t, const Dims& batch) {
  const Dims own = batch_of(t);
  return own.numel() == 1 || own == batch ? t : expand(t, with_rows(batch, t.size(-2), t.size(-1)));
}

}  // namespace

Tensor cdist(const Tensor& x, const Tensor& y, double p) {
  check_defined("cdist", "x", x);
  check_defined("cdist", "y", y);
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
  return emit_one(kCdist, CdistCall{s, p, false, batch}, {left, right});
}

}  // namespace cnnx
