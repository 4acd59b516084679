// Views: shape, strides and offset change, the storage stays. The gradient of a view is written into zeros of the input's shape
// through the same view; where no element is left out or seen twice, it is the inverse view.
#include "cnnx/ops/view.h"

#include <algorithm>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "core/copy.h"
#include "core/node.h"
#include "core/strided.h"
#include "kernels/dispatch.h"
#include "ops/view_plan.h"

namespace cnnx {
namespace {

// The attributes of what writes a gradient into zeros.
template <class A>
struct Placed {
  A view;
  Dims shape;
};
template <class A>
CNNX_FIELDS(Placed<A>, view, shape)

template <class A>
void infer_place(const Call& call, ResultSpecs& results) {
  results.push_back({call.as<Placed<A>>().shape, call[0].dtype()});
}

template <class A>
void run_place(const Run& r) {
  begin_with_zeros(r);
  const Tensor target = r.as<Placed<A>>().view.show(r.results[0]);
  if (target.numel() > 0) copy_elements(r.queue, target, target.raw_pointer(), r.inputs[0], r.input_data[0]);
}

// A view whose attributes are an A, which knows how to show a tensor, and the op of its gradient.
template <class A>
Tensor show(const Call& call) {
  return call.as<A>().show(call[0]);
}

ViewPlan plan_of(const Backward& call) { return call.as<ViewPlan>(); }
void gradient_by_plan(const Backward& call, Grads& grads);

constexpr OpDef plan_op(const char* name) { return view_op<ViewPlan>(name, show<ViewPlan>).with_gradient(gradient_by_plan); }
constexpr OpDef kByPlan[] = {plan_op("narrow"), plan_op("select"), plan_op("slice")};
constexpr OpDef kPlace = op<Placed<ViewPlan>>("slice_backward", infer_place<ViewPlan>, run_place<ViewPlan>)
                             .reads({Place::strided})
                             .with_gradient([](const Backward& call, Grads& grads) {
                               grads[0] = view_by_plan(ViewName::slice, call.grad(), call.as<Placed<ViewPlan>>().view);
                             });
void gradient_by_plan(const Backward& call, Grads& grads) {
  grads[0] = emit_one(kPlace, Placed<ViewPlan>{plan_of(call), call.shape(0)}, {call.grad()});
}

// Another shape of as many elements, or of more that are the same.
struct Shown {
  Dims shape, strides;
  Tensor show(const Tensor& t) const { return t.as_strided(shape, strides, t->offset); }
};
CNNX_FIELDS(Shown, shape, strides)
void gradient_reshaped(const Backward& call, Grads& grads) { grads[0] = reshape(call.grad(), call.shape(0)); }
void gradient_expanded(const Backward& call, Grads& grads) { grads[0] = sum_to(call.grad(), call.shape(0)); }
constexpr OpDef shown_op(const char* name, void (*gradient)(const Backward&, Grads&)) {
  return view_op<Shown>(name, show<Shown>).with_gradient(gradient);
}
constexpr OpDef kReshape = shown_op("reshape", gradient_reshaped), kView = shown_op("view", gradient_reshaped),
                kSqueeze = shown_op("squeeze", gradient_reshaped), kUnsqueeze = shown_op("unsqueeze", gradient_reshaped),
                kExpand = shown_op("expand", gradient_expanded);

Tensor view_as(const OpDef& op, const Tensor& input, const Dims& shape, const Dims& strides) {
  return emit_one(op, Shown{shape, strides}, {input});
}

// Dimension k shows the input's dimension order[k].
struct Order {
  int count;
  int8_t order[Dims::kMaxDims];
  Tensor show(const Tensor& t) const {
    Dims shape, strides;
    for (int k = 0; k < count; ++k) {
      shape.push_back(t.shape()[order[k]]);
      strides.push_back(t.strides()[order[k]]);
    }
    return t.as_strided(shape, strides, t->offset);
  }
  Order inverse() const {
    Order result{count, {}};
    for (int k = 0; k < count; ++k) result.order[order[k]] = static_cast<int8_t>(k);
    return result;
  }
};
CNNX_FIELDS(Order, count, order)
void gradient_ordered(const Backward& call, Grads& grads);
constexpr OpDef order_op(const char* name) { return view_op<Order>(name, show<Order>).with_gradient(gradient_ordered); }
constexpr OpDef kPermute = order_op("permute"), kTranspose = order_op("transpose");
void gradient_ordered(const Backward& call, Grads& grads) {
  grads[0] = emit_one(call.op(), call.as<Order>().inverse(), {call.grad()});
}

// The diagonal of dimensions a and b, from (row, column), as a last dimension.
struct Diagonal {
  int a, b;
  int64_t row, column, length;
  Tensor show(const Tensor& t) const {
    Dims shape, strides;
    for (int i = 0; i < t.ndim(); ++i) {
      if (i == a || i == b) continue;
      shape.push_back(t.shape()[i]);
      strides.push_back(t.strides()[i]);
    }
    shape.push_back(length);
    strides.push_back(t.strides()[a] + t.strides()[b]);
    const int64_t first = length > 0 ? row * t.strides()[a] + column * t.strides()[b] : 0;
    return t.as_strided(shape, strides, t->offset + first);
  }
};
CNNX_FIELDS(Diagonal, a, b, row, column, length)
void gradient_diagonal(const Backward& call, Grads& grads);
constexpr OpDef kDiagonal = view_op<Diagonal>("diagonal", show<Diagonal>).with_gradient(gradient_diagonal);
constexpr OpDef kDiagonalBackward = op<Placed<Diagonal>>("diagonal_backward", infer_place<Diagonal>, run_place<Diagonal>)
                                        .reads({Place::strided})
                                        .with_gradient([](const Backward& call, Grads& grads) {
                                          grads[0] = emit_one(kDiagonal, call.as<Placed<Diagonal>>().view, {call.grad()});
                                        });
void gradient_diagonal(const Backward& call, Grads& grads) {
  grads[0] = emit_one(kDiagonalBackward, Placed<Diagonal>{call.as<Diagonal>(), call.shape(0)}, {call.grad()});
}

// Elements [start, start + length) of dimension d; `asked` is the length that was asked for.
Tensor part(const Tensor& input, int d, int64_t start, int64_t length, int64_t asked) {
  ViewPlan plan = ViewPlan::identity(input.shape());
  plan.shape[d] = length;
  plan.start[d] = start;
  plan.note_bound(d, length, asked);
  return view_by_plan(ViewName::narrow, input, plan);
}

// Replaces a -1 by what the number of elements leaves.
Dims infer_shape(const char* op, const Tensor& input, Dims shape) {
  check_defined(op, "input", input);
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      if (unknown >= 0) throw ShapeError(message(op, ": only one extent can be -1, got ", shape));
      unknown = i;
    } else if (shape[i] < 0) {
      throw ShapeError(message(op, ": negative extent in shape ", shape));
    } else {
      known = checked_product(known, shape[i]);
    }
  }
  if (unknown >= 0 && known > 0 && input.numel() % known == 0) shape[unknown] = input.numel() / known;
  if (shape.numel() != input.numel() || (unknown >= 0 && shape[unknown] < 0))
    throw ShapeError(message(op, ": shape ", input.shape(), " cannot become ", shape, ", it has ", input.numel(), " elements"));
  return shape;
}

