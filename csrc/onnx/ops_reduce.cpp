// Reductions, running sums, and what searches and sorts.
#include <cmath>
#include <limits>

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/join.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/softmax.h"
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

using Reduce = Tensor (*)(const Tensor& x, const Dims& axes, bool keepdim);

Tensor sum_of(const Tensor& x, const Dims& axes, bool keepdim) { return sum(x, axes, keepdim, x.dtype()); }
// Of integers without the fraction.
Tensor mean_of(const Tensor& x, const Dims& axes, bool keepdim) {
  if (is_floating_point(x.dtype())) return mean(x, axes, keepdim);
  int64_t count = 1;
  for (int64_t axis : axes) count *= x.size(static_cast<int>(axis));
  return to(div(sum(x, axes, keepdim), count, "trunc"), x.dtype());
}
Tensor prod_of(const Tensor& x, const Dims& axes, bool keepdim) {
  Tensor result = x;
  // One by one: the library's takes neighbours.
  for (int i = axes.size() - 1; i >= 0; --i) result = prod(result, {axes[i]}, keepdim, x.dtype());
  return result;
}
Tensor l1(const Tensor& x, const Dims& axes, bool keepdim) { return sum_of(abs(x), axes, keepdim); }
Tensor l2(const Tensor& x, const Dims& axes, bool keepdim) {
  if (is_floating_point(x.dtype())) return norm(x, 2, axes, keepdim);
  return to(norm(to(x, DType::float64), 2, axes, keepdim), x.dtype());
}
Tensor log_sum(const Tensor& x, const Dims& axes, bool keepdim) { return to(log(sum_of(x, axes, keepdim)), x.dtype()); }
Tensor log_sum_exp(const Tensor& x, const Dims& axes, bool keepdim) {
  return is_floating_point(x.dtype()) ? logsumexp(x, axes, keepdim)
                                      : to(logsumexp(to(x, DType::float64), axes, keepdim), x.dtype());
}
Tensor sum_square(const Tensor& x, const Dims& axes, bool keepdim) { return sum_of(square(x), axes, keepdim); }

// What the extreme of nothing is: the other end of the dtype.
template <bool largest>
Tensor extreme(const Tensor& x, const Dims& axes, bool keepdim) {
  bool is_empty = false;
  for (int64_t axis : axes) is_empty = is_empty || x.size(static_cast<int>(axis)) == 0;
  if (!is_empty) return largest ? amax(x, axes, keepdim) : amin(x, axes, keepdim);
  return dispatch(x.dtype(), [&]<class T>(T) {
    using Limits = std::numeric_limits<T>;
    const T end = Limits::has_infinity ? (largest ? -Limits::infinity() : Limits::infinity())
                                       : (largest ? Limits::lowest() : Limits::max());
    const Tensor shaped = sum(to(x, DType::float32), axes, keepdim);
    return Tensor::full(shaped.shape(), static_cast<double>(end), x.options());
  });
}

template <Reduce function>
void reduce(NodeRun& run) {
  const Tensor& x = run.in(0);
  const auto given = axes_of(run, 1, x.ndim());
  Dims axes;
  if (given) axes = Dims(given->begin(), given->end());
  if (axes.empty()) {
    if (run.flag("noop_with_empty_axes")) {
      // Nothing is put together, but each element is still squared, or its logarithm taken.
      return run.out(squeeze(function(unsqueeze(x, 0), {0}, true), {0}));
    }
    for (int i = 0; i < x.ndim(); ++i) axes.push_back(i);
  }
  if (axes.empty()) return run.out(reshape(function(reshape(x, {1}), {0}, true), Dims{}));
  run.out(function(x, axes, run.flag("keepdims", true)));
}

template <bool largest>
void arg_extreme(NodeRun& run) {
  const Tensor& x = run.in(0);
  const int64_t axis = normalized(run, run.integer("axis", 0), x.ndim());
  const bool keepdims = run.flag("keepdims", true), last = run.flag("select_last_index");
  const Tensor from = last ? flip(x, {axis}) : x;
  const Tensor found = largest ? argmax(from, axis, keepdims) : argmin(from, axis, keepdims);
  run.out(last ? sub(x.size(static_cast<int>(axis)) - 1, found) : found);
}

using Scan = Tensor (*)(const Tensor& input, int64_t dim, std::optional<DType> dtype);

// exclusive: without the element itself; reverse: from the end.
template <Scan function, int first>
void scan(NodeRun& run) {
  Tensor x = run.in(0);
  const int64_t axis = normalized(run, run.whole(1), x.ndim());
  const bool reverse = run.flag("reverse");
  if (reverse) x = flip(x, {axis});
  Tensor y = function(x, axis, x.dtype());
  const int64_t n = x.size(static_cast<int>(axis));
  if (run.flag("exclusive") && n > 0) {
    Dims shape = x.shape();
    shape[static_cast<int>(axis)] = 1;
    std::vector<Tensor> parts = {Tensor::full(shape, first, x.options()), narrow(y, axis, 0, n - 1)};
    y = cat(parts, axis);
  }
  run.out(reverse ? flip(y, {axis}) : y);
}

void top_k(NodeRun& run) {
  const Tensor& x = run.in(0);
  const int64_t axis = normalized(run, run.integer("axis", -1), x.ndim());
  const int64_t k = run.opset < 10 ? run.integer("k") : run.whole(1);
  if (k < 0 || k > x.size(static_cast<int>(axis))) run.fail(message("k is ", k, " for an input of shape ", x.shape()));
  auto [values, places] = topk(x, k, axis, run.flag("largest", true));
  run.out(0, values);
  run.out(1, places);
}

void nonzero_node(NodeRun& run) { run.out(transpose(nonzero(run.in(0)), 0, 1)); }

constexpr const char* kAttributes = "axes keepdims noop_with_empty_axes";
constexpr Op kOps[] = {
    {.name = "ReduceSum", .run = reduce<sum_of>, .attributes = kAttributes},
    {.name = "ReduceMean", .run = reduce<mean_of>, .attributes = kAttributes},
    {.name = "ReduceProd", .run = reduce<prod_of>, .attributes = kAttributes},
    {.name = "ReduceMax", .run = reduce<extreme<true>>, .attributes = kAttributes},
    {.name = "ReduceMin", .run = reduce<extreme<false>>, .attributes = kAttributes},
    {.name = "ReduceL1", .run = reduce<l1>, .attributes = kAttributes},
    {.name = "ReduceL2", .run = reduce<l2>, .attributes = kAttributes},
    {.name = "ReduceLogSum", .run = reduce<log_sum>, .attributes = kAttributes},
    {.name = "ReduceLogSumExp", .run = reduce<log_sum_exp>, .attributes = kAttributes},
    {.name = "ReduceSumSquare", .run = reduce<sum_square>, .attributes = kAttributes},
    {.name = "ArgMax", .run = arg_extreme<true>, .attributes = "axis keepdims select_last_index"},
    {.name = "ArgMin", .run = arg_extreme<false>, .attributes = "axis keepdims select_last_index"},
    {.name = "CumSum", .run = scan<cumsum, 0>, .attributes = "exclusive reverse"},
    {.name = "CumProd", .run = scan<cumprod, 1>, .attributes = "exclusive reverse"},
    {.name = "TopK", .run = top_k, .attributes = "axis k largest sorted"},
    {.name = "NonZero", .run = nonzero_node},
};

}  // namespace

std::span<const Op> reduce_ops() { return kOps; }

}  // namespace cnnx::onnx
