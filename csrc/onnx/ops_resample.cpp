// Padding, resizing, images read at places that a grid says.
#include <algorithm>
#include <cmath>

#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/grid_sample.h"
#include "cnnx/ops/join.h"
#include "cnnx/ops/linear.h"
#include "cnnx/ops/pad.h"
#include "cnnx/ops/view.h"
#include "onnx/indices.h"
#include "onnx/ops.h"
#include "onnx/resize.h"

namespace cnnx::onnx {
namespace {

// Elements repeated at the ends of one axis.
Tensor padded_by_copies(NodeRun& run, const Tensor& x, int axis, int64_t before, int64_t after, PadMode mode) {
  const int64_t n = x.size(axis);
  if (n == 0) run.fail(message("an input of shape ", x.shape(), " has nothing to repeat"));
  const Tensor index = run.once([&] {
    const Tensor result = Tensor::empty({checked_sum(checked_sum(n, before), after)}, {DType::int64});
    const int64_t period = mode == PadMode::circular ? n : std::max<int64_t>(2 * (n - 1), 1);
    for (int64_t i = 0; i < result.numel(); ++i) {
      const int64_t at = i - before, turn = ((at % period) + period) % period;
      result.pointer<int64_t>()[i] = mode == PadMode::replicate ? std::clamp<int64_t>(at, 0, n - 1)
                                     : turn < n                 ? turn
                                                                : period - turn;
    }
    return result;
  });
  return taken(x, axis, index);
}

void pad_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  const std::string word = run.word("mode", "constant", {"constant", "reflect", "edge", "wrap"});
  const PadMode mode = word == "constant"  ? PadMode::constant
                       : word == "reflect" ? PadMode::reflect
                       : word == "edge"    ? PadMode::replicate
                                           : PadMode::circular;
  const auto given = run.opset < 11 ? run.integers("pads") : std::optional(run.integers(size_t{1}));
  std::vector<int64_t> axes;
  for (int i = 0; i < x.ndim(); ++i) axes.push_back(i);
  if (run.has(3)) {
    axes = run.integers(size_t{3});
    for (int64_t& axis : axes) axis = normalized(run, axis, x.ndim());
  }
  if (!given || given->size() != 2 * axes.size()) run.fail(message("needs two pads for each of ", axes.size(), " axes"));
  std::vector<int64_t> pads(2 * static_cast<size_t>(x.ndim()), 0);  // (before, after) from the last axis on
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t at = 2 * static_cast<size_t>(x.ndim() - 1 - axes[i]);
    pads[at] = (*given)[i], pads[at + 1] = (*given)[axes.size() + i];
  }
  if (mode == PadMode::constant) {
    if (run.opset < 11) return run.out(pad(x, pads, mode, run.real("value", 0)));
    if (!run.has(2)) return run.out(pad(x, pads, mode, Number(0)));
    if (is_floating_point(x.dtype())) return run.out(pad(x, pads, mode, run.number(2)));
    return run.out(pad(x, pads, mode, run.whole(2)));
  }
  // The library's, of images.
  const size_t spatial = 2 * static_cast<size_t>(std::max(x.ndim() - 2, 0));
  const bool is_inner = std::all_of(pads.begin() + static_cast<ptrdiff_t>(spatial), pads.end(), [](int64_t n) { return n == 0; });
  bool fits = is_floating_point(x.dtype()) && (x.ndim() == 3 || x.ndim() == 4) && is_inner;
  for (size_t i = 0; fits && i < spatial; ++i) {
    const int64_t n = x.size(x.ndim() - 1 - static_cast<int>(i / 2));
    fits = pads[i] >= 0 && n > 0 && (mode == PadMode::replicate || pads[i] < n + (mode == PadMode::circular));
  }
  if (fits) return run.out(pad(x, {pads.begin(), pads.begin() + static_cast<ptrdiff_t>(spatial)}, mode));
  Tensor y = x;
  for (int axis = 0; axis < x.ndim(); ++axis) {
    const size_t at = 2 * static_cast<size_t>(x.ndim() - 1 - axis);
    if (pads[at] != 0 || pads[at + 1] != 0) y = padded_by_copies(run, y, axis, pads[at], pads[at + 1], mode);
  }
  run.out(y);
}

