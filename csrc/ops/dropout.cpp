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
      kernels<T>(x.device()).dropout(1, x.numel(), 1, p, key.seed, key.calls, x.pointer<T>(), y.pointer<T>());
    }
  });
  return y;
}

// Every channel of every image times its scale in `scales` (batch, channels), in the tensor's own layout.
Tensor scaled_channels(const Tensor& t, const Tensor& scales) {
  const bool lanes = t.in_lanes();
  const Tensor x = flattened(t, lanes), y = empty_flat(x, lanes);
  ChannelShape s{t.size(0), t.size(1), 1, lanes ? lane_count() : 1};
  for (int i = 2; i < t.ndim(); ++i) s.spatial *= t.size(i);
  dispatch_floating("feature_dropout", x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(x.device()).scale_channels(s, flat_data<T>(x, lanes), scales.pointer<T>(), flat_data<T>(y, lanes));
  });
  return y;
}

void check_probability(const char* op, double p) {
  if (!(p >= 0 && p <= 1)) throw ValueError(message(op, ": p must be between 0 and 1, got ", p));
}

}  // namespace

Tensor feature_dropout(const Tensor& input, double p, bool training) {
  check_probability("feature_dropout", p);
  if (!is_floating_point(input.dtype()))
    throw TypeError(message("feature_dropout: input must be float32 or float64, got ", name(input.dtype())));
  if (input.ndim() < 2) throw ShapeError(message("feature_dropout: input must be (N, C, ...), got ", input.shape()));
  if (!training || p == 0) return input;
  // The mask of (N, C) elements, so that it depends on image and channel alone.
  const Tensor scales = masked(Tensor::full({input.size(0), input.size(1)}, 1, input.options()), p, next_random_call());
  Tensor out = scaled_channels(input, scales);
  if (needs_grad({input}))
    record("feature_dropout", out, {input},
           [scales](const Tensor& g, const Needs&) { return Grads{scaled_channels(g, scales)}; });
  return out;
}

Tensor dropout(const Tensor& input, double p, bool training) {
  check_probability("dropout", p);
  if (!training || p == 0) return input;
  const RandomState key = next_random_call();
  Tensor out = masked(input, p, key);
  if (needs_grad({input}))
    record("dropout", out, {input}, [p, key](const Tensor& g, const Needs&) { return Grads{masked(g, p, key)}; });
  return out;
}

}  // namespace cnnx
