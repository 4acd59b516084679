// Dropout. The backward pass draws the forward pass's mask again instead of keeping it.
#include "cnnx/autograd.h"
#include "cnnx/ops/loss.h"
#include "cnnx/random.h"
#include "core/floats.h"
#include "core/node.h"

namespace cnnx {
namespace {

// Inputs of both: values, and for whole channels their scales (batch, channels). The gradient is the op itself, with the same
// key.
struct DropoutCall {
  double p;
  RandomState key;
};
CNNX_FIELDS(DropoutCall, p, key)

void run(const Run& r) {
  const DropoutCall& c = r.as<DropoutCall>();
  const Tensor& x = r.inputs[0];
  int64_t batch = 1, features = x.numel();
  if (r.lanes > 1) {
    const LanesShape& shape = x->storage->lanes_shape();
    batch = shape.batch;
    features = shape.channels * shape.spatial;
  }
  on_floats(r, [&](const auto& f) {
    f.kernels.dropout(r.queue, batch, features, r.lanes, c.p, c.key.seed, c.key.calls, f.in(0), f.out(0));
  });
}
constexpr OpDef kDropout = op<DropoutCall>("dropout", infer_in_layout, run)
                               .reads({Place::call})
                               .lanes_if(lanes_of_first)
                               .with_gradient(gradient_by_itself)
                               .with_key(key_at<DropoutCall, &DropoutCall::key>);

void run_scale(const Run& r) {
  const Tensor& x = r.inputs[0];
  ChannelShape s{x.size(0), x.size(1), 1, r.lanes};
  for (int i = 2; i < x.ndim(); ++i) s.spatial *= x.size(i);
  on_floats(r, [&](const auto& f) { f.kernels.scale_channels(r.queue, s, f.in(0), f.in(1), f.out(0)); });
}
void gradient_scale(const Backward& call, Grads& grads);
constexpr OpDef kScale = op("feature_dropout", infer_in_layout, run_scale)
                             .reads({Place::call, Place::row_major})
                             .lanes_if(lanes_of_first)
                             .with_gradient(gradient_scale, saving<input_bit(1)>);
void gradient_scale(const Backward& call, Grads& grads) {
  grads[0] = emit_one(kScale, NoAttributes{}, {call.grad(), call.input(1)});
}

void check_probability(const char* op, double p) {
  if (!(p >= 0 && p <= 1)) throw ValueError(message(op, ": p must be between 0 and 1, got ", p));
}

}  // namespace

Tensor feature_dropout(const Tensor& input, double p, bool training) {
  check_defined("feature_dropout", "input", input);
  check_probability("feature_dropout", p);
  check_floating("feature_dropout", input);
  if (input.ndim() < 2) throw ShapeError(message("feature_dropout: input must be (N, C, ...), got ", input.shape()));
  if (!training || p == 0) return input;
  // The mask of (N, C) elements, so that it depends on image and channel alone.
  const Tensor ones = Tensor::full({input.size(0), input.size(1)}, 1, input.options());
  const Tensor scales = emit_one(kDropout, DropoutCall{p, next_random_call()}, {ones});
  return emit_one(kScale, NoAttributes{}, {input, scales});
}

Tensor dropout(const Tensor& input, double p, bool training) {
  check_defined("dropout", "input", input);
  check_probability("dropout", p);
  if (!training || p == 0) return input;
  return emit_one(kDropout, DropoutCall{p, next_random_call()}, {input});
}

}  // namespace cnnx
