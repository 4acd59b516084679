// Shapes and dtypes, and what puts elements in another order.
#include <algorithm>

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

void identity(NodeRun& run) { run.out(run.in(0)); }

void shape(NodeRun& run) {
  const Dims& shape = run.in(0).shape();
  const int64_t n = shape.size();
  const auto place = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + n : i, 0, n); };
  const int64_t start = place(run.integer("start", 0)), end = place(run.integer("end", n));
  run.out(
      integers_tensor(start < end ? std::vector<int64_t>(shape.begin() + start, shape.begin() + end) : std::vector<int64_t>{}));
}

void size(NodeRun& run) { run.out(reshape(integers_tensor({run.in(0).numel()}), Dims{})); }

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
  if (!run.flag("allowzero"))
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] != 0) continue;
      if (i >= static_cast<size_t>(x.ndim())) run.fail(message("a 0 at ", i, " for an input of shape ", x.shape()));
      sizes[i] = x.size(static_cast<int>(i));
    }
  run.out(reshape(x, Dims(sizes.begin(), sizes.end())));
}

void squeeze_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  const auto axes = axes_of(run, 1, x.ndim());
  if (!axes) return run.out(squeeze(x));
  for (int64_t axis : *axes)
    if (x.size(static_cast<int>(axis)) != 1) run.fail(message("axis ", axis, " of an input of shape ", x.shape(), " is not 1"));
  run.out(squeeze(x, *axes));
}

void unsqueeze_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  auto axes = run.integers("axes", 1);
  if (!axes) run.fail("needs axes");
  const int64_t n = x.ndim() + static_cast<int64_t>(axes->size());
  if (n > Dims::kMaxDims) run.unsupported(message(n, " dimensions"));
  for (int64_t& axis : *axes) axis = normalized(run, axis, n);
  std::ranges::sort(*axes);
  if (std::ranges::adjacent_find(*axes) != axes->end()) run.fail("an axis is named twice");
  Dims shape = x.shape();
  for (int64_t axis : *axes) shape.insert(static_cast<int>(axis), 1);
  run.out(reshape(x, shape));
}

void transpose_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  std::vector<int64_t> order;
  for (int i = x.ndim() - 1; i >= 0; --i) order.push_back(i);
  run.out(permute(x, run.integers("perm").value_or(order)));
}

// To the shape that input and sizes broadcast to.
void expand_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  const std::vector<int64_t> sizes = run.integers(size_t{1});
  if (sizes.size() > static_cast<size_t>(Dims::kMaxDims)) run.unsupported(message(sizes.size(), " dimensions"));
  run.out(expand(x, broadcast_shapes("Expand", x.shape(), Dims(sizes.begin(), sizes.end()))));
}

void tile(NodeRun& run) {
  const std::vector<int64_t> times = run.integers(size_t{1});
  if (times.size() != static_cast<size_t>(run.in(0).ndim())) run.fail("needs a number for each dimension");
  run.out(repeat(run.in(0), Dims(times.begin(), times.end())));
}

void cast(NodeRun& run) { run.out(to(run.in(0), run.dtype("to"))); }
void cast_like(NodeRun& run) { run.out(to(run.in(0), run.in(1).dtype())); }

const Tensor& images(NodeRun& run) {
  if (run.in(0).ndim() != 4) run.fail(message("an input of shape ", run.in(0).shape()));
  return run.in(0);
}

void depth_to_space(NodeRun& run) {
  const Tensor& x = images(run);
  const int64_t b = run.integer("blocksize");
  if (b < 1 || b > x.size(1) || x.size(1) % (b * b) != 0)
    run.fail(message("a block of ", b, " for an input of shape ", x.shape()));
  const int64_t n = x.size(0), c = x.size(1) / (b * b), h = x.size(2), w = x.size(3);
  const bool columns_first = run.word("mode", "DCR", {"DCR", "CRD"}) == "CRD";
  const Tensor y = columns_first ? permute(reshape(x, {n, c, b, b, h, w}), {0, 1, 4, 2, 5, 3})
                                 : permute(reshape(x, {n, b, b, c, h, w}), {0, 3, 4, 1, 5, 2});
  run.out(reshape(y, {n, c, h * b, w * b}));
}

void space_to_depth(NodeRun& run) {
  const Tensor& x = images(run);
  const int64_t b = run.integer("blocksize");
  if (b < 1 || b > x.size(2) || x.size(2) % b != 0 || x.size(3) % b != 0)
    run.fail(message("a block of ", b, " for an input of shape ", x.shape()));
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2) / b, w = x.size(3) / b;
  const bool columns_first = run.word("mode", "DCR", {"DCR", "CRD"}) == "CRD";
  const Tensor y = permute(reshape(x, {n, c, h, b, w, b}),
                           columns_first ? std::vector<int64_t>{0, 1, 3, 5, 2, 4} : std::vector<int64_t>{0, 3, 5, 1, 2, 4});
  run.out(reshape(y, {n, c * b * b, h, w}));
}

void trilu(NodeRun& run) {
  const int64_t k = run.has(1) ? run.whole(1) : 0;
  run.out(run.flag("upper", true) ? triu(run.in(0), k) : tril(run.in(0), k));
}

constexpr Op kOps[] = {
    {.name = "Identity", .run = identity, .is_form = true},
    {.name = "Shape", .run = shape, .attributes = "start end", .of_shapes = true},
    {.name = "Size", .run = size, .of_shapes = true},
    {.name = "Flatten", .run = flatten_node, .attributes = "axis", .is_form = true},
    {.name = "Reshape", .run = reshape_node, .attributes = "allowzero", .is_form = true},
    {.name = "Squeeze", .run = squeeze_node, .attributes = "axes", .is_form = true},
    {.name = "Unsqueeze", .run = unsqueeze_node, .attributes = "axes", .is_form = true},
    {.name = "Transpose", .run = transpose_node, .attributes = "perm", .is_form = true},
    {.name = "Expand", .run = expand_node},
    {.name = "Tile", .run = tile},
    {.name = "Cast", .run = cast, .attributes = "round_mode saturate to", .is_form = true},
    {.name = "CastLike", .run = cast_like, .attributes = "round_mode saturate"},
    {.name = "DepthToSpace", .run = depth_to_space, .attributes = "blocksize mode"},
    {.name = "SpaceToDepth", .run = space_to_depth, .attributes = "blocksize mode"},
    {.name = "Trilu", .run = trilu, .attributes = "upper"},
};

}  // namespace

std::span<const Op> shape_ops() { return kOps; }

}  // namespace cnnx::onnx
