// Sums, means, products and extremes.
#include "cnnx/ops/reduce.h"

#include <cmath>
#include <limits>

#include "cnnx/autograd.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/floats.h"
#include "core/node.h"
#include "kernels/dispatch.h"
#include "ops/reduced_dims.h"
#include "ops/take.h"

namespace cnnx {
namespace {

// Dimensions [first, last], which become 1, or go.
struct ReduceCall {
  ReduceOp op;
  int first, last;
  bool keepdim;
};
CNNX_FIELDS(ReduceCall, op, first, last, keepdim)

// In lanes, all spatial dimensions of an image can be reduced; the result is in lanes too.
bool lanes(const Call& call) {
  const ReduceCall& c = call.as<ReduceCall>();
  return call[0].in_lanes() && c.keepdim && c.first == 2 && c.last == call[0].ndim() - 1;
}

void infer(const Call& call, ResultSpecs& results) {
  const ReduceCall& c = call.as<ReduceCall>();
  Dims shape;
  for (int i = 0; i < call[0].ndim(); ++i) {
    if (i < c.first || i > c.last) shape.push_back(call[0].shape()[i]);
    else if (c.keepdim) shape.push_back(1);
  }
  results.push_back({shape, call[0].dtype(), Place::call});
}

void run(const Run& r) {
  const ReduceCall& c = r.as<ReduceCall>();
  const Tensor& x = r.inputs[0];
  ReduceShape s = rows_along(x.shape(), c.first, c.last);
  if (r.lanes > 1) {
    const LanesShape& shape = x->storage->lanes_shape();
    s = {shape.blocks() * shape.channels, shape.spatial, r.lanes};
  }
  if (!is_floating_point(x.dtype()))
    return elements(r.queue).integer_reduce(r.queue, c.op, x.dtype(), s, r.input_data[0], r.result_data[0]);
  on_floats(r, [&](const auto& f) { f.kernels.reduce(r.queue, c.op, s, f.in(0), f.out(0)); });
}

// The shape of the input with 1 for what the call reduced.
Dims kept_shape(const Backward& call) {
  const ReduceCall& c = call.as<ReduceCall>();
  Dims kept = call.shape(0);
  for (int i = c.first; i <= c.last; ++i) kept[i] = 1;
  return kept;
}
int64_t count_of(const Backward& call) {
  const ReduceCall& c = call.as<ReduceCall>();
  return rows_along(call.shape(0), c.first, c.last).reduce;
}

void gradient_sum(const Backward& call, Grads& grads) {
  const Tensor share =
      call.as<ReduceCall>().op == ReduceOp::mean ? mul(call.grad(), 1.0 / static_cast<double>(count_of(call))) : call.grad();
  grads[0] = expand(reshape(share, kept_shape(call)), call.shape(0));
}

// The gradient of a product: g times the product of the other elements of its row. Inputs: rows (outer, reduce), g (outer).
void run_others(const Run& r) {
  const Tensor& rows = r.inputs[0];
  elements(r.queue).products_of_others(r.queue, rows.dtype(), rows.size(0), rows.size(1), r.input_data[0], r.input_data[1],
                                       r.result_data[0]);
}
// The same as a product over all elements but one, for each of them: quadratic, but exact with zeros as well.
void formula_of_others(const Call& call, Results& results) {
  const int64_t rows = call[0].size(0), n = call[0].size(1);
  const Tensor self = cast(eye(n, n, {.dtype = DType::int32, .device = call[0].device()}), DType::boolean);
  const Tensor others = where(self, 1.0, expand(unsqueeze(call[0], 1), {rows, n, n}));
  results.push_back(mul(prod(others, {2}), unsqueeze(call[1], 1)));
}
constexpr OpDef kOthers =
    op("prod_backward", infer_like_input, run_others).with_gradient(gradient_of<formula_of_others>, saves_inputs);

void gradient_prod(const Backward& call, Grads& grads) {
  const ReduceCall& c = call.as<ReduceCall>();
  const ReduceShape s = rows_along(call.shape(0), c.first, c.last);
  const Tensor rows =
      reshape(transpose(reshape(call.input(0), {s.outer, s.reduce, s.inner}), 1, 2), {s.outer * s.inner, s.reduce});
  const Tensor grad = emit_one(kOthers, NoAttributes{}, {rows, reshape(call.grad(), {s.outer * s.inner})});
  grads[0] = reshape(transpose(reshape(grad, {s.outer, s.inner, s.reduce}), 1, 2), call.shape(0));
}

constexpr OpDef reduce_op(const char* name, void (*gradient)(const Backward&, Grads&),
                          uint64_t (*saves)(const Call&, uint64_t) = nullptr) {
  return op<ReduceCall>(name, infer, run).reads({Place::call}).lanes_if(lanes).with_gradient(gradient, saves);
}
// By ReduceOp. The extremes are never recorded as such: see pick().
constexpr OpDef kReduce[] = {reduce_op("sum", gradient_sum), reduce_op("mean", gradient_sum),
                             reduce_op("prod", gradient_prod, saves_inputs), reduce_op("amax", nullptr),
                             reduce_op("amin", nullptr)};

// Neighbouring dimensions are reduced together, the last ones first.
Tensor reduce(ReduceOp op, const Tensor& input, const ReducedDims& dims, bool keepdim) {
  const OpDef& def = kReduce[static_cast<int>(op)];
  Tensor x = input;
  int left = 0;
  for (int i = 0; i < input.ndim(); ++i) left += dims.covers(i);
  if (left == 0) return emit_one(def, ReduceCall{op, 0, -1, true}, {x});
  for (int dim = input.ndim() - 1; left > 0; --dim) {
    if (!dims.covers(dim)) continue;
    int first = dim, covered = 1;
    // Between and before them may be dimensions of extent 1, if they stay.
    while (first > 0 && (dims.covers(first - 1) || (keepdim && x.size(first - 1) == 1))) covered += dims.covers(--first);
    const bool in_lanes = x.in_lanes() && first == 2 && dim == x.ndim() - 1;
    left -= covered;
    x = emit_one(def, ReduceCall{op, first, dim, keepdim || in_lanes}, {x});
    if (in_lanes && !keepdim) {
      Dims shape(x.shape().begin(), x.shape().begin() + first);
      x = result_with_shape(x, shape);
    }
    dim = first;
  }
  return x;
}

// `kept` holds one of the elements that went into each result: those that are equal to it, or NaN like it, share the gradient.
struct PickCall {
  Dims result_shape;
};
CNNX_FIELDS(PickCall, result_shape)
void gradient_pick(const Backward& call, Grads& grads) {
  const Tensor value = call.input(0), found = call.input(1).detach();
  const Tensor hit = cast(logical_or(eq(value, found), logical_and(isnan(value), isnan(found))), value.dtype());
  Dims over;
  for (int i = 0; i < value.ndim(); ++i)
    if (found.size(i) != value.size(i)) over.push_back(i);
  const Tensor count = over.empty() ? hit : sum(hit, over, true);
  grads[0] = mul(hit, div(reshape(call.grad(), found.shape()), count));
}
constexpr OpDef pick_op(const char* name) {
  return view_op<PickCall>(name,
                           [](const Call& call) {
                             const Dims& shape = call.as<PickCall>().result_shape;
                             const Tensor whole = contiguous(call[1]);
                             Tensor result = whole.as_strided(shape, contiguous_strides(shape), whole->offset);
                             result->is_view = false;  // fresh, and nobody's view
                             return result;
                           })
      .with_gradient(gradient_pick, saves_inputs);
}
constexpr OpDef kAmax = pick_op("amax"), kAmin = pick_op("amin"), kMedian = pick_op("median");

Tensor picked(const OpDef& op, const Tensor& input, const Tensor& kept, const Dims& result_shape) {
  return emit_one(op, PickCall{result_shape}, {input, kept});
}

Tensor extreme(const OpDef& def, ReduceOp op, const Tensor& input, const Dims& over, bool keepdim) {
  const ReducedDims dims(def.name, input, over);
  if (dims.count() == 0 && dims.kept_shape().numel() > 0)
    throw ShapeError(message(def.name, ": cannot take the extreme of no elements, shape ", input.shape()));
  Tensor kept;
  {
    const NoGrad guard;
    kept = reduce(op, input, dims, true);
  }
  return picked(def, input, kept, dims.result_shape(keepdim));
}

// The index of the first extreme along a dimension.
struct ArgCall {
  ReduceOp op;
  int dim;
};
CNNX_FIELDS(ArgCall, op, dim)
void infer_arg(const Call& call, ResultSpecs& results) {
  Dims shape = call[0].shape();
  if (!shape.empty()) shape[call.as<ArgCall>().dim] = 1;
  results.push_back({shape, DType::int64});
}
void run_arg(const Run& r) {
  const ArgCall& c = r.as<ArgCall>();
  const Tensor& x = r.inputs[0];
  const ReduceShape s = rows_along(x.shape(), c.dim, c.dim);
  dispatch(x.dtype(), [&]<class T>(T) {
    if constexpr (std::is_floating_point_v<T>) kernels<T>(r.queue).arg_reduce(r.queue, c.op, s, r.in<T>(0), r.out<int64_t>(0));
    else elements(r.queue).integer_arg_reduce(r.queue, c.op, x.dtype(), s, r.input_data[0], r.out<int64_t>(0));
  });
}
constexpr OpDef arg_op(const char* name) { return op<ArgCall>(name, infer_arg, run_arg); }
constexpr OpDef kArgmax = arg_op("argmax"), kArgmin = arg_op("argmin");

// With the dimension kept as 1.
Tensor arg_extreme(const char* name, ReduceOp op, const Tensor& x, int dim) {
  const ReduceShape s = rows_along(x.shape(), dim, dim);
  if (s.reduce == 0 && s.outer * s.inner > 0)
    throw ShapeError(message(name, ": cannot take the extreme of no elements, shape ", x.shape(), ", dim ", dim));
  return emit_one(op == ReduceOp::max ? kArgmax : kArgmin, ArgCall{op, dim}, {x});
}

Tensor without(const Tensor& t, int dim, bool keepdim) {
  if (keepdim || t.ndim() == 0) return t;
  Dims shape = t.shape();
  shape.erase(dim);
  return result_with_shape(t, shape);
}

std::pair<Tensor, Tensor> extreme_along(const char* name, ReduceOp op, const Tensor& input, int64_t over, bool keepdim) {
  const int dim = normalize_dim(name, over, input);
  const Tensor index = arg_extreme(name, op, input, dim);
  return {without(take_along(op == ReduceOp::max ? TakeName::max : TakeName::min, input, dim, index), dim, keepdim),
          without(index, dim, keepdim)};
}

Tensor arg_extreme_of(const char* name, ReduceOp op, const Tensor& input, std::optional<int64_t> over, bool keepdim) {
  if (over) {
    const int dim = normalize_dim(name, *over, input);
    return without(arg_extreme(name, op, input, dim), dim, keepdim);
  }
  const NoGrad guard;
  const Tensor index = arg_extreme(name, op, reshape(input, {input.numel()}), 0);
  return result_with_shape(index, keepdim ? Dims::filled(input.ndim(), 1) : Dims{});
}

Tensor truth(const Tensor& t) { return to(t, DType::boolean); }

DType sum_type(const Tensor& input, std::optional<DType> dtype) {
  return dtype.value_or(is_floating_point(input.dtype()) ? input.dtype() : DType::int64);
}

}  // namespace

Tensor sum_to(const Tensor& gradient, const Dims& shape) {
  check_defined("sum_to", "gradient", gradient);
  if (gradient.shape() == shape) return gradient;
  const int extra = gradient.ndim() - shape.size();
  Dims over;
  for (int i = 0; i < gradient.ndim(); ++i)
    if (i < extra || (shape[i - extra] == 1 && gradient.size(i) != 1)) over.push_back(i);
  return reshape(over.empty() ? gradient : reduce(ReduceOp::sum, gradient, ReducedDims("sum_to", gradient, over), true), shape);
}

Tensor sum(const Tensor& input, const Dims& over, bool keepdim, std::optional<DType> dtype) {
  check_defined("sum", "input", input);
  return reduce(ReduceOp::sum, to(input, sum_type(input, dtype)), ReducedDims("sum", input, over), keepdim);
}

Tensor mean(const Tensor& input, const Dims& over, bool keepdim, std::optional<DType> dtype) {
  check_defined("mean", "input", input);
  const DType type = dtype.value_or(input.dtype());
  if (!is_floating_point(type))
    throw TypeError(message("mean: needs a floating-point tensor, got ", name(type), "; convert it or pass dtype"));
  return reduce(ReduceOp::mean, to(input, type), ReducedDims("mean", input, over), keepdim);
}

Tensor prod(const Tensor& input, const Dims& over, bool keepdim, std::optional<DType> dtype) {
  check_defined("prod", "input", input);
  return reduce(ReduceOp::prod, to(input, sum_type(input, dtype)), ReducedDims("prod", input, over), keepdim);
}

Tensor amax(const Tensor& input, const Dims& dims, bool keepdim) { return extreme(kAmax, ReduceOp::max, input, dims, keepdim); }
Tensor amin(const Tensor& input, const Dims& dims, bool keepdim) { return extreme(kAmin, ReduceOp::min, input, dims, keepdim); }

std::pair<Tensor, Tensor> max(const Tensor& input, int64_t dim, bool keepdim) {
  check_defined("max", "input", input);
  return extreme_along("max", ReduceOp::max, input, dim, keepdim);
}
std::pair<Tensor, Tensor> min(const Tensor& input, int64_t dim, bool keepdim) {
  check_defined("min", "input", input);
  return extreme_along("min", ReduceOp::min, input, dim, keepdim);
}
Tensor argmax(const Tensor& input, std::optional<int64_t> dim, bool keepdim) {
  check_defined("argmax", "input", input);
  return arg_extreme_of("argmax", ReduceOp::max, input, dim, keepdim);
}
Tensor argmin(const Tensor& input, std::optional<int64_t> dim, bool keepdim) {
  check_defined("argmin", "input", input);
  return arg_extreme_of("argmin", ReduceOp::min, input, dim, keepdim);
}

Tensor pick_median(const Tensor& input, const Tensor& value) {
  return picked(kMedian, input, reshape(value.detach(), Dims::filled(input.ndim(), 1)), {});
}

Tensor any(const Tensor& input, const Dims& over, bool keepdim) {
  check_defined("any", "input", input);
  return reduce(ReduceOp::max, truth(input), ReducedDims("any", input, over), keepdim);
}
Tensor all(const Tensor& input, const Dims& over, bool keepdim) {
  check_defined("all", "input", input);
  return reduce(ReduceOp::min, truth(input), ReducedDims("all", input, over), keepdim);
}
Tensor count_nonzero(const Tensor& input, const Dims& dims) {
  check_defined("count_nonzero", "input", input);
  return sum(truth(input), dims);
}

namespace {

// Scale times the sum of the squares over dimensions [first, last], or its root. Inputs: x, and perhaps the mean, of which then
// the deviations are squared.
struct SquaresCall {
  int first, last;
  double scale;
  bool root;
};
CNNX_FIELDS(SquaresCall, first, last, scale, root)
void infer_squares(const Call& call, ResultSpecs& results) {
  const SquaresCall& c = call.as<SquaresCall>();
  Dims shape = call[0].shape();
  for (int i = c.first; i <= c.last; ++i) shape[i] = 1;
  results.push_back({shape, call[0].dtype()});
}
void run_squares(const Run& r) {
  const SquaresCall& c = r.as<SquaresCall>();
  const Tensor& x = r.inputs[0];
  on_floats(r, [&](const auto& f) {
    f.kernels.sum_squares(r.queue, rows_along(x.shape(), c.first, c.last), f.in(0), f.in(1), c.scale, c.root, f.out(0));
  });
}
uint64_t saves_squares(const Call& call, uint64_t) {
  return input_bit(0) | input_bit(1) | (call.as<SquaresCall>().root ? result_bit(0) : 0);
}
// Of var and std, whose scale is one over the divisor.
void gradient_deviations(const Backward& call, Grads& grads) {
  const SquaresCall& c = call.as<SquaresCall>();
  const Tensor x = call.input(0);
  Dims over;
  for (int i = c.first; i <= c.last; ++i) over.push_back(i);
  const Tensor middle = grad_enabled() ? mean(x, over, true) : call.input(1);  // it depends on x
  Tensor slope = call.grad();
  if (c.root) {
    const Tensor deviation = call.result();
    slope = where(eq(deviation, 0), 0.0, mul(div(slope, deviation), c.scale));
  } else {
    slope = mul(slope, 2 * c.scale);
  }
  grads[0] = mul(sub(x, middle), slope);
}
// Of a norm: the share of an element in it, 1 at most.
void gradient_length(const Backward& call, Grads& grads) {
  const Tensor length = call.result();
  const Tensor unit = where(eq(length, 0), std::numeric_limits<double>::infinity(), length);
  grads[0] = mul(div(call.input(0), unit), call.grad());
}
constexpr OpDef squares_op(const char* name, void (*gradient)(const Backward&, Grads&)) {
  return op<SquaresCall>(name, infer_squares, run_squares).with_gradient(gradient, saves_squares);
}
constexpr OpDef kVar = squares_op("var", gradient_deviations), kStd = squares_op("std", gradient_deviations),
                kNorm = squares_op("norm", gradient_length);

// Variance and standard deviation.
Tensor spread_of(const OpDef& def, const Tensor& input, const Dims& over, double correction, bool keepdim, bool root) {
  check_floating(def.name, input);
  const ReducedDims dims(def.name, input, over);
  const double divisor = std::fmax(0.0, static_cast<double>(dims.count()) - correction);
  const Neighbours x = neighbours(input, dims);
  Dims along;
  for (int i = x.first; i <= x.last; ++i) along.push_back(i);
  Tensor middle;
  {
    const NoGrad guard;
    middle = along.empty() ? x.tensor : mean(x.tensor, along, true);
  }
  return result_with_shape(emit_one(def, SquaresCall{x.first, x.last, 1 / divisor, root}, {x.tensor, middle}),
                           dims.result_shape(keepdim));
}

// The p-norm for any p but 0, 1, 2 and the infinite ones. Powers are taken of what the largest element (for p < 0 the smallest)
// is divided into, so that none is too large or too small.
Tensor general_norm(const Tensor& input, double p, const ReducedDims& dims) {
  const Tensor size = abs(input);
  const Tensor extreme = reduce(p > 0 ? ReduceOp::max : ReduceOp::min, size, dims, true);
  const Tensor unit = where(logical_or(eq(extreme, 0), isinf(extreme)), 1.0, extreme);
  return mul(pow(reduce(ReduceOp::sum, pow(div(size, unit), p), dims, true), 1 / p), unit);
}

// Its value, which is input 1, with the gradient.
void gradient_general_norm(const Backward& call, Grads& grads) {
  const double p = call.as<double>();
  const Tensor value = call.input(0), length = call.result();
  if (p == 0) {  // a step function
    grads[0] = Tensor::zeros(call.shape(0), call.options(0));
    return;
  }
  // Its power p - 1 with the element's sign is the slope.
  const Tensor unit = where(eq(length, 0), std::numeric_limits<double>::infinity(), length), share = div(value, unit);
  const Tensor slope = mul(sign(value), pow(abs(share), p - 1));
  grads[0] = mul(where(logical_or(eq(value, 0), eq(length, 0)), 0.0, slope), call.grad());
}
constexpr OpDef kGeneralNorm = view_op<double>("norm", [](const Call& call) {
                                 Tensor result = call[1].detach();
                                 return result;
                               }).with_gradient(gradient_general_norm, saving<input_bit(0) | result_bit(0)>);

}  // namespace

Tensor var(const Tensor& input, const Dims& over, double correction, bool keepdim) {
  check_defined("var", "input", input);
  return spread_of(kVar, input, over, correction, keepdim, false);
}

Tensor std(const Tensor& input, const Dims& over, double correction, bool keepdim) {
  check_defined("std", "input", input);
  return spread_of(kStd, input, over, correction, keepdim, true);
}

Tensor norm(const Tensor& input, double p, const Dims& over, bool keepdim) {
  check_defined("norm", "input", input);
  check_floating("norm", input);
  if (p == 1) return sum(abs(input), over, keepdim);
  if (p == std::numeric_limits<double>::infinity()) return amax(abs(input), over, keepdim);
  if (p == -std::numeric_limits<double>::infinity()) return amin(abs(input), over, keepdim);
  const ReducedDims dims("norm", input, over);
  if (p < 0 && dims.count() == 0)
    throw ShapeError(message("norm: there is no norm with p = ", p, " of no elements, shape ", input.shape()));
  if (p == 2) {
    const Neighbours x = neighbours(input, dims);
    return result_with_shape(emit_one(kNorm, SquaresCall{x.first, x.last, 1, true}, {x.tensor}), dims.result_shape(keepdim));
  }
  Tensor kept;
  {
    const NoGrad guard;
    kept = p == 0              ? to(sum(ne(input, 0), over, true), input.dtype())
           : dims.count() == 0 ? Tensor::zeros(dims.kept_shape(), input.options())
                               : general_norm(input, p, dims);
  }
  return result_with_shape(emit_one(kGeneralNorm, p, {input, kept}), dims.result_shape(keepdim));
}

}  // namespace cnnx
