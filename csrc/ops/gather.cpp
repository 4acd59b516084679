// Gathering along a dimension, searching and counting.
#include <algorithm>

#include "cnnx/autograd.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/node.h"
#include "core/strided.h"
#include "kernels/dispatch.h"
#include "ops/broadcast.h"
#include "ops/reduced_dims.h"
#include "ops/take.h"

namespace cnnx {
namespace {

// Checked index of gather and scatter: int64, contiguous, not negative.
Tensor checked_index(const char* op, const Tensor& index, const Tensor& indexed, int dim) {
  check_same_device(op, indexed, index);
  const Dims& shape = indexed.shape();
  if (index.dtype() != DType::int64 && index.dtype() != DType::int32)
    throw TypeError(message(op, ": the index must be int32 or int64, got ", name(index.dtype())));
  bool fits = index.ndim() == shape.size();
  for (int d = 0; fits && d < shape.size(); ++d) fits = d == dim || index.shape()[d] <= shape[d];
  if (!fits)
    throw ShapeError(
        message(op, ": an index of shape ", index.shape(), " does not fit a tensor of shape ", shape, " along dimension ", dim));
  return index_within(index, {op, shape.empty() ? 1 : shape[dim], false, dim, shape});
}

// Inputs: values, index.
struct GatherCall {
  int dim;
};
CNNX_FIELDS(GatherCall, dim)
void infer_gather(const Call& call, ResultSpecs& results) { results.push_back({call[1].shape(), call[0].dtype()}); }
void run_gather(const Run& r) {
  const Tensor &input = r.inputs[0], &index = r.inputs[1], &out = r.results[0];
  const int dim = r.as<GatherCall>().dim;
  Dims shape = index.shape(), strides[3] = {out.strides(), index.strides(), input.strides()};
  const int64_t step = shape.empty() ? 0 : input.strides()[dim];
  if (!shape.empty()) strides[2][dim] = 0;
  collapse_dims(shape, strides);
  elements(r.queue).take_along(r.queue, input.dtype(), strided_shape(shape, strides), step, r.in<int64_t>(1), r.input_data[0],
                               r.result_data[0]);
}
void gradient_gather(const Backward& call, Grads& grads);
constexpr OpDef gather_op(const char* name) {
  return op<GatherCall>(name, infer_gather, run_gather)
      .reads({Place::strided, Place::row_major})
      .with_gradient(gradient_gather, saving<input_bit(1)>);
}
constexpr OpDef kGather[] = {gather_op("gather"), gather_op("max"),    gather_op("min"),
                             gather_op("sort"),   gather_op("topk"),   gather_op("kthvalue"),
                             gather_op("median"), gather_op("cummax"), gather_op("cummin")};

// Inputs: values, index, source: of the index's shape, or one element; undefined for a number. The result is the values with the
// source in the places of the index.
struct ScatterCall {
  int dim;
  PutOp op;
  ElementOperand number;
};
CNNX_FIELDS(ScatterCall, dim, op, number)
void infer_scatter(const Call& call, ResultSpecs& results) {
  results.push_back({call[0].shape(), call[0].dtype(), Place::strided});
}
void run_scatter(const Run& r) {
  const ScatterCall& c = r.as<ScatterCall>();
  const Tensor &index = r.inputs[1], &out = r.results[0];
  const ElementTable& table = elements(r.queue);
  begin_with_input(r);
  if (index.numel() == 0) return;
  Dims shape = index.shape(), strides[3] = {out.strides(), index.strides(), broadcast_strides(r.inputs[2], shape)};
  int64_t taken = 1, steps[3] = {0, 0, 0};
  if (!shape.empty()) {
    taken = shape[c.dim];
    shape.erase(c.dim);
    for (int k = 0; k < 3; ++k) {
      steps[k] = strides[k][c.dim];
      strides[k].erase(c.dim);
    }
  }
  collapse_dims(shape, strides);
  table.put_along(r.queue, out.dtype(), strided_shape(shape, strides), taken, steps, c.op, r.in<int64_t>(1), r.input_data[2],
                  r.result_data[0]);
}
void gradient_scatter(const Backward& call, Grads& grads);
void gradient_product(const Backward& call, Grads& grads);
void gradient_scattered_extreme(const Backward& call, Grads& grads);
constexpr uint64_t kScatterAll = input_bit(0) | input_bit(1) | input_bit(2);
constexpr OpDef scatter_op(const char* name) {
  return op<ScatterCall>(name, infer_scatter, run_scatter).reads({Place::strided, Place::row_major, Place::strided});
}
constexpr OpDef kScatter[] = {
    scatter_op("scatter").with_gradient(gradient_scatter, saving<input_bit(1)>),
    scatter_op("scatter_add").with_gradient(gradient_scatter, saving<input_bit(1)>),
    scatter_op("scatter_prod").with_gradient(gradient_product, saving<kScatterAll>),
    scatter_op("scatter_amax").with_gradient(gradient_scattered_extreme, saving<kScatterAll | result_bit(0)>),
    scatter_op("scatter_amin").with_gradient(gradient_scattered_extreme, saving<kScatterAll | result_bit(0)>)};

Tensor scattered(const Tensor& input, int dim, const Tensor& index, const Tensor& source, PutOp op,
                 const Tensor* into = nullptr) {
  return emit_one(kScatter[static_cast<int>(op)], ScatterCall{dim, op, {}}, {input, index, source}, into);
}

void gradient_gather(const Backward& call, Grads& grads) {
  const Tensor zeros = Tensor::zeros(call.shape(0), call.options(0));
  grads[0] = scattered(zeros, call.as<GatherCall>().dim, call.input(1), call.grad(), PutOp::add);
}

void gradient_scatter(const Backward& call, Grads& grads) {
  const ScatterCall& c = call.as<ScatterCall>();
  const Tensor index = call.input(1), g = call.grad();
  if (call.needs(0))
    grads[0] = c.op == PutOp::add ? g : scattered(g, c.dim, index, Tensor::zeros({}, g.options()), PutOp::replace);
  if (call.needs(2)) grads[2] = take_along(TakeName::gather, g, c.dim, index);
}

// Of products: what a factor is multiplied by. Zeros are left out and counted, so that the factor beside one has a gradient too.
void gradient_product(const Backward& call, Grads& grads) {
  const int dim = call.as<ScatterCall>().dim;
  const Tensor input = call.input(0), index = call.input(1), source = call.input(2), g = call.grad();
  const Tensor input_is_zero = eq(input, 0), source_is_zero = eq(source, 0);
  const Tensor product =
      scattered(where(input_is_zero, 1.0, input), dim, index, where(source_is_zero, 1.0, source), PutOp::multiply);
  const Tensor zeros = scattered(to(input_is_zero, g.dtype()), dim, index, to(source_is_zero, g.dtype()), PutOp::add);
  const auto others = [](const Tensor& factor, const Tensor& is_zero, const Tensor& all, const Tensor& count) {
    return where(is_zero, where(eq(count, 1), all, 0.0), where(eq(count, 0), div(all, where(is_zero, 1.0, factor)), 0.0));
  };
  if (call.needs(0)) grads[0] = mul(g, others(input, input_is_zero, product, zeros));
  if (!call.needs(2)) return;
  const auto taken = [&](const Tensor& t) { return take_along(TakeName::gather, t, dim, index); };
  grads[2] = mul(taken(g), others(source, source_is_zero, taken(product), taken(zeros)));
}

// Of extremes: shared by all that are equal to them.
void gradient_scattered_extreme(const Backward& call, Grads& grads) {
  const int dim = call.as<ScatterCall>().dim;
  const Tensor index = call.input(1), result = call.result(), g = call.grad();
  const Tensor input_won = to(eq(call.input(0), result), g.dtype());
  const Tensor source_won = to(eq(call.input(2), take_along(TakeName::gather, result, dim, index)), g.dtype());
  const Tensor winners = scattered(input_won, dim, index, source_won, PutOp::add);
  const Tensor share = div(g, where(eq(winners, 0), 1.0, winners));
  if (call.needs(0)) grads[0] = mul(share, input_won);
  if (call.needs(2)) grads[2] = mul(take_along(TakeName::gather, share, dim, index), source_won);
}

// Inputs: rows in ascending order, or the order of their elements, and values. Results: the places of the values.
struct SearchCall {
  int64_t values_per_row;
  bool right;
};
CNNX_FIELDS(SearchCall, values_per_row, right)
void infer_search(const Call& call, ResultSpecs& results) { results.push_back({call[2].shape(), DType::int64}); }
void run_search(const Run& r) {
  const SearchCall& c = r.as<SearchCall>();
  const Tensor& rows = r.inputs[0];
  if (r.results[0].numel() == 0) return;
  elements(r.queue).search_sorted(r.queue, rows.dtype(), r.results[0].numel(), c.values_per_row, rows.size(-1), c.right,
                                  r.input_data[0], r.in<int64_t>(1), r.input_data[2], r.out<int64_t>(0));
}
constexpr OpDef kSearchSorted = op<SearchCall>("searchsorted", infer_search, run_search);

struct TriangleCall {
  int64_t diagonal;
  bool lower;
};
CNNX_FIELDS(TriangleCall, diagonal, lower)
void run_triangle(const Run& r) {
  const TriangleCall& c = r.as<TriangleCall>();
  const Tensor& out = r.results[0];
  begin_with_input(r);
  const int64_t rows = out.size(-2), columns = out.size(-1);
  elements(r.queue).triangle(r.queue, out.dtype(), out.numel() / (rows * columns), rows, columns, c.diagonal, c.lower,
                             r.result_data[0]);
}
constexpr OpDef triangle_op(const char* name) {
  return op<TriangleCall>(name, infer_like_input, run_triangle).reads({Place::strided}).with_gradient(gradient_by_itself);
}
constexpr OpDef kTril = triangle_op("tril"), kTriu = triangle_op("triu");

Tensor triangle(const OpDef& op, const Tensor& input, int64_t diagonal, bool lower) {
  check_defined(op.name, "input", input);
  if (input.ndim() < 2) throw ShapeError(message(op.name, ": needs at least two dimensions, got shape ", input.shape()));
  return emit_one(op, TriangleCall{diagonal, lower}, {input});
}

struct CountCall {
  int64_t length;
};
CNNX_FIELDS(CountCall, length)
void infer_bincount(const Call& call, ResultSpecs& results) { results.push_back({{call.as<CountCall>().length}, DType::int64}); }
void run_bincount(const Run& r) {
  begin_with_zeros(r);
  if (r.inputs[0].numel() > 0) elements(r.queue).bincount(r.queue, r.inputs[0].numel(), r.in<int64_t>(0), r.out<int64_t>(0));
}
constexpr OpDef kBincount = op<CountCall>("bincount", infer_bincount, run_bincount);

Tensor flat_integers(const char* op, const Tensor& input) {
  if (is_floating_point(input.dtype()) || input.dtype() == DType::boolean)
    throw TypeError(message(op, ": needs integers, got ", name(input.dtype())));
  return to(input, DType::int64);
}

// The lowest and largest of integers; 0 and -1 of none. Waits for a device.
std::pair<int64_t, int64_t> range_of(const Tensor& values) {
  if (values.numel() == 0) return {0, -1};
  return {*to_device(amin(values, {}, false), {}).data<int64_t>(), *to_device(amax(values, {}, false), {}).data<int64_t>()};
}

}  // namespace

Tensor take_along(TakeName name, const Tensor& input, int dim, const Tensor& index) {
  return emit_one(kGather[static_cast<int>(name)], GatherCall{dim}, {input, index});
}

Tensor gather(const Tensor& input, int64_t dim, const Tensor& index) {
  check_defined("gather", "input", input);
  check_defined("gather", "index", index);
  const int d = normalize_dim("gather", dim, input);
  return take_along(TakeName::gather, input, d, checked_index("gather", index, input, d));
}

namespace {

Tensor scatter_to(const char* op, const Tensor& input, int64_t dim, const Tensor& index, const TensorOrNumber& source, PutOp put,
                  const Tensor* into) {
  check_defined(op, "input", input);
  check_defined(op, "index", index);
  if (!source.defined()) refuse_undefined(op, "source");
  check_number(op, source, input.dtype());
  const int d = normalize_dim(op, dim, input);
  const Tensor where = checked_index(op, index, input, d);
  if (source.is_number()) return scattered(input, d, where, source.as_tensor(input.options()), put, into);
  Tensor from = source.tensor();
  bool fits = from.ndim() == where.ndim();
  for (int i = 0; fits && i < from.ndim(); ++i) fits = where.shape()[i] <= from.shape()[i];
  if (!fits)
    throw ShapeError(message(op, ": an index of shape ", where.shape(), " does not fit a source of shape ", from.shape()));
  if (from.dtype() != input.dtype())
    throw TypeError(message(op, ": the source is ", name(from.dtype()), ", the tensor ", name(input.dtype())));
  check_same_device(op, input, from);
  // The source may be larger than the index; what is not read has no gradient.
  for (int i = 0; i < from.ndim(); ++i)
    if (where.shape()[i] != from.shape()[i]) from = narrow(from, i, 0, where.shape()[i]);
  return scattered(input, d, where, from, put, into);
}

}  // namespace

Tensor scatter(const Tensor& input, int64_t dim, const Tensor& index, const TensorOrNumber& source, bool add) {
  return scatter_to(add ? "scatter_add" : "scatter", input, dim, index, source, add ? PutOp::add : PutOp::replace, nullptr);
}

void scatter_(const Tensor& self, int64_t dim, const Tensor& index, const TensorOrNumber& source, bool add) {
  scatter_to(add ? "scatter_add_" : "scatter_", self, dim, index, source, add ? PutOp::add : PutOp::replace, &self);
}

Tensor scatter_reduce(const Tensor& input, int64_t dim, const Tensor& index, const Tensor& source, const std::string& reduce,
                      const Tensor* into) {
  check_defined("scatter_reduce", "input", input);
  check_defined("scatter_reduce", "index", index);
  check_defined("scatter_reduce", "source", source);
  const std::pair<const char*, PutOp> known[] = {
      {"sum", PutOp::add}, {"prod", PutOp::multiply}, {"amax", PutOp::max}, {"amin", PutOp::min}};
  for (const auto& [name, op] : known)
    if (reduce == name) return scatter_to("scatter_reduce", input, dim, index, source, op, into);
  throw ValueError(message("scatter_reduce: there is no reduction \"", reduce, "\""));
}

Tensor searchsorted(const Tensor& rows, const Tensor& values, bool right, const Tensor& order) {
  check_defined("searchsorted", "rows", rows);
  check_defined("searchsorted", "values", values);
  const NoGrad guard;
  check_same_device("searchsorted", rows, values);
  if (rows.ndim() == 0) throw ShapeError("searchsorted: the sorted sequence needs a dimension");
  bool fits = rows.ndim() == 1 || rows.ndim() == values.ndim();
  for (int d = 0; fits && rows.ndim() > 1 && d < rows.ndim() - 1; ++d) fits = rows.size(d) == values.size(d);
  if (!fits)
    throw ShapeError(message("searchsorted: sequences of shape ", rows.shape(), " do not fit values of shape ", values.shape()));
  Tensor places = order;
  if (order.defined()) {
    check_same_device("searchsorted", rows, order);
    if (order.dtype() != DType::int64)
      throw TypeError(message("searchsorted: the sorter must be int64, got ", name(order.dtype())));
    if (!(order.shape() == rows.shape()))
      throw ShapeError(message("searchsorted: a sorter of shape ", order.shape(), " for sequences of shape ", rows.shape()));
    places = plain_copy(order);
    if (first_bad_index(places, rows.size(-1), false) >= 0)
      throw IndexError("searchsorted: the sorter has an index out of range");
  }
  const DType dtype = promote(rows.dtype(), values.dtype());
  const int64_t per_row = rows.ndim() == 1 ? values.numel() : values.size(-1);
  return emit_one(kSearchSorted, SearchCall{per_row, right}, {to(rows, dtype), places, to(values, dtype)});
}

Unique unique(const Tensor& input) {
  check_defined("unique", "input", input);
  note_read("unique", input);
  const NoGrad guard;
  const Tensor flat = contiguous(reshape(input, {-1}));
  const auto [sorted, order] = sort(flat, 0);
  const int64_t n = flat.numel();
  // The rank of each value in the sorted order: 0, and one more wherever a value differs from the one before.
  const Tensor rank = Tensor::zeros({n}, input.options(DType::int64));
  if (n > 1)
    copy_into(narrow(rank, 0, 1, n - 1),
              cumsum(to(ne(narrow(sorted, 0, 1, n - 1), narrow(sorted, 0, 0, n - 1)), DType::int64), 0));
  Unique result;
  result.inverse = reshape(scatter(rank, 0, order, rank), input.shape());  // the ranks in the order of the input
  result.counts = bincount(rank, 0);
  result.values = index_select(sorted, 0, sub(cumsum(result.counts, 0), result.counts));
  return result;
}

Tensor bincount(const Tensor& input, int64_t min_length) {
  check_defined("bincount", "input", input);
  if (input.ndim() != 1) throw ShapeError(message("bincount: needs one dimension, got shape ", input.shape()));
  if (min_length < 0) throw ValueError(message("bincount: minlength ", min_length, " is negative"));
  const Tensor values = flat_integers("bincount", input);
  note_read("bincount", input);
  const auto [lowest, largest] = range_of(values);  // the length of the result is data
  if (lowest < 0) throw ValueError(message("bincount: negative value ", lowest));
  return emit_one(kBincount, CountCall{std::max(min_length, checked_sum(largest, 1))}, {values});
}

Tensor one_hot(const Tensor& index, int64_t classes) {
  check_defined("one_hot", "index", index);
  const Tensor values = flat_integers("one_hot", index);
  const auto [lowest, largest] = range_of(values);
  if (classes <= 0) {
    note_read("one_hot", index);
    if (values.numel() == 0) throw ValueError("one_hot: the number of classes of an empty tensor cannot be inferred");
    classes = checked_sum(largest, 1);
  }
  if (lowest < 0 || largest >= classes)
    throw IndexError(message("one_hot: index ", lowest < 0 ? lowest : largest, " is out of range for ", classes, " classes"));
  return to(eq(unsqueeze(values, -1), arange(classes, {.device = values.device()})), DType::int64);
}

Tensor tril(const Tensor& input, int64_t diagonal) { return triangle(kTril, input, diagonal, true); }
Tensor triu(const Tensor& input, int64_t diagonal) { return triangle(kTriu, input, diagonal, false); }

}  // namespace cnnx