// Strides that show a tensor of (shape, strides) in a new shape of as many elements, if there are such.
bool reshape_strides(const Dims& shape, const Dims& strides, const Dims& new_shape, Dims& result) {
  result = contiguous_strides(new_shape);
  if (shape.numel() == 0) return true;
  Dims extents, steps;  // without dimensions of extent 1, whose step says nothing
  for (int d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    extents.push_back(shape[d]);
    steps.push_back(strides[d]);
  }
  int k = new_shape.size() - 1;
  for (int d = extents.size() - 1; d >= 0;) {
    const int64_t base = steps[d];
    int64_t run = extents[d], covered = 1;  // a run of dimensions that step evenly
    for (--d; d >= 0 && steps[d] == extents[d + 1] * steps[d + 1]; --d) run *= extents[d];
    for (; k >= 0 && covered < run; --k) {
      result[k] = base * covered;
      covered *= new_shape[k];
    }
    if (covered != run) return false;
  }
  return true;
}

std::vector<int> normalize_dims(const char* op, const std::vector<int64_t>& dims, const Tensor& input) {
  check_defined(op, "input", input);
  std::vector<int> result;
  for (int64_t dim : dims) {
    int d = normalize_dim(op, dim, input);
    if (std::find(result.begin(), result.end(), d) != result.end()) throw Error(message(op, ": dim ", dim, " is given twice"));
    result.push_back(d);
  }
  return result;
}

}  // namespace

