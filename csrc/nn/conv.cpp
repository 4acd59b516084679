#include "cnnx/nn/conv.h"

#include "nn/reset.h"
#include "nn/settings.h"

namespace cnnx::nn {
namespace {

void check(const char* layer, int64_t in_channels, int64_t out_channels, int64_t groups) {
  if (groups < 1) throw ValueError(message(layer, ": groups must be positive, got ", groups));
  for (const auto& [what, count] : {std::pair("in_channels", in_channels), std::pair("out_channels", out_channels)})
    if (count < 0 || count % groups != 0)
      throw ValueError(message(layer, ": ", what, " must be a multiple of the ", groups, " groups, got ", count));
}

void check_positive(const char* layer, const char* what, const AxisInts& axes) {
  if (axes[0] < 1 || axes[1] < 1) throw ValueError(message(layer, ": ", what, " must be positive, got ", Dims{axes[0], axes[1]}));
}

template <int kAxes>
Dims weight_shape(int64_t first, int64_t second, const Sizes<kAxes>& kernel) {
  Dims shape{first, second};
  for (int axis = 2 - kAxes; axis < 2; ++axis) shape.push_back(kernel.axes[static_cast<size_t>(axis)]);
  return shape;
}

// top, bottom, left, right; of one axis left and right alone.
template <int kAxes>
std::array<int64_t, 4> pads_of(const char* layer, const ConvPadding<kAxes>& padding, const AxisInts& kernel,
                               const AxisInts& stride, const AxisInts& dilation) {
  if (padding.by_rule && padding.rule == AutoPadding::same && (stride[0] != 1 || stride[1] != 1))
    throw ValueError(message(layer, ": AutoPadding::same is for a stride of 1, got ", Dims{stride[0], stride[1]}));
  std::array<int64_t, 4> pads{};
  for (size_t axis = 2 - kAxes; axis < 2; ++axis) {
    const int64_t reach = checked_product(dilation[axis], kernel[axis] - 1), given = padding.sizes.axes[axis];
    int64_t &before = pads[2 * axis], &after = pads[2 * axis + 1];
    if (given < 0) throw ValueError(message(layer, ": padding must not be negative, got ", given));
    before = after = given;
    if (!padding.by_rule || padding.rule == AutoPadding::valid) continue;
    before = padding.rule == AutoPadding::same ? reach / 2 : reach;
    after = padding.rule == AutoPadding::same ? reach - reach / 2 : reach;
  }
  return pads;
}

template <int kAxes>
constexpr const char* kConv = kAxes == 1 ? "Conv1d" : "Conv2d";
template <int kAxes>
constexpr const char* kTransposed = kAxes == 1 ? "ConvTranspose1d" : "ConvTranspose2d";

template <int kAxes>
AxisInts spatial(const AxisInts& axes, int64_t neutral) {
  return {kAxes == 1 ? neutral : axes[0], axes[1]};
}

// What is checked before memory is asked for.
template <int kAxes>
Dims checked_shape(const char* layer, int64_t in_channels, int64_t out_channels, int64_t groups, bool transposed,
                   const Sizes<kAxes>& kernel) {
  check(layer, in_channels, out_channels, groups);
  check_positive(layer, "kernel_size", kernel.axes);
  return transposed ? weight_shape(in_channels, out_channels / groups, kernel)
                    : weight_shape(out_channels, in_channels / groups, kernel);
}

// Those settings that a convolution and a transposed one have, the others where they are not the usual ones.
template <int kAxes, class Given>
Settings described(const char* layer, int64_t in_channels, int64_t out_channels, const Sizes<kAxes>& kernel,
                   const std::string& padding, const AxisInts& output_padding, const Given& given) {
  const Dims zeros = Dims::filled(kAxes, 0);
  Settings text(layer);
  text.add("", in_channels).add("", out_channels).add("kernel_size", last_axes(kernel.axes, kAxes));
  text.add("stride", last_axes(given.stride.axes, kAxes)).add_unless(zeros.str(), "padding", padding);
  text.add_unless(Dims::filled(kAxes, 1), "dilation", last_axes(given.dilation.axes, kAxes));
  text.add_unless(zeros, "output_padding", last_axes(output_padding, kAxes)).add_unless(int64_t{1}, "groups", given.groups);
  return text.add_unless(true, "bias", given.bias);
}

template <int kAxes>
std::string text_of(const ConvPadding<kAxes>& padding) {
  if (!padding.by_rule) return last_axes(padding.sizes.axes, kAxes).str();
  constexpr const char* kRules[] = {"valid", "same", "full"};
  return kRules[static_cast<int>(padding.rule)];
}

}  // namespace

template <int kAxes>
Conv<kAxes>::Conv(int64_t in_channels, int64_t out_channels, Sizes<kAxes> kernel_size, const ConvSettings<kAxes>& settings)
    : weight(register_parameter(
          "weight", Tensor::empty(checked_shape(kConv<kAxes>, in_channels, out_channels, settings.groups, false, kernel_size),
                                  {settings.dtype, settings.device}))),
      bias(register_parameter("bias",
                              settings.bias ? Tensor::empty({out_channels}, {settings.dtype, settings.device}) : Tensor())),
      padding_mode_(settings.padding_mode) {
  check_positive(kConv<kAxes>, "stride", settings.stride.axes);
  check_positive(kConv<kAxes>, "dilation", settings.dilation.axes);
  options_.stride = spatial<kAxes>(settings.stride.axes, 1);
  options_.dilation = spatial<kAxes>(settings.dilation.axes, 1);
  options_.groups = settings.groups;
  options_.activation = settings.activation;
  options_.padding = pads_of(kConv<kAxes>, settings.padding, kernel_size.axes, settings.stride.axes, settings.dilation.axes);
  if (padding_mode_ != PadMode::constant) {
    const auto [top, bottom, left, right] = options_.padding;
    pads_ = kAxes == 1 ? std::vector<int64_t>{left, right} : std::vector<int64_t>{left, right, top, bottom};
    options_.padding = {};
  }
  Settings text = described<kAxes>(kConv<kAxes>, in_channels, out_channels, kernel_size, text_of(settings.padding), {}, settings);
  text.add_unless(std::string("constant"), "padding_mode", std::string(name(padding_mode_)));
  this->describe(text.add(settings.activation).str());
  reset_parameters();
}

template <int kAxes>
void Conv<kAxes>::reset_parameters() {
  reset_weight_and_bias(weight, bias);
}

template <int kAxes>
Tensor Conv<kAxes>::operator()(const Tensor& input) const {
  this->use();
  const Tensor padded = pads_.empty() ? input : pad(input, pads_, padding_mode_);
  if constexpr (kAxes == 1) return conv1d(padded, weight, bias, options_);
  else return conv2d(padded, weight, bias, options_);
}

template <int kAxes>
ConvTranspose<kAxes>::ConvTranspose(int64_t in_channels, int64_t out_channels, Sizes<kAxes> kernel_size,
                                    const ConvTransposeSettings<kAxes>& settings)
    : weight(register_parameter("weight", Tensor::empty(checked_shape(kTransposed<kAxes>, in_channels, out_channels,
                                                                      settings.groups, true, kernel_size),
                                                        {settings.dtype, settings.device}))),
      bias(register_parameter("bias",
                              settings.bias ? Tensor::empty({out_channels}, {settings.dtype, settings.device}) : Tensor())) {
  check_positive(kTransposed<kAxes>, "stride", settings.stride.axes);
  check_positive(kTransposed<kAxes>, "dilation", settings.dilation.axes);
  options_.stride = spatial<kAxes>(settings.stride.axes, 1);
  options_.dilation = spatial<kAxes>(settings.dilation.axes, 1);
  options_.output_padding = spatial<kAxes>(settings.output_padding.axes, 0);
  options_.groups = settings.groups;
  const AxisInts padding = spatial<kAxes>(settings.padding.axes, 0);
  options_.padding = {padding[0], padding[0], padding[1], padding[1]};
  this->describe(described<kAxes>(kTransposed<kAxes>, in_channels, out_channels, kernel_size,
                                  last_axes(settings.padding.axes, kAxes).str(), settings.output_padding.axes, settings)
                     .str());
  reset_parameters();
}

template <int kAxes>
void ConvTranspose<kAxes>::reset_parameters() {
  reset_weight_and_bias(weight, bias);
}

template <int kAxes>
Tensor ConvTranspose<kAxes>::operator()(const Tensor& input) const {
  this->use();
  if constexpr (kAxes == 1) return conv_transpose1d(input, weight, bias, options_);
  else return conv_transpose2d(input, weight, bias, options_);
}

template class Conv<1>;
template class Conv<2>;
template class ConvTranspose<1>;
template class ConvTranspose<2>;

}  // namespace cnnx::nn
