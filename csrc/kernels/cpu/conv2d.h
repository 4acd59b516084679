// What the convolution kernels share (images in the lanes: conv2d.cpp and conv2d_winograd.cpp; a few images: conv2d_few.cpp): the
// plan of a convolution, its taps, and padding laid out beforehand.
#pragma once

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/tile.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {

// A convolution whose output pixels may lie apart in memory: pixel (y, x) at y * out_row + x * out_step of its plane of out_plane
// pixels.
struct ConvPlan {
  int64_t width;  // floats per pixel: L images, or 1
  int64_t blocks, in_channels, in_height, in_width, out_channels, out_height, out_width;
  int64_t kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left, dilation_height, dilation_width, groups;
  int64_t out_step, out_row, out_plane;
  Activation activation = Activation::none;  // where pixels lie side by side
  bool accumulate = false;                   // of gradients of weights
  bool prepared = false;                     // of conv2d_few_forward: the weights are those of conv2d_prepare
  ChannelNorm<float> norm = {};              // of results that lie side by side, before the activation

  int64_t in_group() const { return in_channels / groups; }
  int64_t out_group() const { return out_channels / groups; }
  int64_t taps() const { return in_group() * kernel_height * kernel_width; }
  // Rows of padded input that `rows` rows of output read, and the padded width.
  int64_t band_rows(int64_t rows) const { return (rows - 1) * stride_height + (kernel_height - 1) * dilation_height + 1; }
  int64_t padded_width() const { return (out_width - 1) * stride_width + (kernel_width - 1) * dilation_width + 1; }
  bool reads_input_directly() const {
    return taps() == 0 || (pad_top == 0 && pad_left == 0 && band_rows(out_height) <= in_height && padded_width() <= in_width);
  }
};

// A few plain images: channels in the lanes.
void conv2d_few_forward(const Queue& queue, const Conv2dShape& s, const float* input, const float* weight, const float* bias,
                        const ChannelNorm<float>& norm, float* output);
void conv2d_few_backward_input(const Queue& queue, const Conv2dShape& s, const float* grad_output, const float* weight,
                               float* grad_input);
void conv2d_few_backward_weight(const Queue& queue, const Conv2dShape& s, const float* input, const float* grad_output,
                                float* grad_weight, float* grad_bias);

// Convolutions by Winograd's way (conv2d_winograd.cpp, conv2d_few_winograd.cpp).
void winograd_forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias,
                      float* output);
void winograd_few_forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias,
                          float* output);
// The weights at the points, of so many values, which winograd_few_forward takes where the plan says `prepared`.
int64_t winograd_few_prepared_size(const ConvPlan& c);
void winograd_few_prepare(const ConvPlan& c, const float* weight, float* prepared);
void winograd_backward_weight(const Queue& queue, const ConvPlan& c, int64_t batch, const float* input, const float* grad_output,
                              float* grad_weight);

// 1x1 kernels without stride or padding (conv2d_pointwise.cpp).
inline bool is_pointwise(const ConvPlan& c) {
  return c.kernel_height == 1 && c.kernel_width == 1 && c.stride_height == 1 && c.stride_width == 1 && c.pad_top == 0 &&
         c.pad_left == 0 && c.groups == 1 && c.out_height == c.in_height && c.out_width == c.in_width;
}
void pointwise_backward_weight(const Queue& queue, const ConvPlan& c, int64_t batch, const float* input, const float* grad_output,
                               float* grad_weight);

