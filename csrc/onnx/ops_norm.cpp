// Normalisation.
#include <algorithm>

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/norm.h"
#include "cnnx/ops/pad.h"
#include "cnnx/ops/pool.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

// In the net's training the running statistics move, as batch_norm of the library does; a node that is in training mode itself
// gives those that would follow as outputs, by the batch's variance, while the library's are by the unbiased one.
void batch_normalization(NodeRun& run) {
  const Tensor &x = run.in(0), &scale = run.in(1), &bias = run.in(2), &mean_in = run.in(3), &var_in = run.in(4);
  const double eps = run.real("epsilon", 1e-5), momentum = run.real("momentum", 0.9);
  const bool trains = run.flag("training_mode"), has_statistics = run.wants(1) || run.wants(2);
  if (!run.flag("spatial", true)) run.unsupported("attribute 'spatial' of 0");
  if (has_statistics && run.opset < 14) run.unsupported("outputs of statistics");
  if (has_statistics && !trains) run.fail("outputs of statistics without training_mode");
  if (x.ndim() < 2) run.fail(message("an input of shape ", x.shape(), " has no channels"));
  Dims axes;
  for (int i = 0; i < x.ndim(); ++i)
    if (i != 1) axes.push_back(i);
  const auto moved = [&](const Tensor& running, const Tensor& batch) {
    return add(mul(running, momentum), mul(batch, 1 - momentum));
  };
  if (run.wants(1)) run.out(1, moved(mean_in, mean(x, axes)));
  if (run.wants(2)) run.out(2, moved(var_in, var(x, axes, 0)));
  if (run.training || !trains) run.out(0, batch_norm(x, mean_in, var_in, scale, bias, run.training, 1 - momentum, eps));
  else run.out(0, batch_norm(x, {}, {}, scale, bias, true, 1 - momentum, eps));
}

void instance_normalization(NodeRun& run) {
  const Tensor& x = run.in(0);
  if (x.ndim() < 3) run.fail(message("an input of shape ", x.shape(), " has no spatial axes"));
  run.out(group_norm(x, x.size(1), run.in(1), run.in(2), run.real("epsilon", 1e-5)));
}

// What statistics are held in: float32 says every file; here it is at least that.
void check_stash_type(const NodeRun& run) {
  if (const int64_t type = run.integer("stash_type", 1); type != 1)
    run.unsupported("attribute 'stash_type' of " + dtype_name(type));
}

// From opset 21 on, and in a few files before, there is a scale for each channel; before, for each group.
void group_normalization(NodeRun& run) {
  const Tensor& x = run.in(0);
  const int64_t groups = run.integer("num_groups");
  check_stash_type(run);
  if (x.ndim() < 2 || groups < 1 || x.size(1) % groups != 0)
    run.fail(message("an input of shape ", x.shape(), " in ", groups, " groups"));
  const auto each = [&](const Tensor& t) {
    if (run.opset >= 21 || t.numel() != groups) return t;
    return reshape(expand(reshape(t, {groups, 1}), {groups, x.size(1) / groups}), {x.size(1)});
  };
  run.out(group_norm(x, groups, each(run.in(1)), each(run.in(2)), run.real("epsilon", 1e-5)));
}

// The axes from `axis` on.
Dims last_axes(const NodeRun& run, const Tensor& x) {
  Dims axes;
  for (int64_t i = normalized(run, run.integer("axis", -1), x.ndim()); i < x.ndim(); ++i) axes.push_back(i);
  return axes;
}

void layer_normalization(NodeRun& run) {
  const Tensor &x = run.in(0), &scale = run.in(1), &bias = run.optional(2);
  const double eps = run.real("epsilon", 1e-5);
  const Dims axes = last_axes(run, x);
  check_stash_type(run);
  const Dims shape(x.shape().begin() + axes[0], x.shape().end());
  const bool is_plain = scale.shape() == shape && (!bias.defined() || bias.shape() == shape);
  Tensor y = is_plain ? layer_norm(x, shape, scale, bias, eps) : mul(layer_norm(x, shape, {}, {}, eps), scale);
  if (!is_plain && bias.defined()) y = add(y, bias);
  run.out(0, y);
  if (run.wants(1)) run.out(1, mean(x, axes, true));
  if (run.wants(2)) run.out(2, rsqrt(add(var(x, axes, 0, true), eps)));
}

void rms_normalization(NodeRun& run) {
  const Tensor& x = run.in(0);
  check_stash_type(run);
  const Tensor power = mean(square(x), last_axes(run, x), true);
  run.out(mul(mul(x, rsqrt(add(power, run.real("epsilon", 1e-5)))), run.in(1)));
}

// By the squares of neighbouring channels.
void lrn(NodeRun& run) {
  const Tensor& x = run.in(0);
  const int64_t size = run.integer("size");
  if (x.ndim() < 3 || size < 1) run.fail(message("an input of shape ", x.shape(), " and a size of ", size));
  const Tensor squares = reshape(square(x), {x.size(0), 1, x.size(1), -1});
  const Tensor framed = pad(squares, {0, 0, (size - 1) / 2, size / 2});
  const Tensor means = reshape(avg_pool2d(framed, {.kernel = {size, 1}, .stride = {1, 1}}), x.shape());
  const double alpha = run.real("alpha", 1e-4), beta = run.real("beta", 0.75), bias = run.real("bias", 1);
  run.out(div(x, pow(add(mul(means, alpha), bias), beta)));
}

// Zeros stay zeros.
void lp_normalization(NodeRun& run) {
  const Tensor& x = run.in(0);
  const int64_t p = run.integer("p", 2);
  if (p != 1 && p != 2) run.fail(message("p is ", p));
  const Tensor norms = norm(x, static_cast<double>(p), {normalized(run, run.integer("axis", -1), x.ndim())}, true);
  run.out(div(x, where(eq(norms, 0), 1.0, norms)));
}

void mean_variance_normalization(NodeRun& run) {
  const Tensor& x = run.in(0);
  const auto given = axes_of(run, 1, x.ndim()).value_or(std::vector<int64_t>{0, 2, 3});
  const Dims axes(given.begin(), given.end());
  if (axes.empty() || *std::max_element(axes.begin(), axes.end()) >= x.ndim()) run.fail("axes outside of the input");
  const Tensor centred = sub(x, mean(x, axes, true));
  run.out(div(centred, add(sqrt(mean(square(centred), axes, true)), 1e-9)));
}

constexpr Op kOps[] = {
    {.name = "BatchNormalization",
     .run = batch_normalization,
     .attributes = "epsilon momentum spatial training_mode",
     .parameters = 0b110,
     .buffers = 0b11000},
    {.name = "InstanceNormalization", .run = instance_normalization, .attributes = "epsilon", .parameters = 0b110},
    {.name = "GroupNormalization",
     .run = group_normalization,
     .attributes = "epsilon num_groups stash_type",
     .parameters = 0b110},
    {.name = "LayerNormalization", .run = layer_normalization, .attributes = "axis epsilon stash_type", .parameters = 0b110},
    {.name = "RMSNormalization", .run = rms_normalization, .attributes = "axis epsilon stash_type", .parameters = 0b10},
    {.name = "LRN", .run = lrn, .attributes = "alpha beta bias size"},
    {.name = "LpNormalization", .run = lp_normalization, .attributes = "axis p"},
    {.name = "MeanVarianceNormalization", .run = mean_variance_normalization, .attributes = "axes"},
};

}  // namespace

std::span<const Op> norm_ops() { return kOps; }

}  // namespace cnnx::onnx
