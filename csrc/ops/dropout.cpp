// Dropout. The backward pass draws the forward pass's mask again instead of keeping it.
#include "cnnx/autograd.h"
#include "cnnx/ops/loss.h"
#include "cnnx/random.h"
#include "kernels/table.h"
#include "ops/flat.h"

namespace cnnx {
namespace {

// The mask of one random call applied to a tensor in its own layout.
Tensor masked(const Tensor& t, double p, const RandomState& key) {
  const bool lanes = t.in_lanes();
  Tensor x = flattened(t, lanes);
  Tensor y = empty_flat(x, lanes);
  dispatch_floating("dropout", x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    if (lanes) {
      const LanesShape& shape = x->storage->lanes_shape();
      kernels<T>().dropout(shape.batch, shape.channels * shape.spatial, lane_count(), p, key.seed, key.calls,
                           flat_data<T>(x, true), flat_data<T>(y, true));
    } else {
      kernels<T>().dropout(1, x.numel(), 1, p, key.seed, key.calls, x.data<T>(), y.data<T>());
    }
  });
  return y;
}

}  // namespace

Tensor dropout(const Tensor& input, double p, bool training) {
  if (!(p >= 0 && p <= 1)) throw ValueError(message("dropout: p must be between 0 and 1, got ", p));
  if (!training || p == 0) return input;
  const RandomState key = next_random_call();
  Tensor out = masked(input, p, key);
  if (needs_grad({input}))
    record("dropout", out, {input}, [p, key](const Tensor& g, const Needs&) { return Grads{masked(g, p, key)}; });
  return out;
}

}  // namespace cnnx