namespace {

// What is done to a result at the end: in one channel, or with the channels from o on in the lanes.
struct Finish {
  Activation activation;
  bool normalises;
  Vec mean, scale, shift;
  Vec operator()(Vec x) const { return activated(activation, normalises ? normalised(x, mean, scale, shift) : x); }
  void operator()(float* y, int64_t count) const {  // in place, whole vectors
    if (!normalises) return activate(activation, y, count);
    for (int64_t i = 0; i < count; i += kLanes) store(y + i, (*this)(load(y + i)));
  }
};
// Calls run with a function that does the same, in which the commonest ones have nothing left to choose.
template <class F>
inline void with_finish(const Finish& finish, const F& run) {
  if (!finish.normalises && finish.activation == Activation::relu) run([](Vec x) { return activated(Activation::relu, x); });
  else if (!finish.normalises && finish.activation == Activation::none) run([](Vec x) { return x; });
  else run(finish);
}
inline Finish finish_channel(const ConvPlan& c, int64_t o) {
  const ChannelNorm<float>& n = c.norm;
  if (n.mean == nullptr) return {c.activation, false, Vec{}, Vec{}, Vec{}};
  return {c.activation, true, broadcast(n.mean[o]), broadcast(n.inv_std[o] * (n.weight != nullptr ? n.weight[o] : 1.0f)),
          broadcast(n.bias != nullptr ? n.bias[o] : 0.0f)};
}
inline Finish finish_channels(const ConvPlan& c, int64_t o, int64_t live) {
  const ChannelNorm<float>& n = c.norm;
  if (n.mean == nullptr) return {c.activation, false, Vec{}, Vec{}, Vec{}};
  const Vec inv_std = load_partial(n.inv_std + o, live);
  return {c.activation, true, load_partial(n.mean + o, live),
          n.weight != nullptr ? inv_std * load_partial(n.weight + o, live) : inv_std,
          n.bias != nullptr ? load_partial(n.bias + o, live) : Vec{}};
}

enum ConvScratch {
  kPackedWeight,
  kOffsets,
  kBand,
  kPartials,
  kTurnedWeight,
  kPackedOutput,
  kColumns,
  kPoints36,
  kProducts36,
  kWholeSums,
  kPixelsOfInput,
  kPixelsOfGradient
};
static_assert(kPixelsOfGradient < Queue::kScratchSlots - 2);  // the last two are those of plans

inline ConvPlan plan_of(const Conv2dShape& s, int64_t width) {
  return {width,
          ceil_div(s.batch, width),
          s.in_channels,
          s.in_height,
          s.in_width,
          s.out_channels,
          s.out_height,
          s.out_width,
          s.kernel_height,
          s.kernel_width,
          s.stride_height,
          s.stride_width,
          s.pad_top,
          s.pad_left,
          s.dilation_height,
          s.dilation_width,
          s.groups,
          1,
          s.out_width,
          s.out_height * s.out_width,
          s.activation,
          s.accumulate,
          s.prepared};
}

// Winograd's way: points of a tile, per axis and in all.
constexpr int kPoints = 6;
constexpr int kGrid = kPoints * kPoints;
// Tiles of an image.
inline int64_t winograd_tiles(const ConvPlan& c) {
  const int64_t outputs = kPoints + 1 - c.kernel_height;
  return ceil_div(c.out_height, outputs) * ceil_div(c.out_width, outputs);
}

// Convolutions that take it.
inline bool prefers_winograd(const ConvPlan& c) {
  if (c.kernel_height != c.kernel_width || (c.kernel_height != 3 && c.kernel_height != 5) || c.groups != 1) return false;
  if (c.stride_height != 1 || c.stride_width != 1 || c.dilation_height != 1 || c.dilation_width != 1) return false;
  if (c.out_step != 1 || c.out_row != c.out_width) return false;
  // Below 16 channels the transforms cost what the products save.
  if (c.in_channels < 16 || c.out_channels < 16) return false;
  return winograd_tiles(c) * kGrid * 3 < c.out_height * c.out_width * c.kernel_height * c.kernel_width * 2;
}

// The gradients of weight and bias as sums of the sums of slices (ImageSlices): calls f(shape of the slice, its first image,
// weight sum, bias sum), which adds to these where the shape says so.
template <class F>
inline void sum_by_slices(const Queue& queue, const Conv2dShape& s, float* grad_weight, float* grad_bias, const F& f) {
  const ImageSlices slices(s.batch);
  const int64_t weights = s.out_channels * (s.in_channels / s.groups) * s.kernel_height * s.kernel_width;
  // What was there already is added to the whole sum, so that large numbers there cost no places on the way.
  const bool apart = s.accumulate && slices.count > 1;
  float *weight_sum = grad_weight, *bias_sum = grad_bias;
  if (apart) {
    float* sums = static_cast<float*>(queue.scratch(kWholeSums, static_cast<size_t>(weights + s.out_channels) * sizeof(float)));
    if (grad_weight != nullptr && !queue.rehearses) weight_sum = sums;  // null would say that it is not wanted
    if (grad_bias != nullptr && !queue.rehearses) bias_sum = sums + weights;
  }
  for (int64_t slice = 0; slice < slices.count; ++slice) {
    Conv2dShape part = s;
    part.batch = slices.size(slice);
    part.accumulate = slice > 0 || (s.accumulate && !apart);
    f(part, slices.begin(slice), weight_sum, bias_sum);
  }
  if (!apart || queue.rehearses) return;
  for (int64_t i = 0; grad_weight != nullptr && i < weights; ++i) grad_weight[i] += weight_sum[i];
  for (int64_t o = 0; grad_bias != nullptr && o < s.out_channels; ++o) grad_bias[o] += bias_sum[o];
}

// The sum of `parts` sums of weights, one after the other. What was there already is added to the whole of it.
inline void add_partials(const float* partials, int64_t parts, int64_t weights, bool accumulate, float* grad_weight) {
  for (int64_t i = 0; i < weights; ++i) {
    float sum = partials[i];
    for (int64_t part = 1; part < parts; ++part) sum += partials[part * weights + i];
    grad_weight[i] = accumulate ? grad_weight[i] + sum : sum;
  }
}

// Vectors in loops of their own: rows are short, and a call of memcpy costs as much as the copy.
inline void copy_pixels(const float* from, int64_t pixels, int64_t width, float* to) {
  const int64_t count = pixels * width;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(to + i, load(from + i));
    asm("" ::: "memory");  // else the compiler sees a memcpy again
  }
  if (i < count) store_partial(to + i, load_partial(from + i, count - i), count - i);
}
inline void zero_pixels(int64_t pixels, int64_t width, float* to) {
  const int64_t count = pixels * width;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(to + i, Vec{});
    asm("" ::: "memory");
  }
  if (i < count) store_partial(to + i, Vec{}, count - i);
}