ViewPlan ViewPlan::identity(const Dims& shape) {
  ViewPlan plan{shape, Dims::filled(shape.size(), 1), Dims::filled(shape.size(), 0), {}};
  for (int d = 0; d < shape.size(); ++d) plan.source[d] = static_cast<int8_t>(d);
  return plan;
}

void ViewPlan::erase(int k) {
  for (int i = k; i + 1 < shape.size(); ++i) source[i] = source[i + 1];
  shape.erase(k);
  step.erase(k);
}

void ViewPlan::push_back(int64_t extent, int source_dim, int64_t step_by) {
  shape.push_back(extent);
  step.push_back(step_by);
  source[shape.size() - 1] = static_cast<int8_t>(source_dim);
}

Tensor ViewPlan::show(const Tensor& input) const {
  const Dims& strides = input.strides();
  int64_t offset = input->offset;
  for (int d = 0; d < strides.size(); ++d) offset += start[d] * strides[d];
  Dims result;
  for (int k = 0; k < shape.size(); ++k) result.push_back(source[k] < 0 ? 0 : strides[source[k]] * step[k]);
  return input.as_strided(shape, result, offset);
}

Tensor view_by_plan(ViewName name, const Tensor& input, const ViewPlan& plan) {
  return emit_one(kByPlan[static_cast<int>(name)], plan, {input});
}

Tensor reshape(const Tensor& input, const Dims& shape) {
  const Dims full = infer_shape("reshape", input, shape);
  Dims strides;
  if (reshape_strides(input.shape(), input.strides(), full, strides)) return view_as(kReshape, input, full, strides);
  return view_as(kReshape, recorded_copy(input), full, contiguous_strides(full));
}

Tensor view(const Tensor& input, const Dims& shape) {
  const Dims full = infer_shape("view", input, shape);
  Dims strides;
  if (!reshape_strides(input.shape(), input.strides(), full, strides))
    throw ShapeError(message("view: shape ", input.shape(), " with strides ", input.strides(), " cannot be viewed as ", full,
                             " without a copy; use reshape"));
  return view_as(kView, input, full, strides);
}

Tensor flatten(const Tensor& input, int64_t start_dim, int64_t end_dim) {
  int start = normalize_dim("flatten", start_dim, input), end = normalize_dim("flatten", end_dim, input);
  if (start > end) throw Error(message("flatten: start_dim ", start_dim, " comes after end_dim ", end_dim));
  if (input.ndim() == 0) return reshape(input, {1});
  if (start == end) return input;
  Dims shape;
  int64_t merged = 1;
  for (int i = 0; i < input.ndim(); ++i) {
    if (i >= start && i <= end) merged *= input.shape()[i];
    else shape.push_back(input.shape()[i]);
    if (i == end) shape.push_back(merged);
  }
  return reshape(input, shape);
}

Tensor unflatten(const Tensor& input, int64_t dim, const Dims& sizes) {
  int d = normalize_dim("unflatten", dim, input);
  if (input.ndim() == 0) throw IndexError("unflatten: a tensor without dimensions has nothing to unflatten");
  int64_t known = 1, unknown = 0;
  for (int64_t size : sizes) {
    if (size == -1) ++unknown;
    else known = checked_product(known, size);
  }
  const int64_t extent = input.shape()[d];
  if (unknown > 1 || known < 0 || (unknown == 1 ? known == 0 || extent % known != 0 : known != extent))
    throw ShapeError(message("unflatten: dimension ", d, " of ", input.shape(), " cannot become ", sizes));
  Dims shape;
  for (int i = 0; i < input.ndim(); ++i) {
    if (i != d) shape.push_back(input.shape()[i]);
    else
      for (int64_t size : sizes) shape.push_back(size == -1 ? extent / known : size);
  }
  return reshape(input, shape);
}

Tensor squeeze(const Tensor& input) {
  check_defined("squeeze", "input", input);
  std::vector<int64_t> dims;
  for (int i = 0; i < input.ndim(); ++i) dims.push_back(i);
  return squeeze(input, dims);
}

Tensor squeeze(const Tensor& input, const std::vector<int64_t>& dims) {
  std::vector<int> gone = normalize_dims("squeeze", dims, input);
  Dims shape, strides;
  for (int i = 0; i < input.ndim(); ++i) {
    if (input.shape()[i] == 1 && std::find(gone.begin(), gone.end(), i) != gone.end()) continue;
    shape.push_back(input.shape()[i]);
    strides.push_back(input.strides()[i]);
  }
  return view_as(kSqueeze, input, shape, strides);
}

