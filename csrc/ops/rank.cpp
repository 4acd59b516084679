// Sorting, and picking elements by their rank.
#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/node.h"
#include "kernels/dispatch.h"
#include "ops/reduced_dims.h"
#include "ops/take.h"

namespace cnnx {
namespace {

// The places of elements of rows (..., n) by their rank: see RankShape.
struct RankCall {
  int64_t first, count;
  bool descending, nan_wins;
};
CNNX_FIELDS(RankCall, first, count, descending, nan_wins)
void infer_rank(const Call& call, ResultSpecs& results) {
  Dims shape = call[0].shape();
  shape[shape.size() - 1] = call.as<RankCall>().count;
  results.push_back({shape, DType::int64});
}
void run_rank(const Run& r) {
  const Tensor& x = r.inputs[0];
  const RankCall& c = r.as<RankCall>();
  if (r.results[0].numel() == 0) return;
  elements(r.queue).rank(r.queue, x.dtype(), {x.numel() / x.size(-1), x.size(-1), c.first, c.count, c.descending, c.nan_wins},
                         r.input_data[0], r.out<int64_t>(0));
}
constexpr OpDef kArgsort = op<RankCall>("argsort", infer_rank, run_rank),
                kSelect = op<RankCall>("select_ranks", infer_rank, run_rank);

int64_t extent_along(const Tensor& t, int dim) { return t.ndim() == 0 ? 1 : t.shape()[dim]; }

// The places along a dimension.
Tensor ranked(const OpDef& op, const Tensor& input, int dim, const RankCall& call) {
  const NoGrad guard;
  if (dim == input.ndim() - 1) return emit_one(op, call, {input});
  const Tensor order = contiguous(transpose(emit_one(op, call, {transpose(input, dim, -1)}), dim, -1));
  order->is_view = false;
  return order;
}

// Elements and their places along a dimension; of a single number itself.
std::pair<Tensor, Tensor> values_at_ranks(TakeName name, const OpDef& op, const Tensor& input, int dim, const RankCall& call) {
  if (input.ndim() == 0) return {clone(input), Tensor::zeros({}, input.options(DType::int64))};
  const Tensor order = ranked(op, input, dim, call);
  return {take_along(name, input, dim, order), order};
}

// The one of a rank, with the dimension kept or not.
std::pair<Tensor, Tensor> value_at_rank(TakeName name, const Tensor& input, int dim, int64_t rank, bool keepdim) {
  auto [value, place] = values_at_ranks(name, kSelect, input, dim, {rank, 1, false, name == TakeName::median});
  if (keepdim || input.ndim() == 0) return {value, place};
  Dims shape = value.shape();
  shape.erase(dim);
  return {result_with_shape(value, shape), result_with_shape(place, shape)};
}

}  // namespace

std::pair<Tensor, Tensor> sort(const Tensor& input, int64_t dim, bool descending) {
  const int d = normalize_dim("sort", dim, input);
  return values_at_ranks(TakeName::sort, kArgsort, input, d, {0, extent_along(input, d), descending, false});
}

std::pair<Tensor, Tensor> topk(const Tensor& input, int64_t k, int64_t dim, bool largest) {
  const int d = normalize_dim("topk", dim, input);
  if (k < 0 || k > extent_along(input, d))
    throw ShapeError(message("topk: k ", k, " is out of range for dimension ", d, " of shape ", input.shape()));
  return values_at_ranks(TakeName::topk, kSelect, input, d, {0, k, largest, false});
}

std::pair<Tensor, Tensor> kthvalue(const Tensor& input, int64_t k, int64_t dim, bool keepdim) {
  const int d = normalize_dim("kthvalue", dim, input);
  if (k < 1 || k > extent_along(input, d))
    throw ShapeError(message("kthvalue: k ", k, " is out of range for dimension ", d, " of shape ", input.shape()));
  return value_at_rank(TakeName::kthvalue, input, d, k - 1, keepdim);
}

std::pair<Tensor, Tensor> median(const Tensor& input, int64_t dim, bool keepdim) {
  const int d = normalize_dim("median", dim, input);
  const int64_t extent = extent_along(input, d);
  if (extent == 0) throw ShapeError(message("median: there is none of no elements, shape ", input.shape(), ", dim ", d));
  return value_at_rank(TakeName::median, input, d, (extent - 1) / 2, keepdim);
}

Tensor median(const Tensor& input) {
  check_defined("median", "input", input);
  Tensor value;
  {
    const NoGrad guard;
    value = median(reshape(input, {input.numel()}), 0, false).first;
  }
  return pick_median(input, value);
}

}  // namespace cnnx