// Copies the input rows that padded rows [first, first + rows) of one channel see, zeros around them.
inline void pad_rows(const ConvPlan& c, const float* plane, int64_t first, int64_t rows, float* padded) {
  const int64_t padded_width = c.padded_width();
  const int64_t left = min(max(c.pad_left, 0), padded_width), start = max(-c.pad_left, 0);
  const int64_t count = max(min(c.in_width - start, padded_width - left), 0);
  for (int64_t r = 0; r < rows; ++r) {
    float* to = padded + r * padded_width * c.width;
    const int64_t y = first + r - c.pad_top;
    if (y < 0 || y >= c.in_height) {
      zero_pixels(padded_width, c.width, to);
      continue;
    }
    zero_pixels(left, c.width, to);
    copy_pixels(plane + (y * c.in_width + start) * c.width, count, c.width, to + left * c.width);
    zero_pixels(padded_width - left - count, c.width, to + (left + count) * c.width);
  }
}

// Taps of a tile: `runs` runs of `length` taps, `pitch` taps apart.
struct TapRuns {
  int64_t first, runs, length, pitch;
};

// The taps k in [first, last) of a kernel axis that see more than padding at an output position: tap k reads position `at` + k *
// dilation of an input of the given extent.
struct TapRange {
  int64_t first, last;
  bool operator==(const TapRange&) const = default;
};
inline TapRange axis_taps(int64_t at, int64_t extent, int64_t kernel, int64_t dilation) {
  const auto steps = [dilation](int64_t distance) { return dilation == 1 ? distance : ceil_div(distance, dilation); };
  const int64_t first = min(steps(max(-at, 0)), kernel);
  return {first, max(first, min(steps(max(extent - at, 0)), kernel))};
}
inline TapRange row_taps(const ConvPlan& c, int64_t y) {
  return axis_taps(y * c.stride_height - c.pad_top, c.in_height, c.kernel_height, c.dilation_height);
}
inline TapRange column_taps(const ConvPlan& c, int64_t x) {
  return axis_taps(x * c.stride_width - c.pad_left, c.in_width, c.kernel_width, c.dilation_width);
}

