// Running sums, products and extremes along a dimension.
#include <algorithm>

#include "cnnx/autograd.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/join.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/node.h"
#include "kernels/dispatch.h"
#include "ops/reduced_dims.h"
#include "ops/take.h"

namespace cnnx {
namespace {

// From the front or from the back, along `dim`.
struct ScanCall {
  int dim;
  bool from_back;
};
CNNX_FIELDS(ScanCall, dim, from_back)

void run_cumsum(const Run& r) {
  const ScanCall& c = r.as<ScanCall>();
  const Tensor& x = r.inputs[0];
  elements(r.queue).cumsum(r.queue, x.dtype(), rows_along(x.shape(), c.dim, c.dim), c.from_back, r.input_data[0],
                           r.result_data[0]);
}
void gradient_cumsum(const Backward& call, Grads& grads) {
  const ScanCall& c = call.as<ScanCall>();
  grads[0] = emit_one(call.op(), ScanCall{c.dim, !c.from_back}, {call.grad()});
}
constexpr OpDef kCumsum = op<ScanCall>("cumsum", infer_like_input, run_cumsum).with_gradient(gradient_cumsum);

// The entries one place further along the scan's direction, or `back`; `first` where there is none.
Tensor shifted(const Tensor& x, const ScanCall& c, bool back, double first) {
  const int64_t count = x.size(c.dim);
  if (count == 0) return x;
  Dims shape = x.shape();
  shape[c.dim] = 1;
  const Tensor edge = Tensor::full(shape, first, x.options());
  const bool drops_front = back != c.from_back;
  const Tensor rest = narrow(x, c.dim, drops_front ? 1 : 0, count - 1);
  return drops_front ? cat({rest, edge}, c.dim) : cat({edge, rest}, c.dim);
}

// y[k] = a[k] y[k - 1] + b[k] (or, without b, the products of a). Inputs: a, b. Its gradient is such a recurrence the other way:
// what reaches b[k] is t[k] = g[k] + a[k + 1] t[k + 1], and a[k] gets t[k] y[k - 1]. So it needs no division, zeros or not.
void run_linear_scan(const Run& r) {
  const ScanCall& c = r.as<ScanCall>();
  const Tensor& a = r.inputs[0];
  elements(r.queue).linear_scan(r.queue, a.dtype(), rows_along(a.shape(), c.dim, c.dim), c.from_back, r.input_data[0],
                                r.in<void>(1), r.result_data[0]);
}
void gradient_linear_scan(const Backward& call, Grads& grads);
constexpr OpDef linear_scan_op(const char* name) {
  return op<ScanCall>(name, infer_like_input, run_linear_scan)
      .with_gradient(gradient_linear_scan, saving<input_bit(0) | result_bit(0)>);
}
constexpr OpDef kCumprod = linear_scan_op("cumprod"), kLinearScan = linear_scan_op("linear_scan");
void gradient_linear_scan(const Backward& call, Grads& grads) {
  const ScanCall& c = call.as<ScanCall>();
  const bool product = call.node().edges.size() < 2;
  const Tensor through = emit_one(kLinearScan, ScanCall{c.dim, !c.from_back}, {shifted(call.input(0), c, true, 0), call.grad()});
  if (call.needs(0)) grads[0] = mul(through, shifted(call.result(), c, false, product ? 1 : 0));
  if (!product && call.needs(1)) grads[1] = through;
}

// Results: the extremes, their places.
struct ExtremeScanCall {
  int dim;
  bool max;
};
CNNX_FIELDS(ExtremeScanCall, dim, max)
void infer_extreme_scan(const Call& call, ResultSpecs& results) {
  results.push_back({call[0].shape(), call[0].dtype()});
  results.push_back({call[0].shape(), DType::int64});
}
void run_extreme_scan(const Run& r) {
  const ExtremeScanCall& c = r.as<ExtremeScanCall>();
  const Tensor& x = r.inputs[0];
  elements(r.queue).extreme_scan(r.queue, x.dtype(), rows_along(x.shape(), c.dim, c.dim), c.max, r.input_data[0],
                                 r.result_data[0], r.out<int64_t>(1));
}
constexpr OpDef kExtremeScan = op<ExtremeScanCall>("extreme_scan", infer_extreme_scan, run_extreme_scan);

std::pair<Tensor, Tensor> cumulative_extreme(const char* name, TakeName take, bool max, const Tensor& input, int64_t over) {
  const int dim = normalize_dim(name, over, input);
  if (input.ndim() == 0) return {clone(input), Tensor::zeros({}, input.options(DType::int64))};
  if (!input.requires_grad() || !grad_enabled()) {
    auto results = emit(kExtremeScan, ExtremeScanCall{dim, max}, {input});
    return {std::move(results[0]), std::move(results[1])};
  }
  Tensor places;
  {
    const NoGrad guard;
    places = std::move(emit(kExtremeScan, ExtremeScanCall{dim, max}, {input})[1]);
  }
  return {take_along(take, input, dim, places), places};
}

DType type_of_sum(const Tensor& input, std::optional<DType> dtype) {
  return dtype.value_or(is_floating_point(input.dtype()) ? input.dtype() : DType::int64);
}

}  // namespace

Tensor cumsum(const Tensor& input, int64_t over, std::optional<DType> dtype) {
  const int dim = normalize_dim("cumsum", over, input);
  return emit_one(kCumsum, ScanCall{dim, false}, {to(input, type_of_sum(input, dtype))});
}

Tensor cumprod(const Tensor& input, int64_t over, std::optional<DType> dtype) {
  const int dim = normalize_dim("cumprod", over, input);
  const Tensor x = to(input, type_of_sum(input, dtype));
  return input.ndim() == 0 ? clone(x) : emit_one(kCumprod, ScanCall{dim, false}, {x});
}

Tensor linear_scan(const Tensor& a, const Tensor& b, int64_t over) {
  check_defined("linear_scan", "a", a);
  check_defined("linear_scan", "b", b);
  check_same_device("linear_scan", a, b);
  if (!(a.shape() == b.shape())) throw ShapeError(message("linear_scan: shapes ", a.shape(), " and ", b.shape(), " differ"));
  if (a.dtype() != b.dtype())
    throw TypeError(message("linear_scan: dtypes ", name(a.dtype()), " and ", name(b.dtype()), " differ"));
  const int dim = normalize_dim("linear_scan", over, a.ndim());
  return a.ndim() == 0 ? clone(b) : emit_one(kLinearScan, ScanCall{dim, false}, {a, b});
}

std::pair<Tensor, Tensor> cummax(const Tensor& input, int64_t dim) {
  return cumulative_extreme("cummax", TakeName::cummax, true, input, dim);
}
std::pair<Tensor, Tensor> cummin(const Tensor& input, int64_t dim) {
  return cumulative_extreme("cummin", TakeName::cummin, false, input, dim);
}

}  // namespace cnnx
