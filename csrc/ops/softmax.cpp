// Softmax, log-softmax and logsumexp.
#include "cnnx/ops/softmax.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "kernels/table.h"
#include "ops/flat.h"
#include "ops/rows.h"

namespace cnnx {
namespace {

// Rows of a tensor in the layout it has: along the channels, a lanes storage is rows too.
ReduceShape rows_in_layout(const Tensor& t, int dim, bool lanes) {
  if (!lanes) return rows_along(t, dim);
  const LanesShape& shape = t->storage->lanes_shape();
  return {shape.blocks(), shape.channels, shape.spatial * lane_count()};
}

Tensor softmax_like(const char* name, bool log, const Tensor& input, int64_t over) {
  const int dim = normalize_dim(name, over, input.ndim());
  const bool lanes = dim == 1 && input.in_lanes();
  Tensor x = flattened(input, lanes);
  Tensor y = empty_flat(x, lanes);
  dispatch_floating(name, x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(x.device()).softmax(rows_in_layout(x, dim, lanes), log, flat_data<T>(x, lanes), flat_data<T>(y, lanes));
  });
  if (needs_grad({input})) {
    record(name, y, {input}, [name, log, dim, saved = Saved(y)](const Tensor& grad_output, const Needs&) {
      Tensor result = saved.unpack(name);
      const bool in_lanes = dim == 1 && result.in_lanes();
      result = flattened(result, in_lanes);
      Tensor g = flattened(grad_output, in_lanes);
      Tensor grad = empty_flat(g, in_lanes);
      dispatch_floating(name, g.dtype(), [&](auto tag) {
        using T = decltype(tag);
        kernels<T>(g.device())
            .softmax_backward(rows_in_layout(result, dim, in_lanes), log, flat_data<T>(g, in_lanes),
                              flat_data<T>(result, in_lanes), flat_data<T>(grad, in_lanes));
      });
      return Grads{grad};
    });
  }
  return y;
}

}  // namespace

Tensor softmax(const Tensor& input, int64_t dim) { return softmax_like("softmax", false, input, dim); }
Tensor log_softmax(const Tensor& input, int64_t dim) { return softmax_like("log_softmax", true, input, dim); }

Tensor logsumexp(const Tensor& input, const Dims& over, bool keepdim) {
  const ReducedDims dims("logsumexp", input, over);
  Tensor kept = Tensor::empty(dims.kept_shape(), input.options());
  Tensor rows = reduced_last(input, dims);
  dispatch_floating("logsumexp", input.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(rows.device()).logsumexp(ReduceShape{kept.numel(), dims.count(), 1}, rows.pointer<T>(), kept.pointer<T>());
  });
  Tensor out = result_with_shape(kept, dims.result_shape(keepdim));
  if (needs_grad({input})) {
    record("logsumexp", out, {input}, [dims, x = Saved(input), y = Saved(kept)](const Tensor& g, const Needs&) {
      Tensor share = exp(sub(x.unpack("logsumexp"), y.unpack("logsumexp")));
      return Grads{mul(share, with_shape(g, dims.kept_shape()))};
    });
  }
  return out;
}

}  // namespace cnnx