// The input gradient is a convolution of the output gradient with turned weights. With a stride S it is S of them per axis, one
// for each *phase* of the input: output pixel j and tap k meet input y = j * S - pad + k * dilation, so the inputs with the same
// (y + pad) mod S see the same taps k0, k0 + step, ... and consecutive pixels j.
struct Phase {
  int64_t begin, count;           // inputs begin, begin + S, ...
  int64_t first_tap, step, taps;  // the taps they see
  int64_t pad, dilation;          // of the convolution over the output gradient
};
inline Phase phase_of(int64_t phase, int64_t in, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  int64_t divisor = stride;  // the greatest common divisor of stride and dilation
  while (stride % divisor != 0 || dilation % divisor != 0) --divisor;
  Phase p;
  p.begin = ((phase - pad) % stride + stride) % stride;
  p.count = p.begin < in ? ceil_div(in - p.begin, stride) : 0;
  p.step = stride / divisor;
  p.dilation = dilation / divisor;
  p.first_tap = 0;
  while (p.first_tap < p.step && p.first_tap * dilation % stride != phase) ++p.first_tap;
  p.taps = p.first_tap < p.step && p.first_tap < kernel ? ceil_div(kernel - p.first_tap, p.step) : 0;
  p.pad = (p.taps - 1) * p.dilation - (p.begin + pad - p.first_tap * dilation) / stride;
  return p;
}

// Calls run(plan, turned weights, first pixel of the plane) for each phase; the weights are
// [in_channels][out_channels / groups][taps of the phase, both axes reversed].
template <class F>
inline void for_phases(const Queue& queue, const Conv2dShape& s, int64_t width, const float* weight, const F& run) {
  const int64_t in_group = s.in_channels / s.groups, out_group = s.out_channels / s.groups;
  float* turned = static_cast<float*>(queue.scratch(
      kTurnedWeight, static_cast<size_t>(s.out_channels * in_group * s.kernel_height * s.kernel_width) * sizeof(float)));
  for (int64_t row_phase = 0; row_phase < s.stride_height; ++row_phase) {
    const Phase y = phase_of(row_phase, s.in_height, s.kernel_height, s.stride_height, s.pad_top, s.dilation_height);
    for (int64_t column_phase = 0; column_phase < s.stride_width; ++column_phase) {
      const Phase x = phase_of(column_phase, s.in_width, s.kernel_width, s.stride_width, s.pad_left, s.dilation_width);
      if (y.count == 0 || x.count == 0) continue;
      float* to = turned;
      for (int64_t group = 0; group < s.groups && !queue.rehearses; ++group)
        for (int64_t i = 0; i < in_group; ++i)
          for (int64_t o = group * out_group; o < (group + 1) * out_group; ++o) {
            const float* from = weight + (o * in_group + i) * s.kernel_height * s.kernel_width;
            for (int64_t ky = y.taps - 1; ky >= 0; --ky)
              for (int64_t kx = x.taps - 1; kx >= 0; --kx)
                *to++ = from[(y.first_tap + ky * y.step) * s.kernel_width + x.first_tap + kx * x.step];
          }
      const ConvPlan plan = {width,
                             ceil_div(s.batch, width),
                             s.out_channels,
                             s.out_height,
                             s.out_width,
                             s.in_channels,
                             y.count,
                             x.count,
                             y.taps,
                             x.taps,
                             1,
                             1,
                             y.pad,
                             x.pad,
                             y.dilation,
                             x.dilation,
                             s.groups,
                             s.stride_width,
                             s.stride_height * s.in_width,
                             s.in_height * s.in_width};
      run(plan, static_cast<const float*>(turned), y.begin * s.in_width + x.begin);
    }
  }
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