Tensor unsqueeze(const Tensor& input, int64_t dim) {
  check_defined("unsqueeze", "input", input);
  int d = normalize_dim("unsqueeze", dim, input.ndim() + 1);
  Dims shape = input.shape(), strides = input.strides();
  shape.insert(d, 1);
  strides.insert(d, d < input.ndim() ? input.shape()[d] * input.strides()[d] : 1);
  return view_as(kUnsqueeze, input, shape, strides);
}

Tensor permute(const Tensor& input, const std::vector<int64_t>& dims) {
  std::vector<int> order = normalize_dims("permute", dims, input);
  if (static_cast<int>(order.size()) != input.ndim())
    throw Error(message("permute: ", order.size(), " dims for a tensor of shape ", input.shape()));
  Order shown{input.ndim(), {}};
  for (size_t k = 0; k < std::size(shown.order); ++k)
    shown.order[k] = k < order.size() ? static_cast<int8_t>(order[k]) : int8_t{0};
  return emit_one(kPermute, shown, {input});
}

Tensor transpose(const Tensor& input, int64_t dim0, int64_t dim1) {
  const int a = normalize_dim("transpose", dim0, input), b = normalize_dim("transpose", dim1, input);
  Order shown{input.ndim(), {}};
  for (int k = 0; k < input.ndim(); ++k) shown.order[k] = static_cast<int8_t>(k == a ? b : k == b ? a : k);
  return emit_one(kTranspose, shown, {input});
}

Tensor movedim(const Tensor& input, const std::vector<int64_t>& source, const std::vector<int64_t>& destination) {
  std::vector<int> from = normalize_dims("movedim", source, input), to = normalize_dims("movedim", destination, input);
  if (from.size() != to.size())
    throw Error(message("movedim: ", from.size(), " source dims for ", to.size(), " destination dims"));
  std::vector<int64_t> order(static_cast<size_t>(input.ndim()), -1);
  for (size_t i = 0; i < to.size(); ++i) order[static_cast<size_t>(to[i])] = from[i];
  int next = 0;
  for (int64_t& slot : order) {
    if (slot >= 0) continue;
    while (std::find(from.begin(), from.end(), next) != from.end()) ++next;
    slot = next++;
  }
  return permute(input, order);
}

Tensor expand(const Tensor& input, const Dims& shape) {
  check_defined("expand", "input", input);
  const int added = shape.size() - input.ndim();
  Dims full = shape, strides = Dims::filled(shape.size(), 0);
  bool fits = added >= 0;
  for (int i = 0; fits && i < shape.size(); ++i) {
    if (i < added) {
      fits = shape[i] >= 0;
      continue;
    }
    const int64_t extent = input.shape()[i - added];
    if (shape[i] == -1) full[i] = extent;
    if (full[i] == extent) strides[i] = input.strides()[i - added];
    else fits = extent == 1 && full[i] >= 0;
  }
  if (!fits) throw ShapeError(message("expand: shape ", input.shape(), " does not expand to ", shape));
  full.numel();  // throws if it overflows
  return view_as(kExpand, input, full, strides);
}

Tensor narrow(const Tensor& input, int64_t dim, int64_t start, int64_t length) {
  check_defined("narrow", "input", input);
  if (input.ndim() == 0) throw IndexError("narrow: a tensor without dimensions cannot be narrowed");
  int d = normalize_dim("narrow", dim, input);
  const int64_t extent = input.shape()[d], first = start < 0 ? start + extent : start;
  if (first < 0 || first > extent || length < 0 || length > extent - first)
    throw IndexError(
        message("narrow: start ", start, " and length ", length, " do not fit in dimension ", d, " of ", input.shape()));
  return part(input, d, first, length, length);
}

Tensor select(const Tensor& input, int64_t dim, int64_t index) {
  check_defined("select", "input", input);
  if (input.ndim() == 0) throw IndexError("select: a tensor without dimensions cannot be indexed");
  int d = normalize_dim("select", dim, input);
  const int64_t extent = input.shape()[d];
  if (index < -extent || index >= extent)
    throw IndexError(message("select: index ", index, " is out of range for dimension ", d, " of ", input.shape()));
  ViewPlan plan = ViewPlan::identity(input.shape());
  plan.start[d] = index < 0 ? index + extent : index;
  plan.erase(d);
  return view_by_plan(ViewName::select, input, plan);
}