struct Wanted {
  std::vector<double> scales;  // one of the two
  std::vector<int64_t> sizes;
};

// The axes whose extent changes, or whose part is taken.
std::vector<ResizeAxis> resized_axes(const NodeRun& run, const Tensor& x, const Wanted& wanted, const std::vector<int64_t>& axes,
                                     const std::vector<double>& parts, const std::string& policy) {
  const size_t count = wanted.sizes.empty() ? wanted.scales.size() : wanted.sizes.size();
  for (int64_t size : wanted.sizes)
    if (size < 1 || size > kMaxElements) run.fail(message("a size of ", size));
  for (int64_t axis : axes)
    if (x.size(static_cast<int>(axis)) < 1) run.fail(message("an input of shape ", x.shape()));
  if (count != axes.size()) run.fail(message(count, " scales or sizes for ", axes.size(), " axes"));
  if (!parts.empty() && parts.size() != 2 * count) run.fail(message("roi has ", parts.size(), " numbers for ", count, " axes"));
  double common = 0;
  for (size_t i = 0; policy != "stretch" && i < wanted.sizes.size(); ++i) {
    const double scale = static_cast<double>(wanted.sizes[i]) / static_cast<double>(x.size(static_cast<int>(axes[i])));
    common = i == 0 ? scale : policy == "not_larger" ? std::min(common, scale) : std::max(common, scale);
  }
  std::vector<ResizeAxis> found;
  for (size_t i = 0; i < count; ++i) {
    ResizeAxis a{.axis = static_cast<int>(axes[i]), .in = x.size(static_cast<int>(axes[i])), .out = 0, .scale = 1};
    const auto n = static_cast<double>(a.in);
    if (wanted.sizes.empty()) {
      a.scale = wanted.scales[i], a.is_scaled = true;
      if (!(a.scale > 0) || !(n * a.scale < 9e15)) run.fail(message("a scale of ", a.scale));
      a.out = static_cast<int64_t>(std::floor(n * a.scale));
    } else {
      if (!(common * n < 9e15)) run.fail(message("a scale of ", common));
      a.out = common == 0 ? wanted.sizes[i] : static_cast<int64_t>(std::floor(common * n + 0.5));
      a.scale = common == 0 ? static_cast<double>(a.out) / n : common;
      a.is_scaled = common != 0;
    }
    if (a.in < 1 || a.out < 1 || a.out > kMaxElements) run.fail(message("from ", a.in, " to ", a.out, " along axis ", axes[i]));
    if (!parts.empty()) a.begin = parts[i], a.end = parts[count + i];
    if (!(std::abs(a.begin) < 1e6 && std::abs(a.end) < 1e6)) run.fail(message("a part from ", a.begin, " to ", a.end));
    if (a.out != a.in || a.scale != 1 || !parts.empty()) found.push_back(a);
  }
  return found;
}

