// Softmax, log-softmax and logsumexp.
#include "cnnx/ops/softmax.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/reduce.h"
#include "core/floats.h"
#include "core/node.h"
#include "ops/reduced_dims.h"
#include "ops/softmax.h"

namespace cnnx {
namespace {

struct SoftmaxCall {
  bool log;
  int dim;
};
CNNX_FIELDS(SoftmaxCall, log, dim)

// Along the channels, a lanes storage is rows too.
bool lanes(const Call& call) { return call.as<SoftmaxCall>().dim == 1 && call[0].in_lanes(); }
bool lanes_of_result(const Call& call) { return call.as<SoftmaxCall>().dim == 1 && call[1].in_lanes(); }

ReduceShape rows(const Run& r) {
  const Tensor& t = r.results[0];
  if (r.lanes == 1) {
    const int dim = r.as<SoftmaxCall>().dim;
    return rows_along(t.shape(), dim, dim);
  }
  const LanesShape& shape = t->storage->lanes_shape();
  return {shape.blocks(), shape.channels, shape.spatial * r.lanes};
}

void run(const Run& r) {
  on_floats(r, [&](const auto& f) { f.kernels.softmax(r.queue, rows(r), r.as<SoftmaxCall>().log, f.in(0), f.out(0)); });
}

// Inputs: gradient of the result, the result.
void run_backward(const Run& r) {
  on_floats(r, [&](const auto& f) {
    f.kernels.softmax_backward(r.queue, rows(r), r.as<SoftmaxCall>().log, f.in(0), f.in(1), f.out(0));
  });
}

void formula_of_backward(const Call& call, Results& results) {
  const SoftmaxCall& c = call.as<SoftmaxCall>();
  const Tensor &g = call[0], &y = call[1];
  const Dims over = g.ndim() == 0 ? Dims{} : Dims{c.dim};
  if (c.log) results.push_back(sub(g, mul(exp(y), sum(g, over, true))));
  else results.push_back(mul(y, sub(g, sum(mul(g, y), over, true))));
}
constexpr OpDef kBackward = op<SoftmaxCall>("softmax_backward", infer_in_layout, run_backward)
                                .reads({Place::call})
                                .lanes_if(lanes_of_result)
                                .with_gradient(gradient_of<formula_of_backward>, saves_inputs);

void gradient(const Backward& call, Grads& grads) {
  grads[0] = emit_one(kBackward, call.as<SoftmaxCall>(), {call.grad(), call.result()});
}

constexpr OpDef softmax_op(const char* name) {
  return op<SoftmaxCall>(name, infer_in_layout, run)
      .reads({Place::call})
      .lanes_if(lanes)
      .with_gradient(gradient, saving<result_bit(0)>);
}
constexpr OpDef kSoftmax = softmax_op("softmax"), kLogSoftmax = softmax_op("log_softmax");

Tensor softmax_along(const OpDef& op, bool log, const Tensor& input, int64_t dim) {
  return emit_one(op, SoftmaxCall{log, normalize_dim(op.name, dim, input)}, {input});
}

}  // namespace

Tensor log_softmax_backward(const Tensor& grad_output, const Tensor& result, int dim) {
  return emit_one(kBackward, SoftmaxCall{true, dim}, {grad_output, result});
}

Tensor softmax(const Tensor& input, int64_t dim) { return softmax_along(kSoftmax, false, input, dim); }
Tensor log_softmax(const Tensor& input, int64_t dim) { return softmax_along(kLogSoftmax, true, input, dim); }

namespace {

// Over dimensions [first, last], the last ones.
struct LogsumexpCall {
  int first, last;
};
CNNX_FIELDS(LogsumexpCall, first, last)
void infer_logsumexp(const Call& call, ResultSpecs& results) {
  Dims shape = call[0].shape();
  for (int i = call.as<LogsumexpCall>().first; i < shape.size(); ++i) shape[i] = 1;
  results.push_back({shape, call[0].dtype()});
}
void run_logsumexp(const Run& r) {
  const LogsumexpCall& c = r.as<LogsumexpCall>();
  on_floats(r, [&](const auto& f) {
    f.kernels.logsumexp(r.queue, rows_along(r.inputs[0].shape(), c.first, c.last), f.in(0), f.out(0));
  });
}
constexpr OpDef kLogsumexp =
    op<LogsumexpCall>("logsumexp", infer_logsumexp, run_logsumexp)
        .with_gradient(
            [](const Backward& call, Grads& grads) { grads[0] = mul(exp(sub(call.input(0), call.result())), call.grad()); },
            saving<input_bit(0) | result_bit(0)>);

}  // namespace

Tensor logsumexp(const Tensor& input, const Dims& over, bool keepdim) {
  check_defined("logsumexp", "input", input);
  const ReducedDims dims("logsumexp", input, over);
  check_floating("logsumexp", input);
  const Neighbours x = neighbours(input, dims, true);
  return result_with_shape(emit_one(kLogsumexp, LogsumexpCall{x.first, x.last}, {x.tensor}), dims.result_shape(keepdim));
}

}  // namespace cnnx