Tensor slice(const Tensor& input, int64_t dim, int64_t start, int64_t end, int64_t step) {
  check_defined("slice", "input", input);
  if (input.ndim() == 0) throw IndexError("slice: a tensor without dimensions cannot be sliced");
  if (step <= 0) throw ValueError(message("slice: step must be positive, got ", step));
  int d = normalize_dim("slice", dim, input);
  const int64_t extent = input.shape()[d];
  auto clamp = [extent](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + extent : i, 0, extent); };
  const int64_t first = clamp(start), last = std::max(first, clamp(end));
  ViewPlan plan = ViewPlan::identity(input.shape());
  for (int64_t bound : {start, end}) plan.note_bound(d, extent, bound);
  plan.shape[d] = last > first ? (last - first - 1) / step + 1 : 0;
  plan.start[d] = first;
  plan.step[d] = step;
  return view_by_plan(ViewName::slice, input, plan);
}

Tensor diagonal(const Tensor& input, int64_t offset, int64_t dim1, int64_t dim2) {
  check_defined("diagonal", "input", input);
  if (input.ndim() < 2) throw ShapeError(message("diagonal: needs at least two dimensions, got shape ", input.shape()));
  const int a = normalize_dim("diagonal", dim1, input), b = normalize_dim("diagonal", dim2, input);
  if (a == b) throw Error(message("diagonal: dim1 and dim2 are both ", a));
  // Clamped, so that no offset overflows; beyond the extents the diagonal is empty anyway.
  const int64_t rows = input.shape()[a], columns = input.shape()[b];
  const int64_t row = std::clamp<int64_t>(offset, -rows, 0) * -1, column = std::clamp<int64_t>(offset, 0, columns);
  const int64_t length = std::max<int64_t>(0, std::min(rows - row, columns - column));
  return emit_one(kDiagonal, Diagonal{a, b, row, column, length}, {input});
}

std::vector<Tensor> split(const Tensor& input, const std::vector<int64_t>& sizes, int64_t dim) {
  int d = normalize_dim("split", dim, input);
  if (input.ndim() == 0) throw IndexError("split: a tensor without dimensions cannot be split");
  int64_t total = 0;
  for (int64_t size : sizes) {
    if (size < 0) throw ValueError(message("split: negative size ", size));
    total = checked_sum(total, size);
  }
  if (total != input.shape()[d])
    throw ShapeError(
        message("split: the sizes add up to ", total, ", dimension ", d, " of ", input.shape(), " has ", input.shape()[d]));
  std::vector<Tensor> pieces;
  pieces.reserve(sizes.size());
  int64_t start = 0;
  for (int64_t size : sizes) {
    pieces.push_back(narrow(input, d, start, size));
    start += size;
  }
  return pieces;
}

std::vector<Tensor> split(const Tensor& input, int64_t size, int64_t dim) {
  int d = normalize_dim("split", dim, input);
  if (input.ndim() == 0) throw IndexError("split: a tensor without dimensions cannot be split");
  const int64_t extent = input.shape()[d];
  if (size < 0 || (size == 0 && extent > 0)) throw ValueError(message("split: size must be positive, got ", size));
  std::vector<Tensor> pieces;
  pieces.reserve(extent > 0 ? static_cast<size_t>((extent - 1) / size + 1) : 1);
  for (int64_t start = 0; start < extent; start += size)
    pieces.push_back(part(input, d, start, std::min(size, extent - start), size));
  if (pieces.empty()) pieces.push_back(part(input, d, 0, 0, 0));
  return pieces;
}

std::vector<Tensor> chunk(const Tensor& input, int64_t chunks, int64_t dim) {
  check_defined("chunk", "input", input);
  if (chunks <= 0) throw ValueError(message("chunk: needs at least one chunk, got ", chunks));
  int d = normalize_dim("chunk", dim, input);
  if (input.ndim() == 0) throw IndexError("chunk: a tensor without dimensions cannot be cut");
  const int64_t extent = input.shape()[d], size = extent == 0 ? 0 : (extent - 1) / chunks + 1;
  return size == 0 ? split(input, std::vector<int64_t>(static_cast<size_t>(chunks), 0), d) : split(input, size, d);
}

std::vector<Tensor> unbind(const Tensor& input, int64_t dim) {
  int d = normalize_dim("unbind", dim, input);
  if (input.ndim() == 0) throw IndexError("unbind: a tensor without dimensions cannot be unbound");
  std::vector<Tensor> pieces;
  pieces.reserve(static_cast<size_t>(input.shape()[d]));
  for (int64_t i = 0; i < input.shape()[d]; ++i) pieces.push_back(select(input, d, i));
  return pieces;
}

}  // namespace cnnx
