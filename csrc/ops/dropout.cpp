// Dropout. The backward pass draws the forward pass's mask again instead of keeping it.
#include "cnnx/autograd.h"
#include "cnnx/ops/loss.h"
#include "cnnx/random.h"
#include "core/node.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

// Inputs of both: values, and for whole channels their scales (batch, channels). The gradient is the op itself, with the same
// key.
struct DropoutCall {
  double p;
  RandomState key;
};
CNNX_FIELDS(DropoutCall, p, key)

bool lanes(const Call& call) { return call[0].in_lanes(); }

void run(const Run& r) {
  const DropoutCall& c = r.as<DropoutCall>();
  const Tensor& x = r.inputs[0];
  int64_t batch = 1, features = x.numel();
  if (r.lanes > 1) {
    const LanesShape& shape = x->storage->lanes_shape();
    batch = shape.batch;
    features = shape.channels * shape.spatial;
  }
  dispatch_floating("dropout", x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(r.queue).dropout(r.queue, batch, features, r.lanes, c.p, c.key.seed, c.key.calls, r.in<T>(0), r.out<T>(0));
  });
}
void gradient(const Backward& call, Grads& grads);
constexpr OpDef kDropout{.name = "dropout",
                         .attributes = attributes_of<DropoutCall>,
                         .places = {Place::call},
                         .lanes = lanes,
                         .infer = infer_in_layout,
                         .run = run,
                         .gradient = gradient};
void gradient(const Backward& call, Grads& grads) { grads[0] = emit_one(kDropout, call.as<DropoutCall>(), {call.grad()}); }

void run_scale(const Run& r) {
  const Tensor& x = r.inputs[0];
  ChannelShape s{x.size(0), x.size(1), 1, r.lanes};
  for (int i = 2; i < x.ndim(); ++i) s.spatial *= x.size(i);
  dispatch_floating("feature_dropout", x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(r.queue).scale_channels(r.queue, s, r.in<T>(0), r.in<T>(1), r.out<T>(0));
  });
}
uint64_t saves_scale(const Call&, uint64_t) { return input_bit(1); }
void gradient_scale(const Backward& call, Grads& grads);
constexpr OpDef kScale{.name = "feature_dropout",
                       .places = {Place::call, Place::row_major},
                       .lanes = lanes,
                       .infer = infer_in_layout,
                       .run = run_scale,
                       .gradient = gradient_scale,
                       .saves = saves_scale};
void gradient_scale(const Backward& call, Grads& grads) {
  grads[0] = emit_one(kScale, NoAttributes{}, {call.grad(), call.input(1)});
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
  const Tensor ones = Tensor::full({input.size(0), input.size(1)}, 1, input.options());
  const Tensor scales = emit_one(kDropout, DropoutCall{p, next_random_call()}, {ones});
  return emit_one(kScale, NoAttributes{}, {input, scales});
}

Tensor dropout(const Tensor& input, double p, bool training) {
  check_probability("dropout", p);
  if (!training || p == 0) return input;
  return emit_one(kDropout, DropoutCall{p, next_random_call()}, {input});
}

}  // namespace cnnx
