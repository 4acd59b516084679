// Tensors put together, and parts of them.
#include <algorithm>
#include <limits>

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/join.h"
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

void concat(NodeRun& run) {
  std::vector<Tensor> parts;
  for (size_t i = 0; i < run.input_count(); ++i) parts.push_back(run.in(i));
  if (parts.empty()) run.fail("needs inputs");
  const int64_t axis = normalized(run, run.integer("axis"), parts[0].ndim());
  run.out(parts.size() == 1 ? parts[0] : cat(parts, axis));
}

// Sizes by attribute or input; else equal ones, the last perhaps smaller.
void split_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  const int64_t axis = normalized(run, run.integer("axis", 0), x.ndim()), n = x.size(static_cast<int>(axis));
  const auto count = static_cast<int64_t>(run.output_count());
  if (count == 0) run.fail("needs outputs");
  if (run.integer("num_outputs", count) != count) run.fail(message("num_outputs differs from its ", count, " outputs"));
  std::vector<int64_t> sizes;
  if (run.attribute("split") != nullptr || run.has(1)) {
    sizes = run.attribute("split") != nullptr ? *run.integers("split") : run.integers(size_t{1});
  } else {
    const int64_t each = (n + count - 1) / count;
    for (int64_t i = 0, left = n; i < count; ++i, left -= sizes.back()) sizes.push_back(std::min(each, left));
  }
  int64_t sum = 0;
  for (int64_t size : sizes) {
    if (size < 0) run.fail(message("a part of ", size));
    sum = checked_sum(sum, size);
  }
  if (static_cast<int64_t>(sizes.size()) != count || sum != n)
    run.fail(message(sizes.size(), " parts of ", sum, " in all for ", count, " outputs of an extent of ", n));
  const std::vector<Tensor> parts = split(x, sizes, axis);
  for (size_t i = 0; i < parts.size(); ++i) run.out(i, parts[i]);
}

// Of one dimension: from start to before end, a negative step backwards. As Python counts, but that a start before the first
// element is the first, backwards, too.
Tensor sliced(const Tensor& x, int64_t axis, int64_t start, int64_t end, int64_t step) {
  const int64_t n = x.size(static_cast<int>(axis));
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  const auto place = [&](int64_t i) { return i < 0 ? (i < -n ? low : std::max(i + n, low)) : std::min(i, high); };
  if (n == 0) return x;
  const int64_t from = std::max<int64_t>(place(start), 0), until = place(end);
  if (step > 0) return slice(x, axis, from, std::max(from, until), std::min(step, std::max<int64_t>(n, 1)));
  // Backwards: the mirror image of the same.
  const int64_t stride = step < -n ? std::max<int64_t>(n, 1) : -step;
  return slice(flip(x, {axis}), axis, n - 1 - from, std::max(n - 1 - from, n - 1 - until), stride);
}

void slice_node(NodeRun& run) {
  Tensor x = run.in(0);
  const bool by_inputs = run.opset >= 10;
  const auto list = [&](const char* name, size_t i) { return by_inputs ? run.integers("", i) : run.integers(name); };
  const auto starts = list("starts", 1), ends = list("ends", 2);
  if (!starts || !ends) run.fail("needs starts and ends");
  const size_t count = starts->size();
  std::vector<int64_t> axes(count), steps(count, 1);
  for (size_t i = 0; i < count; ++i) axes[i] = static_cast<int64_t>(i);
  if (auto given = list("axes", 3)) axes = *given;
  if (by_inputs && run.has(4)) steps = run.integers(size_t{4});
  if (ends->size() != count || axes.size() != count || steps.size() != count)
    run.fail(message(count, " starts, ", ends->size(), " ends, ", axes.size(), " axes, ", steps.size(), " steps"));
  for (size_t i = 0; i < count; ++i) {
    if (steps[i] == 0 || steps[i] == std::numeric_limits<int64_t>::min()) run.fail(message("a step of ", steps[i]));
    x = sliced(x, normalized(run, axes[i], x.ndim()), (*starts)[i], (*ends)[i], steps[i]);
  }
  run.out(x);
}

// The middle of each axis, or zeros around it.
void center_crop_pad(NodeRun& run) {
  Tensor x = run.in(0);
  const std::vector<int64_t> sizes = run.integers(size_t{1});
  std::vector<int64_t> axes;
  for (int i = 0; i < x.ndim(); ++i) axes.push_back(i);
  if (const auto given = axes_of(run, 9, x.ndim())) axes = *given;
  if (axes.size() != sizes.size()) run.fail(message(sizes.size(), " sizes for ", axes.size(), " axes"));
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<int>(axes[i]);
    const int64_t n = x.size(axis), size = sizes[i];
    if (size < 0) run.fail(message("a size of ", size));
    if (size <= n) {
      x = narrow(x, axis, (n - size) / 2, size);
      continue;
    }
    Dims before = x.shape(), after = x.shape();
    before[axis] = (size - n) / 2, after[axis] = size - n - before[axis];
    x = cat({Tensor::zeros(before, x.options()), x, Tensor::zeros(after, x.options())}, axis);
  }
  run.out(x);
}

constexpr Op kOps[] = {
    {.name = "Concat", .run = concat, .attributes = "axis"},
    {.name = "Split", .run = split_node, .attributes = "axis num_outputs split"},
    {.name = "Slice", .run = slice_node, .attributes = "axes ends starts"},
    {.name = "CenterCropPad", .run = center_crop_pad, .attributes = "axes"},
};

}  // namespace

std::span<const Op> join_ops() { return kOps; }

}  // namespace cnnx::onnx