// Up to opset 10 (and in Upsample) positions are scaled from the corner, and the nearest is the one before.
void resize_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  const bool is_upsample = run.node.op == "Upsample", is_old = is_upsample || run.opset < 11;
  ResizeRule rule{.mode = run.word("mode", "nearest", {"nearest", "linear", "bilinear", "cubic"}),
                  .coordinates = is_old ? "asymmetric"
                                        : run.word("coordinate_transformation_mode", "half_pixel",
                                                   {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
                                                    "asymmetric", "tf_crop_and_resize"}),
                  .rounding = is_old ? "floor"
                                     : run.word("nearest_mode", "round_prefer_floor",
                                                {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}),
                  .cubic = run.real("cubic_coeff_a", -0.75),
                  .extrapolation = run.real("extrapolation_value", 0),
                  .exclude_outside = run.flag("exclude_outside"),
                  .antialias = run.flag("antialias")};
  if (rule.mode == "bilinear") rule.mode = "linear";
  std::vector<int64_t> axes;
  for (int i = 0; i < x.ndim(); ++i) axes.push_back(i);
  if (run.attribute("axes") != nullptr) axes = *axes_of(run, 9, x.ndim());
  Wanted wanted;
  if (is_upsample && run.opset < 9) {
    wanted.scales = run.reals("scales").value_or(std::vector<double>());
  } else {
    const size_t scales = is_old ? 1 : 2;
    if (run.has(scales) && run.in(scales).numel() > 0) wanted.scales = run.reals(scales);
    else if (!is_old && run.has(3)) wanted.sizes = run.integers(size_t{3});
  }
  if (wanted.scales.empty() == wanted.sizes.empty() && x.ndim() > 0) run.fail("needs scales or sizes");
  const bool by_parts = rule.coordinates == "tf_crop_and_resize";
  const auto policy = run.word("keep_aspect_ratio_policy", "stretch", {"stretch", "not_larger", "not_smaller"});
  run.out(
      resize(run, x, resized_axes(run, x, wanted, axes, by_parts ? run.reals(size_t{1}) : std::vector<double>(), policy), rule));
}

void grid_sample_node(NodeRun& run) {
  const std::string mode = run.word("mode", "linear", {"linear", "bilinear", "nearest", "cubic", "bicubic"});
  const std::string padding = run.word("padding_mode", "zeros", {"zeros", "border", "reflection"});
  const Tensor& x = run.in(0);
  if (x.ndim() != 4) run.unsupported(message("an input of shape ", x.shape(), ": cnnx has two spatial axes"));
  run.out(grid_sample(x, run.in(1),
                      mode == "nearest"                      ? GridMode::nearest
                      : mode == "cubic" || mode == "bicubic" ? GridMode::bicubic
                                                             : GridMode::bilinear,
                      padding == "zeros"    ? GridPadding::zeros
                      : padding == "border" ? GridPadding::border
                                            : GridPadding::reflection,
                      run.flag("align_corners")));
}

// The positions of images of a size, moved by matrices (N, 2, 3).
void affine_grid(NodeRun& run) {
  const Tensor& theta = run.in(0);
  const std::vector<int64_t> size = run.integers(size_t{1});
  if (size.size() != 4) run.unsupported(message("images of ", size.size(), " dimensions: cnnx has two spatial axes"));
  const bool corners = run.flag("align_corners");
  const auto positions = [&](int64_t n) {
    const double end = corners ? 1 : 1 - 1 / static_cast<double>(n);
    return n == 1 && corners ? Tensor::zeros({1}, theta.options())
                             : to(linspace(-end, end, n, {.dtype = theta.dtype()}), theta.device());
  };
  if (std::ranges::any_of(size, [](int64_t n) { return n < 1; })) run.fail("an extent below 1");
  const Dims plane{size[2], size[3]};
  const Tensor x = expand(positions(size[3]), plane), y = expand(reshape(positions(size[2]), {size[2], 1}), plane);
  const Tensor base = reshape(stack({x, y, Tensor::full(plane, 1, theta.options())}, -1), {1, size[2] * size[3], 3});
  run.out(reshape(matmul(base, transpose(theta, 1, 2)), {size[0], size[2], size[3], 2}));
}

constexpr Op kOps[] = {
    {.name = "Pad", .run = pad_node, .attributes = "mode pads value"},
    {.name = "Resize",
     .run = resize_node,
     .attributes = "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value "
                   "keep_aspect_ratio_policy mode nearest_mode",
     .since = 10},
    {.name = "Upsample", .run = resize_node, .attributes = "mode scales", .until = 9},
    {.name = "GridSample", .run = grid_sample_node, .attributes = "align_corners mode padding_mode"},
    {.name = "AffineGrid", .run = affine_grid, .attributes = "align_corners"},
};

}  // namespace

std::span<const Op> resample_ops() { return kOps; }

}  // namespace cnnx::onnx
