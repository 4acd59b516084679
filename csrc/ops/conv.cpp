// Convolution and transposed convolution. A 1-D one is a 2-D one of height 1, and a transposed one is the input gradient of a
// convolution: it runs the convolution's three kernels with the roles of input and output exchanged.
#include "cnnx/ops/conv.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/view.h"
#include "core/autocast.h"
#include "core/copy.h"
#include "core/floats.h"
#include "core/node.h"
#include "kernels/dispatch.h"
#include "ops/spatial.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

struct ConvKind {
  const char* op;
  int axes;
  bool transposed;
};

// Those numbers of an option that count: the last ones.
template <size_t kCount>
std::string text_of(const ConvKind& kind, const std::array<int64_t, kCount>& values) {
  return Dims(values.end() - static_cast<int>(kCount / 2) * kind.axes, values.end()).str();
}

// A 1-D convolution is one of height 1.
ConvOptions over_two_axes(const ConvKind& kind, ConvOptions o) {
  if (kind.axes == 2) return o;
  o.stride[0] = o.dilation[0] = 1;
  o.padding[0] = o.padding[1] = o.output_padding[0] = 0;
  return o;
}

void check(const ConvKind& kind, const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvOptions& o) {
  const char* op = kind.op;
  const bool flat = kind.axes == 1;
  if (input.ndim() != kind.axes + 1 && input.ndim() != kind.axes + 2)
    throw ShapeError(
        message(op, ": input must be ", flat ? "(N, C, W) or (C, W)" : "(N, C, H, W) or (C, H, W)", ", got ", input.shape()));
  if (weight.ndim() != kind.axes + 2)
    throw ShapeError(message(op, ": weight must be ", kind.transposed ? "(in, out / groups, " : "(out, in / groups, ",
                             flat ? "width)" : "height, width)", ", got ", weight.shape()));
  check_floating(op, input);
  if (kind.transposed && o.activation != Activation::none) throw ValueError(message(op, ": takes no activation"));
  check_parameter(op, "weight", weight, weight.shape(), input);
  if (o.stride[0] < 1 || o.stride[1] < 1)
    throw ValueError(message(op, ": stride must be positive, got ", text_of(kind, o.stride)));
  check_window(op, o.stride, o.dilation, o.padding, o.output_padding);
  if (o.dilation[0] < 1 || o.dilation[1] < 1)
    throw ValueError(message(op, ": dilation must be positive, got ", text_of(kind, o.dilation)));
  for (int64_t p : o.padding)
    if (p < 0) throw ValueError(message(op, ": padding must not be negative, got ", p));
  for (int i = 0; i < 2; ++i)
    if (o.output_padding[i] < 0 || o.output_padding[i] >= std::max(o.stride[i], o.dilation[i]))
      throw Error(message(op, ": output padding must be smaller than either stride or dilation, got ",
                          text_of(kind, o.output_padding), " for stride ", text_of(kind, o.stride), " and dilation ",
                          text_of(kind, o.dilation)));
  const int64_t channels = input.size(-kind.axes - 1);
  if (o.groups < 1 || weight.size(0) % o.groups != 0)
    throw ValueError(message(op, ": groups ", o.groups, " does not divide the ", weight.size(0),
                             kind.transposed ? " input" : " output", " channels of weight ", weight.shape()));
  const int64_t expected = kind.transposed ? weight.size(0) : weight.size(1) * o.groups;
  if (expected != channels)
    throw ShapeError(message(op, ": weight ", weight.shape(), o.groups > 1 ? message(" with groups ", o.groups) : std::string(),
                             " expects ", expected, " input channels, input ", input.shape(), " has ", channels));
  if (weight.numel() == 0) throw ShapeError(message(op, ": weight ", weight.shape(), " is empty"));
  const int64_t out_channels = kind.transposed ? weight.size(1) * o.groups : weight.size(0);
  check_parameter(op, "bias", bias, {out_channels}, input);
}

