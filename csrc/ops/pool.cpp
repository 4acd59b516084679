// Pooling. A 1-D one is a 2-D one of height 1, and an adaptive one whose result divides its input has windows of one size.
#include "cnnx/ops/pool.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/view.h"
#include "core/floats.h"
#include "core/node.h"
#include "kernels/dispatch.h"
#include "ops/spatial.h"
#include "ops/take.h"

namespace cnnx {
namespace {

struct PoolKind {
  const char* op;
  int axes;
};

// A 1-D pooling is one of height 1.
PoolOptions over_two_axes(const PoolKind& kind, PoolOptions o) {
  if (kind.axes == 1) o.kernel[0] = o.stride[0] = o.dilation[0] = 1, o.padding[0] = 0;
  return o;
}

// Those numbers of an option that count: the last ones.
std::string text_of(const PoolKind& kind, const AxisInts& values) { return Dims(values.end() - kind.axes, values.end()).str(); }

// Output positions along one axis; with ceil_mode a last window may hang over the right edge if it starts inside the padded
// input.
int64_t output_extent(int64_t input, int64_t padding, int64_t kernel, int64_t stride, int64_t dilation, bool ceil_mode) {
  const int64_t padded = checked_sum(input, checked_product(2, padding));
  const int64_t room = checked_sum(padded - 1 - checked_product(dilation, kernel - 1), ceil_mode ? stride - 1 : 0);
  if (room < 0) return 0;
  const int64_t extent = room / stride + 1;
  return ceil_mode && (extent - 1) * stride >= input + padding ? extent - 1 : extent;
}

Pool2dShape shape_of_input(const PoolKind& kind, const Tensor& input) {
  check_defined(kind.op, "input", input);
  if (input.ndim() != kind.axes + 1 && input.ndim() != kind.axes + 2)
    throw ShapeError(message(kind.op, ": input must be ", kind.axes == 1 ? "(N, C, W) or (C, W)" : "(N, C, H, W) or (C, H, W)",
                             ", got ", input.shape()));
  Pool2dShape s{};
  s.batch = input.ndim() == kind.axes + 1 ? 1 : input.size(0);
  s.channels = input.size(-kind.axes - 1);
  s.in_height = kind.axes == 1 ? 1 : input.size(-2);
  s.in_width = input.size(-1);
  s.dilation_height = s.dilation_width = 1;
  s.count_include_pad = true;
  s.lanes = 1;
  return s;
}

Pool2dShape shape_of(const PoolKind& kind, const Tensor& input, const PoolOptions& options) {
  const char* op = kind.op;
  const PoolOptions o = over_two_axes(kind, options);
  Pool2dShape s = shape_of_input(kind, input);
  check_window(op, o.kernel, o.stride, o.padding, o.dilation);
  for (size_t i = 0; i < 2; ++i) {
    if (o.kernel[i] < 1 || o.stride[i] < 1 || o.dilation[i] < 1)
      throw ValueError(message(op, ": kernel size, stride and dilation must be positive, got ", text_of(kind, o.kernel), ", ",
                               text_of(kind, o.stride), ", ", text_of(kind, o.dilation)));
    if (o.padding[i] < 0 || o.padding[i] > checked_sum(checked_product(o.dilation[i], o.kernel[i] - 1), 1) / 2)
      throw ValueError(message(op, ": padding must be between 0 and half the kernel, got ", text_of(kind, o.padding),
                               " for kernel ", text_of(kind, o.kernel)));
  }
  s.out_height = output_extent(s.in_height, o.padding[0], o.kernel[0], o.stride[0], o.dilation[0], o.ceil_mode);
  s.out_width = output_extent(s.in_width, o.padding[1], o.kernel[1], o.stride[1], o.dilation[1], o.ceil_mode);
  if (s.out_height < 1 || s.out_width < 1)
    throw ShapeError(message(op, ": kernel ", text_of(kind, o.kernel), " does not fit into input ", input.shape(),
                             " with padding ", text_of(kind, o.padding)));
  s.kernel_height = o.kernel[0];
  s.kernel_width = o.kernel[1];
  s.stride_height = o.stride[0];
  s.stride_width = o.stride[1];
  s.pad_top = s.pad_bottom = o.padding[0];
  s.pad_left = s.pad_right = o.padding[1];
  s.dilation_height = o.dilation[0];
  s.dilation_width = o.dilation[1];
  s.count_include_pad = o.count_include_pad;
  s.divisor_override = o.divisor_override;
  return s;
}

Pool2dShape adaptive_shape(const PoolKind& kind, const Tensor& input, const AxisInts& size) {
  Pool2dShape s = shape_of_input(kind, input);
  if (size[0] < 1 || size[1] < 1) throw ValueError(message(kind.op, ": output_size must be positive, got ", text_of(kind, size)));
  if (s.in_height < 1 || s.in_width < 1)
    throw ShapeError(message(kind.op, ": input ", input.shape(), " has no positions to pool"));
  s.out_height = size[0];
  s.out_width = size[1];
  s.adaptive = s.in_height % s.out_height != 0 || s.in_width % s.out_width != 0;
  // The largest window that can occur, for the cost and, if all are equal, the windows themselves.
  s.kernel_height = (s.in_height - 1) / s.out_height + 1 + (s.in_height % s.out_height != 0 ? 1 : 0);
  s.kernel_width = (s.in_width - 1) / s.out_width + 1 + (s.in_width % s.out_width != 0 ? 1 : 0);
  s.stride_height = s.kernel_height;
  s.stride_width = s.kernel_width;
  return s;
}

// The attributes of a pooling and of its gradient.
struct PoolCall {
  Pool2dShape shape;  // lanes: 1, the call decides
  int axes;
  bool single;      // without a batch
  bool with_index;  // of max pooling: the positions of the maxima are wanted
};
CNNX_FIELDS(PoolCall, shape, axes, single, with_index)

Dims side(const PoolCall& c, int64_t height, int64_t width) {
  Dims shape;
  if (!c.single) shape.push_back(c.shape.batch);
  shape.push_back(c.shape.channels);
  if (c.axes == 2) shape.push_back(height);
  shape.push_back(width);
  return shape;
}
Dims input_shape(const PoolCall& c) { return side(c, c.shape.in_height, c.shape.in_width); }
Dims output_shape(const PoolCall& c) { return side(c, c.shape.out_height, c.shape.out_width); }

bool lanes(const Call& call) { return !call.as<PoolCall>().single && lanes_for_images(call[0]); }

void infer_max(const Call& call, ResultSpecs& results) {
  const PoolCall& c = call.as<PoolCall>();
  results.push_back({output_shape(c), call[0].dtype(), Place::call});
  results.push_back({output_shape(c), DType::int32, Place::call, c.with_index, false});
}

void run_max(const Run& r) {
  on_floats(r, [&](const auto& f) {
    f.kernels.max_pool2d_forward(r.queue, shape_in_lanes<PoolCall>(r), f.in(0), f.out(0), r.out<int32_t>(1));
  });
}

void infer_avg(const Call& call, ResultSpecs& results) {
  results.push_back({output_shape(call.as<PoolCall>()), call[0].dtype(), Place::call});
}

void run_avg(const Run& r) {
  on_floats(r, [&](const auto& f) { f.kernels.avg_pool2d_forward(r.queue, shape_in_lanes<PoolCall>(r), f.in(0), f.out(0)); });
}

// Inputs of the gradients: that of the output and, of max pooling, the positions.
void infer_backward(const Call& call, ResultSpecs& results) {
  results.push_back({input_shape(call.as<PoolCall>()), call[0].dtype(), Place::call});
}

void run_max_backward(const Run& r) {
  on_floats(r, [&](const auto& f) {
    f.kernels.max_pool2d_backward(r.queue, shape_in_lanes<PoolCall>(r), f.in(0), r.in<int32_t>(1), f.out(0));
  });
}

void run_avg_backward(const Run& r) {
  on_floats(r, [&](const auto& f) { f.kernels.avg_pool2d_backward(r.queue, shape_in_lanes<PoolCall>(r), f.in(0), f.out(0)); });
}

void gradient_max_backward(const Backward& call, Grads& grads);
void gradient_avg_backward(const Backward& call, Grads& grads);
constexpr ByImage kByImage{[](void* attributes) { return &static_cast<PoolCall*>(attributes)->shape.batch; }};
constexpr OpDef kMaxBackward = op<PoolCall>("max_pool_backward", infer_backward, run_max_backward)
                                   .working_by_image(kByImage)
                                   .reads({Place::call, Place::row_major})
                                   .lanes_if(lanes)
                                   .with_gradient(gradient_max_backward, saving<input_bit(1)>);
constexpr OpDef kAvgBackward = op<PoolCall>("avg_pool_backward", infer_backward, run_avg_backward)
                                   .working_by_image(kByImage)
                                   .reads({Place::call})
                                   .lanes_if(lanes)
                                   .with_gradient(gradient_avg_backward);

void gradient_max(const Backward& call, Grads& grads) {
  grads[0] = emit_one(kMaxBackward, call.as<PoolCall>(), {call.grad(), call.result(1)});
}
void gradient_avg(const Backward& call, Grads& grads) { grads[0] = emit_one(kAvgBackward, call.as<PoolCall>(), {call.grad()}); }

// Of a plan: the gradient by the bytes that a layer keeps of its maxima (MaxPooled of core/op.h).
void run_unpool(const Run& r) {
  kernels<float>(r.queue).max_unpool(r.queue, shape_in_lanes<PoolCall>(r), r.in<float>(0), r.in<uint8_t>(1), r.out<float>(0));
}
constexpr OpDef kUnpool = op<PoolCall>("max_unpool", nullptr, run_unpool).working_by_image(kByImage);

int64_t window_side_by_side(const void* attributes) {
  const auto& c = *static_cast<const PoolCall*>(attributes);
  const Pool2dShape& s = c.shape;
  const bool fits = c.axes == 2 && !c.single && !s.adaptive && s.kernel_height == s.kernel_width && s.kernel_width <= 16 &&
                    s.stride_height == s.kernel_height && s.stride_width == s.kernel_width && s.pad_top == 0 && s.pad_left == 0 &&
                    s.dilation_height == 1 && s.dilation_width == 1 && s.out_height == s.in_height / s.kernel_height &&
                    s.out_width == s.in_width / s.kernel_width;
  return fits ? s.kernel_width : 0;
}
constexpr MaxPooling kMaxPooling{window_side_by_side, &kMaxBackward, &kUnpool};

constexpr OpDef max_op(const char* name) {
  return op<PoolCall>(name, infer_max, run_max)
      .working_by_image(kByImage)
      .with(&OpDef::max_pooling, &kMaxPooling)
      .reads({Place::call})
      .lanes_if(lanes)
      .with_gradient(gradient_max, saving<result_bit(1)>);
}
constexpr OpDef avg_op(const char* name) {
  return op<PoolCall>(name, infer_avg, run_avg)
      .working_by_image(kByImage)
      .reads({Place::call})
      .lanes_if(lanes)
      .with_gradient(gradient_avg);
}
// By adaptive or not, and axes.
constexpr OpDef kMax[2][2] = {{max_op("max_pool1d"), max_op("max_pool2d")},
                              {max_op("adaptive_max_pool1d"), max_op("adaptive_max_pool2d")}};
constexpr OpDef kAvg[2][2] = {{avg_op("avg_pool1d"), avg_op("avg_pool2d")},
                              {avg_op("adaptive_avg_pool1d"), avg_op("adaptive_avg_pool2d")}};

// The kernels' int32 positions, in the layout of the result, as a plain int64 tensor.
void infer_positions(const Call& call, ResultSpecs& results) {
  results.push_back({output_shape(call.as<PoolCall>()), DType::int64});
}
void run_positions(const Run& r) {
  const Tensor &from = r.inputs[0], &to = r.results[0];
  const ElementTable& table = elements(r.queue);
  if (from.numel() == to.numel() && from.shape() == to.shape())
    return table.copy(r.queue, {1, {to.numel()}, {{1}, {1}}}, DType::int64, r.result_data[0], DType::int32, r.input_data[0]);
  // From lanes: all whole blocks, then the images of the last one.
  const PoolCall& c = r.as<PoolCall>();
  const int64_t lanes = lane_count(), n = to.numel() / c.shape.batch, whole = c.shape.batch / lanes * lanes;
  const auto copy = [&](int64_t first, int64_t blocks, int64_t images) {
    if (blocks * images > 0)
      table.copy(r.queue, {3, {blocks, images, n}, {{lanes * n, n, 1}, {lanes * n, 1, lanes}}}, DType::int64,
                 r.out<int64_t>(0) + first * n, DType::int32, r.in<int32_t>(0) + first * n);
  };
  copy(0, whole / lanes, lanes);
  copy(whole, 1, c.shape.batch - whole);
}
constexpr OpDef kPositions = op<PoolCall>("max_pool_indices", infer_positions, run_positions);
Tensor plain_indices(const PoolCall& c, const Tensor& index) { return emit_one(kPositions, c, {index}); }

// Of the gradient in the maxima: the values where they were found.
void gradient_max_backward(const Backward& call, Grads& grads) {
  const PoolCall& c = call.as<PoolCall>();
  const int64_t planes = c.shape.batch * c.shape.channels;
  const Tensor index = reshape(plain_indices(c, call.input(1)), {planes, c.shape.out_height * c.shape.out_width});
  const Tensor values = reshape(call.grad(), {planes, c.shape.in_height * c.shape.in_width});
  grads[0] = reshape(take_along(TakeName::gather, values, 1, index), call.shape(0));
}
void gradient_avg_backward(const Backward& call, Grads& grads) {
  const PoolCall& c = call.as<PoolCall>();
  grads[0] = emit_one(kAvg[c.shape.adaptive][c.axes - 1], c, {call.grad()});
}

std::pair<Tensor, Tensor> run_max(const PoolKind& kind, bool adaptive, const Tensor& input, const Pool2dShape& s,
                                  bool want_indices) {
  const PoolCall c{s, kind.axes, input.ndim() == kind.axes + 1, want_indices || needs_grad({input})};
  Results results = emit(kMax[adaptive][kind.axes - 1], c, {input});
  return {results[0], want_indices ? plain_indices(c, results[1]) : Tensor()};
}
std::pair<Tensor, Tensor> max_pool(const PoolKind& kind, const Tensor& input, const PoolOptions& options, bool want_indices) {
  return run_max(kind, false, input, shape_of(kind, input, options), want_indices);
}
std::pair<Tensor, Tensor> adaptive_max(const PoolKind& kind, const Tensor& input, const AxisInts& size, bool want_indices) {
  return run_max(kind, true, input, adaptive_shape(kind, input, size), want_indices);
}
Tensor run_avg(const PoolKind& kind, bool adaptive, const Tensor& input, const Pool2dShape& s) {
  return emit_one(kAvg[adaptive][kind.axes - 1], PoolCall{s, kind.axes, input.ndim() == kind.axes + 1, false}, {input});
}
Tensor avg_pool(const PoolKind& kind, const Tensor& input, const PoolOptions& options) {
  return run_avg(kind, false, input, shape_of(kind, input, options));
}
Tensor adaptive_avg(const PoolKind& kind, const Tensor& input, const AxisInts& size) {
  return run_avg(kind, true, input, adaptive_shape(kind, input, size));
}

constexpr PoolKind kMax1d{"max_pool1d", 1}, kMax2d{"max_pool2d", 2}, kAvg1d{"avg_pool1d", 1}, kAvg2d{"avg_pool2d", 2},
    kAdaptiveMax1d{"adaptive_max_pool1d", 1}, kAdaptiveMax2d{"adaptive_max_pool2d", 2}, kAdaptiveAvg1d{"adaptive_avg_pool1d", 1},
    kAdaptiveAvg2d{"adaptive_avg_pool2d", 2};

}  // namespace

using TensorPair = std::pair<Tensor, Tensor>;
Tensor max_pool1d(const Tensor& input, const PoolOptions& options) { return max_pool(kMax1d, input, options, false).first; }
Tensor max_pool2d(const Tensor& input, const PoolOptions& options) { return max_pool(kMax2d, input, options, false).first; }
TensorPair max_pool1d_with_indices(const Tensor& input, const PoolOptions& o) { return max_pool(kMax1d, input, o, true); }
TensorPair max_pool2d_with_indices(const Tensor& input, const PoolOptions& o) { return max_pool(kMax2d, input, o, true); }
Tensor avg_pool1d(const Tensor& input, const PoolOptions& options) { return avg_pool(kAvg1d, input, options); }
Tensor avg_pool2d(const Tensor& input, const PoolOptions& options) { return avg_pool(kAvg2d, input, options); }

Tensor adaptive_max_pool1d(const Tensor& input, int64_t n) { return adaptive_max(kAdaptiveMax1d, input, {1, n}, false).first; }
Tensor adaptive_max_pool2d(const Tensor& input, const AxisInts& n) { return adaptive_max(kAdaptiveMax2d, input, n, false).first; }
TensorPair adaptive_max_pool1d_with_indices(const Tensor& input, int64_t n) {
  return adaptive_max(kAdaptiveMax1d, input, {1, n}, true);
}
TensorPair adaptive_max_pool2d_with_indices(const Tensor& input, const AxisInts& n) {
  return adaptive_max(kAdaptiveMax2d, input, n, true);
}
Tensor adaptive_avg_pool1d(const Tensor& input, int64_t n) { return adaptive_avg(kAdaptiveAvg1d, input, {1, n}); }
Tensor adaptive_avg_pool2d(const Tensor& input, const AxisInts& n) { return adaptive_avg(kAdaptiveAvg2d, input, n); }

}  // namespace cnnx
