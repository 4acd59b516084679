// Shapes, constants and what moves elements.
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

Tensor integers_tensor(const std::vector<int64_t>& values) {
  const Tensor result = Tensor::empty({static_cast<int64_t>(values.size())}, {DType::int64});
  if (!values.empty()) std::copy(values.begin(), values.end(), result.data<int64_t>());
  return result;
}

void constant(NodeRun& run) {
  if (run.node.attributes.size() != 1) run.fail("needs one attribute");
  const Attribute& a = run.node.attributes[0];
  switch (a.kind) {
    case Attribute::Kind::tensor: return run.out(a.tensor);
    case Attribute::Kind::integer: return run.out(reshape(integers_tensor({a.integer}), Dims{}));
    case Attribute::Kind::integers: return run.out(integers_tensor(a.integers));
    case Attribute::Kind::real: return run.out(Tensor::scalar(a.real));
    case Attribute::Kind::reals: {
      const Tensor result = Tensor::empty({static_cast<int64_t>(a.reals.size())});
      for (size_t i = 0; i < a.reals.size(); ++i) result.data<float>()[i] = static_cast<float>(a.reals[i]);
      return run.out(result);
    }
    default: run.unsupported(message("attribute '", a.name, "'"));
  }
}

void identity(NodeRun& run) { run.out(run.in(0)); }

void shape(NodeRun& run) {
  const Dims& shape = run.in(0).shape();
  const int64_t n = shape.size();
  const auto place = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + n : i, 0, n); };
  const int64_t start = place(run.integer("start", 0)), end = place(run.integer("end", n));
  run.out(
      integers_tensor(start < end ? std::vector<int64_t>(shape.begin() + start, shape.begin() + end) : std::vector<int64_t>{}));
}

void flatten_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  const int64_t axis = run.integer("axis", 1), n = x.ndim();
  if (axis < -n || axis > n) run.fail(message("axis ", axis, " of ", n, " dimensions"));
  int64_t rows = 1, columns = 1;
  for (int i = 0; i < n; ++i) (i < (axis < 0 ? axis + n : axis) ? rows : columns) *= x.size(i);
  run.out(reshape(x, {rows, columns}));
}

void reshape_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  std::vector<int64_t> sizes = run.integers(size_t{1});
  if (sizes.size() > static_cast<size_t>(Dims::kMaxDims)) run.unsupported(message(sizes.size(), " dimensions"));
  if (run.integer("allowzero", 0) == 0)
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] != 0) continue;
      if (i >= static_cast<size_t>(x.ndim())) run.fail(message("a 0 at ", i, " for an input of shape ", x.shape()));
      sizes[i] = x.size(static_cast<int>(i));
    }
  run.out(reshape(x, Dims(sizes.begin(), sizes.end())));
}

constexpr Op kOps[] = {
    {.name = "Constant",
     .since = 1,
     .until = 0,
     .run = constant,
     .attributes = "value value_float value_floats value_int value_ints"},
    {.name = "Identity", .since = 1, .until = 0, .run = identity},
    {.name = "Shape", .since = 1, .until = 0, .run = shape, .attributes = "start end", .of_shapes = true},
    {.name = "Flatten", .since = 1, .until = 0, .run = flatten_node, .attributes = "axis"},
    {.name = "Reshape", .since = 5, .until = 0, .run = reshape_node, .attributes = "allowzero"},
};

}  // namespace

std::span<const Op> shape_ops() { return kOps; }

}  // namespace cnnx::onnx