int64_t conv_extent(int64_t input, int64_t padding, int64_t kernel, int64_t stride, int64_t dilation) {
  const int64_t room = checked_sum(checked_sum(input, padding), -checked_product(dilation, kernel - 1)) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

int64_t transposed_extent(int64_t input, int64_t padding, int64_t kernel, int64_t stride, int64_t dilation, int64_t extra) {
  const int64_t reach = checked_sum(checked_product(input - 1, stride), checked_product(dilation, kernel - 1));
  return checked_sum(checked_sum(reach, extra + 1), -padding);
}

// The convolution whose kernels run: for a transposed one, that from its result to its input.
Conv2dShape shape_of(const ConvKind& kind, const Tensor& input, const Tensor& weight, const ConvOptions& o) {
  const bool flat = kind.axes == 1;
  const int64_t height = flat ? 1 : input.size(-2), width = input.size(-1);
  Conv2dShape s{};
  s.batch = input.ndim() == kind.axes + 1 ? 1 : input.size(0);
  s.kernel_height = flat ? 1 : weight.size(2);
  s.kernel_width = weight.size(-1);
  s.stride_height = o.stride[0];
  s.stride_width = o.stride[1];
  s.pad_top = o.padding[0];
  s.pad_left = o.padding[2];
  s.dilation_height = o.dilation[0];
  s.dilation_width = o.dilation[1];
  s.groups = o.groups;
  s.activation = o.activation;
  s.out_channels = weight.size(0);
  s.in_channels = weight.size(1) * o.groups;
  s.lanes = 1;
  const int64_t rows = checked_sum(o.padding[0], o.padding[1]), columns = checked_sum(o.padding[2], o.padding[3]);
  bool fits;
  if (kind.transposed) {
    s.out_height = height;
    s.out_width = width;
    fits = s.out_height > 0 && s.out_width > 0;
    if (fits) {
      s.in_height = transposed_extent(s.out_height, rows, s.kernel_height, o.stride[0], o.dilation[0], o.output_padding[0]);
      s.in_width = transposed_extent(s.out_width, columns, s.kernel_width, o.stride[1], o.dilation[1], o.output_padding[1]);
      fits = s.in_height > 0 && s.in_width > 0;
    }
  } else {
    s.in_height = height;
    s.in_width = width;
    s.out_height = conv_extent(s.in_height, rows, s.kernel_height, o.stride[0], o.dilation[0]);
    s.out_width = conv_extent(s.in_width, columns, s.kernel_width, o.stride[1], o.dilation[1]);
    fits = s.out_height > 0 && s.out_width > 0;
  }
  // Kernels copy images with their padding.
  if (fits && checked_product(s.in_channels, checked_product(checked_sum(s.in_height, rows), checked_sum(s.in_width, columns))) >
                  kMaxElements)
    throw Error(
        message(kind.op, ": padding ", text_of(kind, o.padding), " of input ", input.shape(), " is more than memory can hold"));
  if (!fits)
    throw ShapeError(message(kind.op, ": kernel ", Dims(weight.shape().begin() + 2, weight.shape().end()),
                             " does not fit into input ", input.shape(), " with padding ", text_of(kind, o.padding),
                             " and dilation ", text_of(kind, o.dilation), ": the result would be empty"));
  return s;
}

// The attributes of a convolution and of its gradients.
struct ConvCall {
  Conv2dShape shape;  // of the convolution whose kernels run; lanes: 1, the call decides
  int axes;
  bool transposed, single;  // single: without a batch
  bool wants[2];            // of the gradients of weight and bias
  bool in_bfloat16;         // the factors
};
CNNX_FIELDS(ConvCall, shape, axes, transposed, single, wants, in_bfloat16)

// The tensor of one side of the kernels' convolution: of its input, or of its output.
Dims side(const ConvCall& c, bool in) {
  const Conv2dShape& s = c.shape;
  Dims shape;
  if (!c.single) shape.push_back(s.batch);
  shape.push_back(in ? s.in_channels : s.out_channels);
  if (c.axes == 2) shape.push_back(in ? s.in_height : s.out_height);
  shape.push_back(in ? s.in_width : s.out_width);
  return shape;
}
Dims input_shape(const ConvCall& c) { return side(c, !c.transposed); }
Dims output_shape(const ConvCall& c) { return side(c, c.transposed); }
int64_t out_channels(const ConvCall& c) { return c.transposed ? c.shape.in_channels : c.shape.out_channels; }

bool lanes(const Call& call) { return !call.as<ConvCall>().single && lanes_for_images(call[0]); }

// Inputs: input, weight, bias; of a plan perhaps what its result is normalised by: mean, 1 / deviation, weight, bias.
void infer(const Call& call, ResultSpecs& results) {
  results.push_back({output_shape(call.as<ConvCall>()), call[0].dtype(), Place::call});
}

void run(const Run& r) {
  const Conv2dShape s = shape_in_lanes<ConvCall>(r);
  on_floats(r, [&](const auto& f) {
    const auto& products = product_kernels(f, r.as<ConvCall>().in_bfloat16);
    if (!r.as<ConvCall>().transposed)
      return products.conv2d_forward(r.queue, s, f.in(0), f.in(1), f.in(2), {f.in(3), f.in(4), f.in(5), f.in(6)}, f.out(0));
    products.conv2d_backward_input(r.queue, s, f.in(0), f.in(1), f.out(0));
    if (const auto* bias = f.in(2))
      f.kernels.shift_channels(r.queue, {s.batch, s.in_channels, s.in_height * s.in_width, s.lanes}, bias, f.out(0));
  });
}

// Inputs: gradient of the output, weight.
void infer_input(const Call& call, ResultSpecs& results) {
  results.push_back({input_shape(call.as<ConvCall>()), call[0].dtype(), Place::call});
}

void run_input(const Run& r) {
  const Conv2dShape s = shape_in_lanes<ConvCall>(r);
  on_floats(r, [&](const auto& f) {
    const auto& products = product_kernels(f, r.as<ConvCall>().in_bfloat16);
    if (r.as<ConvCall>().transposed) products.conv2d_forward(r.queue, s, f.in(0), f.in(1), nullptr, {}, f.out(0));
    else products.conv2d_backward_input(r.queue, s, f.in(0), f.in(1), f.out(0));
  });
}

// Inputs: input, gradient of the output, and perhaps what the gradients of weight and bias are added to.
void infer_weight(const Call& call, ResultSpecs& results) {
  const ConvCall& c = call.as<ConvCall>();
  const Conv2dShape& s = c.shape;
  Dims weight{s.out_channels, s.in_channels / s.groups};
  if (c.axes == 2) weight.push_back(s.kernel_height);
  weight.push_back(s.kernel_width);
  results.push_back({weight, call[1].dtype(), Place::row_major, c.wants[0], true, {}, 2});
  results.push_back({{out_channels(c)}, call[1].dtype(), Place::row_major, c.wants[1], true, {}, 3});
}

// The sum over images and positions, by the kernel that does it for a convolution: here a 1x1 one whose weights nobody asks for.
template <class T>
void channel_sums(const Queue& queue, const Conv2dShape& of, const T* y, T* sums) {
  Conv2dShape s{};
  s.accumulate = of.accumulate;
  s.batch = of.batch;
  s.in_channels = s.out_channels = s.groups = of.in_channels;
  s.in_height = s.out_height = of.in_height;
  s.in_width = s.out_width = of.in_width;
  s.kernel_height = s.kernel_width = s.stride_height = s.stride_width = s.dilation_height = s.dilation_width = 1;
  s.lanes = of.lanes;
  kernels<T>(queue).conv2d_backward_weight(queue, s, y, y, nullptr, sums);
}

void run_weight(const Run& r) {
  const Conv2dShape s = shape_in_lanes<ConvCall>(r);
  if (s.batch == 0) {
    for (const Tensor& result : r.results)
      if (result.defined() && !s.accumulate) recorded_fill(result, 0);
    return;
  }
  on_floats(r, [&](const auto& f) {
    const auto *input = f.in(0), *g = f.in(1);
    auto *weight = f.out(0), *bias = f.out(1);
    const auto& products = product_kernels(f, r.as<ConvCall>().in_bfloat16);
    if (!r.as<ConvCall>().transposed) return products.conv2d_backward_weight(r.queue, s, input, g, weight, bias);
    if (weight != nullptr) products.conv2d_backward_weight(r.queue, s, g, input, weight, nullptr);
    if (bias != nullptr) channel_sums(r.queue, s, g, bias);
  });
}

bool lanes_of_gradient(const Call& call) { return !call.as<ConvCall>().single && lanes_for_images(call[1]); }

// The gradients are linear in each of their two inputs, so that theirs are the convolution and each other.
void gradient_input(const Backward& call, Grads& grads);
void gradient_weight(const Backward& call, Grads& grads);

// Of the convolution and of each of its gradients.
double flops(const Call& call) {
  const Conv2dShape& s = call.as<ConvCall>().shape;
  return 2.0 * static_cast<double>(s.batch * s.out_channels * s.out_height * s.out_width) *
         static_cast<double>(s.in_channels / s.groups * s.kernel_height * s.kernel_width);
}

int64_t* images(void* attributes) { return &static_cast<ConvCall*>(attributes)->shape.batch; }
constexpr ByImage kByImage{images, ~input_bit(0)};
constexpr ByImage kSums{images, ~(input_bit(0) | input_bit(1)), false,
                        [](void* attributes) { return &static_cast<ConvCall*>(attributes)->shape.accumulate; }};

constexpr OpDef kInput = op<ConvCall>("conv_backward_input", infer_input, run_input)
                             .working_by_image(kByImage)
                             .reads({Place::call, Place::row_major})
                             .lanes_if(lanes)
                             .with_gradient(gradient_input, saves_other_input)
                             .with_flops(flops);
constexpr OpDef kWeight = op<ConvCall>("conv_backward_weight", infer_weight, run_weight)
                              .working_by_image(kSums)
                              .reads({Place::call, Place::call, Place::row_major})
                              .lanes_if(lanes_of_gradient)
                              .with_gradient(gradient_weight, saves_other_input)
                              .with_flops(flops);

uint64_t saves(const Call& call, uint64_t needs) {
  uint64_t mask = 0;
  if ((needs & input_bit(0)) != 0) mask |= input_bit(1);
  if ((needs & (input_bit(1) | input_bit(2))) != 0) mask |= input_bit(0);
  return call.as<ConvCall>().shape.activation == Activation::none ? mask : mask | result_bit(0);
}

void gradient(const Backward& call, Grads& grads) {
  ConvCall c = call.as<ConvCall>();
  const Tensor whole = activation_backward(c.shape.activation, call.grad(), call.result());
  const Tensor g = !c.single && lanes_for_images(whole) ? packed(whole) : whole;  // once for both
  c.shape.activation = Activation::none;
  if (call.needs(0)) grads[0] = emit_one(kInput, c, {g, call.input(1)});
  c.wants[0] = call.needs(1);
  c.wants[1] = call.needs(2);
  if (!c.wants[0] && !c.wants[1]) return;
  const auto [weight, bias] = call.sums_so_far<2>(1, {call.input(0), g});
  c.shape.accumulate = weight.defined() || bias.defined();
  Results results = emit(kWeight, c, {call.input(0), g, weight, bias});
  grads[1] = std::move(results[0]);
  grads[2] = std::move(results[1]);
}

Activation* activation_of(void* attributes) {
  auto* c = static_cast<ConvCall*>(attributes);
  return c->transposed ? nullptr : &c->shape.activation;
}

// By the channels of the convolution alone: what it is seen as by the time that it is normalised may be another shape.
bool can_normalise(const void* attributes, const Normalisation& by) {
  const auto& c = *static_cast<const ConvCall*>(attributes);
  const Conv2dShape& s = c.shape;
  return !c.transposed && by.batch == s.batch && by.channels == s.out_channels && by.spatial == s.out_height * s.out_width;
}

// With max pooling behind it, of a plan: see MaxPooled.
struct ConvPoolCall {
  ConvCall conv;
  int64_t window;
  bool keeps_which;
};
CNNX_FIELDS(ConvPoolCall, conv, window, keeps_which)

void run_pooled(const Run& r) {
  const ConvPoolCall& c = r.as<ConvPoolCall>();
  Conv2dShape s = c.conv.shape;
  s.lanes = r.lanes;
  kernels<float>(r.queue).conv2d_max_pool(r.queue, s, c.window, r.in<float>(0), r.in<float>(1), r.in<float>(2),
                                          {r.in<float>(3), r.in<float>(4), r.in<float>(5), r.in<float>(6)}, r.out<float>(0),
                                          r.out<uint8_t>(1));
}

constexpr ByImage kPooledByImage{[](void* attributes) { return &static_cast<ConvPoolCall*>(attributes)->conv.shape.batch; },
                                 ~input_bit(0)};
constexpr OpDef kConvPool =
    op<ConvPoolCall>("conv2d_max_pool2d", nullptr, run_pooled).working_by_image(kPooledByImage).with_flops([](const Call& call) {
      return flops({call.op, &call.as<ConvPoolCall>().conv, call.inputs});
    });

// Not where the convolution may go by Winograd's way, whose tiles are none of rows.
std::vector<std::byte> max_pooled(const void* attributes, int64_t window, bool keeps_which) {
  const auto& c = *static_cast<const ConvCall*>(attributes);
  const Conv2dShape& s = c.shape;
  const bool by_winograd = s.groups == 1 && s.in_channels >= 16 && s.out_channels >= 16 && s.kernel_height == s.kernel_width &&
                           (s.kernel_height == 3 || s.kernel_height == 5) && s.stride_height == 1 && s.stride_width == 1;
  if (c.transposed || c.single || c.axes != 2 || c.in_bfloat16 || by_winograd) return {};
  const ConvPoolCall both{c, window, keeps_which};
  const auto* bytes = reinterpret_cast<const std::byte*>(&both);
  return {bytes, bytes + sizeof(both)};
}
constexpr MaxPooled kMaxPooled{&kConvPool, max_pooled};

// Of a plan: the weights as the kernel for plain images lays them out. Input: weight.
void run_prepare(const Run& r) {
  Conv2dShape s = r.as<ConvCall>().shape;
  s.prepared = false;
  on_floats(r, [&](const auto& f) { f.kernels.conv2d_prepare(r.queue, s, f.in(0), f.out(0)); });
}
constexpr OpDef kPrepare = op<ConvCall>("conv2d_prepare", nullptr, run_prepare);
int64_t prepared_size(const void* attributes) {
  const auto& c = *static_cast<const ConvCall*>(attributes);
  int64_t size = 0;
  if (!c.transposed && !c.in_bfloat16) kernels<float>().conv2d_prepared_size({}, c.shape, &size);
  return size;
}
bool* is_prepared(void* attributes) { return &static_cast<ConvCall*>(attributes)->shape.prepared; }
constexpr WeightPreparation kPreparation{&kPrepare, prepared_size, is_prepared};

constexpr OpDef conv_op(const char* name) {
  return op<ConvCall>(name, infer, run)
      .working_by_image(kByImage)
      .reads({Place::call, Place::row_major})
      .lanes_if(lanes)
      .with_gradient(gradient, saves)
      .with_activation(activation_of)
      .with(&OpDef::can_normalise, can_normalise)
      .with(&OpDef::max_pooled, &kMaxPooled)
      .with(&OpDef::preparation, &kPreparation)
      .with_flops(flops);
}
constexpr OpDef kConv[2][2] = {{conv_op("conv1d"), conv_op("conv2d")},
                               {conv_op("conv_transpose1d"), conv_op("conv_transpose2d")}};

const OpDef& op_of(const ConvCall& c) { return kConv[c.transposed][c.axes - 1]; }

void gradient_input(const Backward& call, Grads& grads) {
  ConvCall c = call.as<ConvCall>();
  if (call.needs(0)) grads[0] = emit_one(op_of(c), c, {call.grad(), call.input(1), Tensor()});
  c.wants[0] = true;
  c.wants[1] = false;
  if (call.needs(1)) grads[1] = emit_one(kWeight, c, {call.grad(), call.input(0)});
}

void gradient_weight(const Backward& call, Grads& grads) {
  const ConvCall& c = call.as<ConvCall>();
  const Tensor &weight = call.grad(0), &bias = call.grad(1);
  if (call.needs(0) && weight.defined()) grads[0] = emit_one(kInput, c, {call.input(1), weight});
  if (!call.needs(1)) return;
  if (weight.defined()) {
    grads[1] = emit_one(op_of(c), c, {call.input(0), weight, bias});
    return;
  }
  Dims channels = Dims::filled(c.axes + 1, 1);
  channels[0] = out_channels(c);
  grads[1] = expand(reshape(bias, channels), call.shape(1));
}

Tensor convolve(const ConvKind& kind, const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  const ConvOptions o = over_two_axes(kind, options);
  check(kind, input, weight, bias, o);
  const ConvCall c{shape_of(kind, input, weight, o), kind.axes, kind.transposed,
                   input.ndim() == kind.axes + 1,    {},        multiplies_in_bfloat16(input)};
  return emit_one(op_of(c), c, {input, weight, bias});
}

}  // namespace

Tensor conv1d(const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  return convolve({"conv1d", 1, false}, input, weight, bias, options);
}

Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  return convolve({"conv2d", 2, false}, input, weight, bias, options);
}

Tensor conv_transpose1d(const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  return convolve({"conv_transpose1d", 1, true}, input, weight, bias, options);
}

Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  return convolve({"conv_transpose2d", 2, true}, input, weight, bias, options);
}

}  // namespace cnnx
