// Values written into a copy of a tensor.
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/view.h"
#include "onnx/indices.h"

namespace cnnx::onnx {
namespace {

// How what is there and what comes are put together.
Tensor put(const NodeRun& run, const Tensor& x, int64_t axis, const Tensor& index, const Tensor& values) {
  const std::string how = run.word("reduction", "none", {"none", "add", "mul", "max", "min"});
  if (how == "none" || how == "add") return scatter(x, axis, index, values, how == "add");
  return scatter_reduce(x, axis, index, values, how == "mul" ? "prod" : how == "max" ? "amax" : "amin");
}

void scatter_elements(NodeRun& run) {
  const Tensor &x = run.in(0), &values = run.in(2);
  if (!(run.in(1).shape() == values.shape())) run.fail(message("indices ", run.in(1).shape(), " for updates ", values.shape()));
  const int64_t axis = normalized(run, run.integer("axis", 0), x.ndim());
  run.out(put(run, x, axis, from_the_front(run.in(1), x.size(static_cast<int>(axis))), values));
}

void scatter_nd(NodeRun& run) {
  const Tensor &x = run.in(0), &values = run.in(2);
  const FlatIndex f = flat_index(run, x, 0);
  if (!(values.shape() == f.result)) run.fail(message("updates ", values.shape(), " where ", f.result, " are expected"));
  const int64_t count = f.index.numel(), each = f.data.size(1);
  const Tensor index = expand(reshape(f.index, {count, 1}), {count, each});
  run.out(reshape(put(run, f.data, 0, index, reshape(values, {count, each})), x.shape()));
}

constexpr Op kOps[] = {
    {.name = "Scatter", .run = scatter_elements, .attributes = "axis", .until = 10},
    {.name = "ScatterElements", .run = scatter_elements, .attributes = "axis reduction"},
    {.name = "ScatterND", .run = scatter_nd, .attributes = "reduction"},
};

}  // namespace

std::span<const Op> scatter_ops() { return kOps; }

}  // namespace cnnx::onnx
