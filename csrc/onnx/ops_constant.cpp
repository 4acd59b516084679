// Tensors made from numbers.
#include <cmath>

#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/view.h"
#include "onnx/net.h"

namespace cnnx::onnx {

Tensor constant_value(const Node& node) {
  if (node.attributes.size() != 1) throw ValueError(message("onnx: ", node.str(), ": needs one attribute"));
  const Attribute& a = node.attributes[0];
  switch (a.kind) {
    case Attribute::Kind::tensor: return a.tensor;
    case Attribute::Kind::integer: return reshape(integers_tensor({a.integer}), Dims{});
    case Attribute::Kind::integers: return integers_tensor(a.integers);
    case Attribute::Kind::real: return Tensor::scalar(a.real);
    case Attribute::Kind::reals: {
      const Tensor result = Tensor::empty({static_cast<int64_t>(a.reals.size())});
      for (size_t i = 0; i < a.reals.size(); ++i) result.pointer<float>()[i] = static_cast<float>(a.reals[i]);
      return result;
    }
    default: throw NotImplementedError(message("onnx: ", node.str(), ": attribute ", quoted(a.name)));
  }
}

namespace {

void constant(NodeRun& run) { run.out(constant_value(run.node)); }

Dims shape_of(const NodeRun& run, const std::vector<int64_t>& sizes) {
  if (sizes.size() > static_cast<size_t>(Dims::kMaxDims)) run.unsupported(message(sizes.size(), " dimensions"));
  for (int64_t size : sizes)
    if (size < 0) run.fail(message("an extent of ", size));
  return Dims(sizes.begin(), sizes.end());
}

void constant_of_shape(NodeRun& run) {
  const Dims shape = shape_of(run, run.integers(size_t{0}));
  const Attribute* value = run.attribute("value");
  if (value == nullptr) return run.out(Tensor::zeros(shape));
  if (value->kind != Attribute::Kind::tensor || value->tensor.numel() != 1) run.fail("attribute 'value' must be one number");
  const Tensor& one = value->tensor;
  run.out(make_contiguous(expand(reshape(one, Dims::filled(shape.size(), 1)), shape)));
}

void range(NodeRun& run) {
  const DType dtype = run.in(0).dtype();
  if (run.number(2) == 0) run.fail("a step of 0");
  if (is_floating_point(dtype)) {
    const double start = run.number(0), step = run.number(2);
    // The number of elements as the dtype counts them.
    const double wanted = std::max(0.0, std::ceil((run.number(1) - start) / step));
    if (!(wanted <= static_cast<double>(kMaxElements))) run.fail(message(wanted, " numbers"));
    const auto count = static_cast<int64_t>(wanted);
    return run.out(to(add(mul(arange(count), Tensor::scalar(step, {DType::float64})), start), dtype));
  }
  const int64_t from = run.whole(0), to = run.whole(1), step = run.whole(2);
  if (step > 0 ? to <= from : to >= from) return run.out(Tensor::empty({0}, {dtype}));
  run.out(arange(from, to, step, {.dtype = dtype}));
}

DType dtype_attribute(const NodeRun& run, DType otherwise) {
  return run.attribute("dtype") == nullptr ? otherwise : run.dtype("dtype");
}

void eye_like(NodeRun& run) {
  const Tensor& x = run.in(0);
  if (x.ndim() != 2) run.fail(message("an input of shape ", x.shape()));
  const DType dtype = dtype_attribute(run, x.dtype());
  const int64_t rows = x.size(0), columns = x.size(1), k = run.integer("k", 0);
  const Tensor row = reshape(arange(rows), {rows, 1}), column = arange(columns);
  run.out(to(eq(sub(column, row), k), dtype));
}

// Indices outside of [-depth, depth) give no 1.
void one_hot_node(NodeRun& run) {
  const Tensor &x = run.in(0), &values = run.in(2);
  const int64_t depth = run.whole(1);
  if (depth < 0 || values.numel() != 2) run.fail("needs a depth and two values");
  const int64_t axis = normalized(run, run.integer("axis", -1), x.ndim() + 1);
  Dims shape = Dims::filled(x.ndim() + 1, 1);
  shape[static_cast<int>(axis)] = depth;
  const Tensor classes = reshape(arange(depth, {.device = x.device()}), shape);
  const Tensor is_it = eq(unsqueeze(from_the_front(x, depth), axis), classes);
  const Tensor pair = reshape(values, {2});
  run.out(where(is_it, select(pair, 0, 1), select(pair, 0, 0)));
}

constexpr Op kOps[] = {
    {.name = "Constant", .run = constant, .attributes = "value value_float value_floats value_int value_ints"},
    {.name = "ConstantOfShape", .run = constant_of_shape, .attributes = "value"},
    {.name = "Range", .run = range, .attributes = "stash_type"},
    {.name = "EyeLike", .run = eye_like, .attributes = "dtype k", .of_shapes = true},
    {.name = "OneHot", .run = one_hot_node, .attributes = "axis"},
};

}  // namespace

std::span<const Op> constant_ops() { return kOps; }

}  // namespace cnnx::onnx
