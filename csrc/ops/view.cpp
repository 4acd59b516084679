// Views: shape, strides and offset change, the storage stays. The gradient of a view is written into zeros of the input's shape
// through the same view; where no element is left out or seen twice, it is the inverse view.
#include "cnnx/ops/view.h"

#include <algorithm>
#include <cstring>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "core/copy.h"

namespace cnnx {
namespace {

// The strides of the view of a tensor with these strides; `offset` is advanced to the first element.
Dims apply(const ViewPlan& plan, const Dims& strides, int64_t& offset) {
  for (int d = 0; d < strides.size(); ++d) offset += plan.start[d] * strides[d];
  Dims result;
  for (int k = 0; k < plan.shape.size(); ++k)
    result.push_back(plan.source[k] < 0 ? 0 : strides[static_cast<int>(plan.source[k])] * plan.step[k]);
  return result;
}

Tensor with_view_gradient(const char* op, const Tensor& output, const Tensor& input, GradientFn gradient) {
  return needs_grad({input}) ? record(op, output, {input}, std::move(gradient)) : output;
}

// Replaces a -1 by what the number of elements leaves.
Dims infer_shape(const char* op, const Tensor& input, Dims shape) {
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

Tensor view_as(const char* op, const Tensor& input, const Dims& shape, const Dims& strides) {
  return with_view_gradient(
      op, input.as_strided(shape, strides, input->offset), input,
      [input_shape = input.shape()](const Tensor& g, const Needs&) { return Grads{reshape(g, input_shape)}; });
}

std::vector<int> normalize_dims(const char* op, const std::vector<int64_t>& dims, int ndim) {
  std::vector<int> result;
  for (int64_t dim : dims) {
    int d = normalize_dim(op, dim, ndim);
    if (std::find(result.begin(), result.end(), d) != result.end()) throw Error(message(op, ": dim ", dim, " is given twice"));
    result.push_back(d);
  }
  return result;
}

}  // namespace

ViewPlan ViewPlan::identity(const Dims& shape) {
  ViewPlan plan;
  plan.shape = shape;
  plan.start = Dims::filled(shape.size(), 0);
  plan.step = Dims::filled(shape.size(), 1);
  for (int d = 0; d < shape.size(); ++d) plan.source.push_back(d);
  return plan;
}

Tensor view_by_plan(const char* op, const Tensor& input, const ViewPlan& plan) {
  int64_t offset = input->offset;
  Dims strides = apply(plan, input.strides(), offset);
  return with_view_gradient(op, input.as_strided(plan.shape, strides, offset), input,
                            [plan, shape = input.shape()](const Tensor& g, const Needs&) {
                              Tensor grad = Tensor::zeros(shape, g.options());
                              int64_t first = 0;
                              Dims view_strides = apply(plan, grad.strides(), first);
                              copy_into(grad.as_strided(plan.shape, view_strides, first), g);
                              return Grads{grad};
                            });
}

Tensor reshape(const Tensor& input, const Dims& shape) {
  Dims full = infer_shape("reshape", input, shape);
  Dims strides;
  if (reshape_strides(input.shape(), input.strides(), full, strides)) return view_as("reshape", input, full, strides);
  Tensor copy = plain_copy(input);
  return with_view_gradient(
      "reshape", copy.as_strided(full, contiguous_strides(full), 0), input,
      [input_shape = input.shape()](const Tensor& g, const Needs&) { return Grads{reshape(g, input_shape)}; });
}

Tensor view(const Tensor& input, const Dims& shape) {
  Dims full = infer_shape("view", input, shape);
  Dims strides;
  if (!reshape_strides(input.shape(), input.strides(), full, strides))
    throw ShapeError(message("view: shape ", input.shape(), " with strides ", input.strides(), " cannot be viewed as ", full,
                             " without a copy; use reshape"));
  return view_as("view", input, full, strides);
}

Tensor flatten(const Tensor& input, int64_t start_dim, int64_t end_dim) {
  int start = normalize_dim("flatten", start_dim, input.ndim()), end = normalize_dim("flatten", end_dim, input.ndim());
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
  int d = normalize_dim("unflatten", dim, input.ndim());
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
  std::vector<int64_t> dims;
  for (int i = 0; i < input.ndim(); ++i) dims.push_back(i);
  return squeeze(input, dims);
}

Tensor squeeze(const Tensor& input, const std::vector<int64_t>& dims) {
  std::vector<int> gone = normalize_dims("squeeze", dims, input.ndim());
  Dims shape, strides;
  for (int i = 0; i < input.ndim(); ++i) {
    if (input.shape()[i] == 1 && std::find(gone.begin(), gone.end(), i) != gone.end()) continue;
    shape.push_back(input.shape()[i]);
    strides.push_back(input.strides()[i]);
  }
  return view_as("squeeze", input, shape, strides);
}

Tensor unsqueeze(const Tensor& input, int64_t dim) {
  int d = normalize_dim("unsqueeze", dim, input.ndim() + 1);
  Dims shape = input.shape(), strides = input.strides();
  shape.insert(d, 1);
  strides.insert(d, d < input.ndim() ? input.shape()[d] * input.strides()[d] : 1);
  return view_as("unsqueeze", input, shape, strides);
}

Tensor permute(const Tensor& input, const std::vector<int64_t>& dims) {
  std::vector<int> order = normalize_dims("permute", dims, input.ndim());
  if (static_cast<int>(order.size()) != input.ndim())
    throw Error(message("permute: ", order.size(), " dims for a tensor of shape ", input.shape()));
  Dims shape, strides;
  std::vector<int64_t> inverse(order.size());
  for (size_t k = 0; k < order.size(); ++k) {
    shape.push_back(input.shape()[order[k]]);
    strides.push_back(input.strides()[order[k]]);
    inverse[static_cast<size_t>(order[k])] = static_cast<int64_t>(k);
  }
  return with_view_gradient("permute", input.as_strided(shape, strides, input->offset), input,
                            [inverse](const Tensor& g, const Needs&) { return Grads{permute(g, inverse)}; });
}

Tensor transpose(const Tensor& input, int64_t dim0, int64_t dim1) {
  int a = normalize_dim("transpose", dim0, input.ndim()), b = normalize_dim("transpose", dim1, input.ndim());
  Dims shape = input.shape(), strides = input.strides();
  if (input.ndim() > 0) {
    std::swap(shape[a], shape[b]);
    std::swap(strides[a], strides[b]);
  }
  return with_view_gradient("transpose", input.as_strided(shape, strides, input->offset), input,
                            [a, b](const Tensor& g, const Needs&) { return Grads{transpose(g, a, b)}; });
}

Tensor movedim(const Tensor& input, const std::vector<int64_t>& source, const std::vector<int64_t>& destination) {
  std::vector<int> from = normalize_dims("movedim", source, input.ndim()),
                   to = normalize_dims("movedim", destination, input.ndim());
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
  return with_view_gradient(
      "expand", input.as_strided(full, strides, input->offset), input,
      [input_shape = input.shape()](const Tensor& g, const Needs&) { return Grads{sum_to(g, input_shape, g.dtype())}; });
}

Tensor narrow(const Tensor& input, int64_t dim, int64_t start, int64_t length) {
  if (input.ndim() == 0) throw IndexError("narrow: a tensor without dimensions cannot be narrowed");
  int d = normalize_dim("narrow", dim, input.ndim());
  const int64_t extent = input.shape()[d], first = start < 0 ? start + extent : start;
  if (first < 0 || first > extent || length < 0 || length > extent - first)
    throw IndexError(
        message("narrow: start ", start, " and length ", length, " do not fit in dimension ", d, " of ", input.shape()));
  ViewPlan plan = ViewPlan::identity(input.shape());
  plan.shape[d] = length;
  plan.start[d] = first;
  return view_by_plan("narrow", input, plan);
}

Tensor select(const Tensor& input, int64_t dim, int64_t index) {
  if (input.ndim() == 0) throw IndexError("select: a tensor without dimensions cannot be indexed");
  int d = normalize_dim("select", dim, input.ndim());
  const int64_t extent = input.shape()[d];
  if (index < -extent || index >= extent)
    throw IndexError(message("select: index ", index, " is out of range for dimension ", d, " of ", input.shape()));
  ViewPlan plan = ViewPlan::identity(input.shape());
  plan.start[d] = index < 0 ? index + extent : index;
  plan.shape.erase(d);
  plan.source.erase(d);
  plan.step.erase(d);
  return view_by_plan("select", input, plan);
}

Tensor slice(const Tensor& input, int64_t dim, int64_t start, int64_t end, int64_t step) {
  if (input.ndim() == 0) throw IndexError("slice: a tensor without dimensions cannot be sliced");
  if (step <= 0) throw ValueError(message("slice: step must be positive, got ", step));
  int d = normalize_dim("slice", dim, input.ndim());
  const int64_t extent = input.shape()[d];
  auto clamp = [extent](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + extent : i, 0, extent); };
  const int64_t first = clamp(start), last = std::max(first, clamp(end));
  ViewPlan plan = ViewPlan::identity(input.shape());
  plan.shape[d] = last > first ? (last - first - 1) / step + 1 : 0;
  plan.start[d] = first;
  plan.step[d] = step;
  return view_by_plan("slice", input, plan);
}

Tensor diagonal(const Tensor& input, int64_t offset, int64_t dim1, int64_t dim2) {
  if (input.ndim() < 2) throw ShapeError(message("diagonal: needs at least two dimensions, got shape ", input.shape()));
  const int a = normalize_dim("diagonal", dim1, input.ndim()), b = normalize_dim("diagonal", dim2, input.ndim());
  if (a == b) throw Error(message("diagonal: dim1 and dim2 are both ", a));
  // Clamped, so that no offset overflows; beyond the extents the diagonal is empty anyway.
  const int64_t rows = input.shape()[a], columns = input.shape()[b];
  const int64_t row = std::clamp<int64_t>(offset, -rows, 0) * -1, column = std::clamp<int64_t>(offset, 0, columns);
  const int64_t length = std::max<int64_t>(0, std::min(rows - row, columns - column));
  Dims shape;
  for (int i = 0; i < input.ndim(); ++i)
    if (i != a && i != b) shape.push_back(input.shape()[i]);
  shape.push_back(length);
  auto show = [=](const Tensor& t) {
    Dims strides;
    for (int i = 0; i < t.ndim(); ++i)
      if (i != a && i != b) strides.push_back(t.strides()[i]);
    strides.push_back(t.strides()[a] + t.strides()[b]);
    const int64_t first = length > 0 ? row * t.strides()[a] + column * t.strides()[b] : 0;
    return t.as_strided(shape, strides, t->offset + first);
  };
  return with_view_gradient("diagonal", show(input), input, [show, input_shape = input.shape()](const Tensor& g, const Needs&) {
    Tensor grad = Tensor::zeros(input_shape, g.options());
    copy_into(show(grad), g);
    return Grads{grad};
  });
}

std::vector<Tensor> split(const Tensor& input, const std::vector<int64_t>& sizes, int64_t dim) {
  int d = normalize_dim("split", dim, input.ndim());
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
  int d = normalize_dim("split", dim, input.ndim());
  if (input.ndim() == 0) throw IndexError("split: a tensor without dimensions cannot be split");
  const int64_t extent = input.shape()[d];
  if (size < 0 || (size == 0 && extent > 0)) throw ValueError(message("split: size must be positive, got ", size));
  std::vector<int64_t> sizes;
  sizes.reserve(extent > 0 ? static_cast<size_t>((extent - 1) / size + 1) : 1);
  for (int64_t left = extent; left > 0; left -= sizes.back()) sizes.push_back(std::min(size, left));
  if (sizes.empty()) sizes.push_back(0);
  return split(input, sizes, d);
}

std::vector<Tensor> chunk(const Tensor& input, int64_t chunks, int64_t dim) {
  if (chunks <= 0) throw ValueError(message("chunk: needs at least one chunk, got ", chunks));
  int d = normalize_dim("chunk", dim, input.ndim());
  if (input.ndim() == 0) throw IndexError("chunk: a tensor without dimensions cannot be cut");
  const int64_t extent = input.shape()[d], size = extent == 0 ? 0 : (extent - 1) / chunks + 1;
  return size == 0 ? split(input, std::vector<int64_t>(static_cast<size_t>(chunks), 0), d) : split(input, size, d);
}

std::vector<Tensor> unbind(const Tensor& input, int64_t dim) {
  int d = normalize_dim("unbind", dim, input.ndim());
  if (input.ndim() == 0) throw IndexError("unbind: a tensor without dimensions cannot be unbound");
  std::vector<Tensor> pieces;
  pieces.reserve(static_cast<size_t>(input.shape()[d]));
  for (int64_t i = 0; i < input.shape()[d]; ++i) pieces.push_back(select(input, d, i));
  return pieces;
}

}  // namespace cnnx
