// Pooling.
#include <algorithm>
#include <cmath>

#include "cnnx/ops/conv.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/pad.h"
#include "cnnx/ops/pool.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "onnx/spatial.h"

namespace cnnx::onnx {
namespace {

// The geometry with the padding at the ends that windows need, and how much of that is beyond the node's own. With ceil_mode the
// last window may reach beyond the padding, but does not begin in it.
struct Windows : Spatial {
  std::array<int64_t, 2> beyond{};
};

Windows windows(const NodeRun& run, const Tensor& x) {
  Windows w{spatial(run, x, kernel_shape(run, x))};
  for (int i = 0; i < 4; ++i)  // as in ONNX Runtime; more would be windows of padding alone, as many as a file pleases
    if (w.padding[i] >= w.covered(i / 2))
      run.fail(message("padding by ", w.padding[i], " of windows that cover ", w.covered(i / 2)));
  if (!run.flag("ceil_mode")) return w;
  for (int axis = 2 - w.axes; axis < 2; ++axis) {
    const int64_t size = x.size(axis + x.ndim() - 2), begin = w.padding[2 * axis], step = w.stride[axis];
    const int64_t room = size + begin + w.padding[2 * axis + 1] - w.covered(axis);
    int64_t count = (room + step - 1) / step + 1;
    if ((count - 1) * step >= size + begin) --count;
    w.beyond[axis] = std::max<int64_t>((count - 1) * step - room, 0);
    w.padding[2 * axis + 1] += w.beyond[axis];
  }
  return w;
}

// With a constant around its last axes.
Tensor surrounded(const Tensor& x, const Windows& w, double value) {
  std::vector<int64_t> pads = {w.padding[2], w.padding[3]};
  if (w.axes == 2) pads.insert(pads.end(), {w.padding[0], w.padding[1]});
  return pad(x, pads, PadMode::constant, value);
}

// Max-pooling's indices count over the whole batch, and not over the padding.
Tensor over_the_batch(const NodeRun& run, const Tensor& places, const Tensor& x, const Windows& w, const Dims& padded,
                      const AxisInts& begin) {
  const int64_t width = x.size(-1), height = w.axes == 2 ? x.size(-2) : 1, row = padded.back();
  const Tensor line = sub(floor_divide(places, row), begin[0]), column = sub(remainder(places, row), begin[1]);
  const Tensor inside = run.flag("storage_order") ? add(mul(column, height), line) : add(mul(line, width), column);
  Dims planes = Dims::filled(x.ndim(), 1);
  planes[0] = x.size(0), planes[1] = x.size(1);
  const int64_t each = width * height, count = x.size(0) * x.size(1);
  const Tensor offset = reshape(arange(0, count * each, std::max<int64_t>(each, 1), {.device = x.device()}), planes);
  return add(inside, offset);
}

void max_pool(NodeRun& run) {
  const Tensor& given = run.in(0);
  const bool is_real = is_floating_point(given.dtype());
  const Tensor x = is_real ? given : to(given, DType::float32);  // bytes, which float32 holds
  const Windows w = windows(run, x);
  // What the library pads itself, up to half of the kernel; more goes before.
  bool is_before = !w.is_symmetric();
  for (int axis = 0; axis < 2; ++axis) is_before = is_before || 2 * w.padding[2 * axis] > w.kernel[axis];
  const Tensor from = is_before ? surrounded(x, w, -INFINITY) : x;
  const AxisInts begin{w.padding[0], w.padding[2]};
  const PoolOptions options{
      .kernel = w.kernel, .stride = w.stride, .padding = is_before ? AxisInts{0, 0} : begin, .dilation = w.dilation};
  const auto back = [&](const Tensor& y) { return is_real ? y : to(y, given.dtype()); };
  if (!run.wants(1)) return run.out(back(w.axes == 1 ? max_pool1d(from, options) : max_pool2d(from, options)));
  const auto [y, places] = w.axes == 1 ? max_pool1d_with_indices(from, options) : max_pool2d_with_indices(from, options);
  run.out(back(y));
  run.out(1, over_the_batch(run, places, x, w, from.shape(), is_before ? begin : AxisInts{0, 0}));
}

Tensor mean_pool(const Tensor& x, const Spatial& w, const AxisInts& padding, bool count_include_pad) {
  const PoolOptions options{.kernel = w.kernel, .stride = w.stride, .padding = padding, .count_include_pad = count_include_pad};
  return w.axes == 1 ? avg_pool1d(x, options) : avg_pool2d(x, options);
}

// Of windows with gaps: a convolution of each plane with ones.
Tensor dilated_mean(const Tensor& x, const Spatial& w) {
  Dims planes = x.shape(), one = Dims::filled(x.ndim(), 1);
  planes[0] = x.size(0) * x.size(1), planes[1] = 1;
  for (int axis = 0; axis < w.axes; ++axis) one[2 + axis] = w.kernel[2 - w.axes + axis];
  const Tensor kernel = Tensor::full(one, 1.0 / static_cast<double>(w.kernel[0] * w.kernel[1]), x.options());
  const ConvOptions options{.stride = w.stride, .dilation = w.dilation};
  const Tensor from = reshape(x, planes), y = w.axes == 1 ? conv1d(from, kernel, {}, options) : conv2d(from, kernel, {}, options);
  Dims shape = y.shape();
  shape[0] = x.size(0), shape[1] = x.size(1);
  return reshape(y, shape);
}

// The mean over whole windows, zeros around the input among them.
Tensor mean_with_padding(const Tensor& x, const Windows& w) {
  const Tensor from = surrounded(x, w, 0);
  return w.dilation == AxisInts{1, 1} ? mean_pool(from, w, {0, 0}, true) : dilated_mean(from, w);
}

void average_pool(NodeRun& run) {
  const Tensor& x = run.in(0);
  const bool counts = run.flag("count_include_pad");
  const Windows w = windows(run, x);
  const AxisInts begin{w.padding[0], w.padding[2]};
  bool is_simple = w.is_symmetric() && w.dilation == AxisInts{1, 1} && w.beyond == std::array<int64_t, 2>{};
  for (int axis = 0; axis < 2; ++axis) is_simple = is_simple && 2 * begin[axis] <= w.kernel[axis];
  if (is_simple) return run.out(mean_pool(x, w, begin, counts));
  // The mean over whole windows, divided by the share of each that counts.
  Dims one = x.shape();
  one[0] = one[1] = 1;
  Tensor share = Tensor::full(one, 1, x.options());
  Windows rest = w;
  if (counts) {
    Windows own = w;
    for (int axis = 0; axis < 2; ++axis) own.padding[2 * axis + 1] -= w.beyond[axis];
    share = surrounded(share, own, 1);
    rest.padding = {0, w.beyond[0], 0, w.beyond[1]};
  }
  run.out(div(mean_with_padding(x, w), mean_with_padding(share, rest)));
}

void lp_pool(NodeRun& run) {
  const Tensor& x = run.in(0);
  const auto p = static_cast<double>(run.integer("p", 2));
  if (p < 1) run.fail(message("p is ", p));
  const Windows w = windows(run, x);
  const Tensor powers = mean_with_padding(pow(abs(x), p), w);
  run.out(pow(mul(powers, static_cast<double>(w.kernel[0] * w.kernel[1])), 1 / p));
}

Dims spatial_axes(const NodeRun& run, const Tensor& x) {
  if (x.ndim() < 3) run.fail(message("an input of shape ", x.shape(), " has no spatial axes"));
  Dims axes;
  for (int i = 2; i < x.ndim(); ++i) axes.push_back(i);
  return axes;
}

void global_average_pool(NodeRun& run) {
  const Tensor& x = run.in(0);
  run.out(x.ndim() == 4 ? adaptive_avg_pool2d(x, {1, 1}) : mean(x, spatial_axes(run, x), true));
}

void global_max_pool(NodeRun& run) {
  const Tensor& x = run.in(0);
  run.out(x.ndim() == 4 ? adaptive_max_pool2d(x, {1, 1}) : amax(x, spatial_axes(run, x), true));
}

void global_lp_pool(NodeRun& run) {
  const Tensor& x = run.in(0);
  run.out(norm(x, static_cast<double>(run.integer("p", 2)), spatial_axes(run, x), true));
}

// Values back to where max-pooling found them; the indices count over the whole result without output_shape's margin.
void max_unpool(NodeRun& run) {
  const Tensor &x = run.in(0), &places = run.in(1);
  const Spatial s = spatial(run, x, kernel_shape(run, x));
  Dims shape = x.shape();
  for (int axis = 0; axis < s.axes; ++axis) {
    const int of = 2 - s.axes + axis;
    shape[2 + axis] = (x.size(2 + axis) - 1) * s.stride[of] - s.padding[2 * of] - s.padding[2 * of + 1] + s.kernel[of];
  }
  Dims wanted = shape;
  if (run.has(2)) {
    const std::vector<int64_t> sizes = run.integers(size_t{2});
    if (sizes.size() != static_cast<size_t>(x.ndim())) run.fail("output_shape needs an extent for each dimension");
    wanted = Dims(sizes.begin(), sizes.end());
  }
  const Tensor zeros = Tensor::zeros({wanted.numel()}, x.options());
  Tensor flat = to(reshape(places, {-1}), DType::int64);
  if (!(wanted == shape)) {  // from places in the smaller planes to those of the larger
    const int64_t w = shape.back(), h = s.axes == 2 ? shape.at(-2) : 1, to_w = wanted.back(),
                  to_h = s.axes == 2 ? wanted.at(-2) : 1;
    const Tensor plane = floor_divide(flat, w * h), line = remainder(floor_divide(flat, w), h), column = remainder(flat, w);
    flat = add(mul(add(mul(plane, to_h), line), to_w), column);
  }
  run.out(reshape(scatter(zeros, 0, flat, reshape(x, {-1})), wanted));
}

constexpr Op kOps[] = {
    {.name = "MaxPool", .run = max_pool, .attributes = "auto_pad ceil_mode dilations kernel_shape pads storage_order strides"},
    {.name = "AveragePool",
     .run = average_pool,
     .attributes = "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"},
    {.name = "LpPool", .run = lp_pool, .attributes = "auto_pad ceil_mode dilations kernel_shape p pads strides"},
    {.name = "GlobalAveragePool", .run = global_average_pool},
    {.name = "GlobalMaxPool", .run = global_max_pool},
    {.name = "GlobalLpPool", .run = global_lp_pool, .attributes = "p"},
    {.name = "MaxUnpool", .run = max_unpool, .attributes = "kernel_shape pads strides"},
};

}  // namespace

std::span<const Op> pool_ops() { return kOps; }

}  // namespace cnnx::onnx
