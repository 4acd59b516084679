// What the convolution kernels share (images in the lanes: conv2d.cpp and conv2d_winograd.cpp; a few images: conv2d_few.cpp): the plan of a
// convolution, its taps, and padding laid out beforehand.
#pragma once

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/tile.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {

// A stride-and-dilation convolution over an input that may itself be spread out (zeros between its pixels).
struct ConvPlan {
  int64_t width;  // floats per pixel: L images, or 1
  int64_t blocks, in_channels, in_height, in_width, out_channels, out_height, out_width;
  int64_t kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left, dilation_height, dilation_width, groups;
  int64_t spread_height = 1, spread_width = 1;  // input pixel (y, x) lies at (y * spread_height, x * spread_width)

  int64_t in_group() const { return in_channels / groups; }
  int64_t out_group() const { return out_channels / groups; }
  int64_t taps() const { return in_group() * kernel_height * kernel_width; }
  // Rows of padded input that `rows` rows of output read, and the padded width.
  int64_t band_rows(int64_t rows) const { return (rows - 1) * stride_height + (kernel_height - 1) * dilation_height + 1; }
  int64_t padded_width() const { return (out_width - 1) * stride_width + (kernel_width - 1) * dilation_width + 1; }
  bool reads_input_directly() const {
    return pad_top == 0 && pad_left == 0 && spread_height == 1 && spread_width == 1 && band_rows(out_height) <= in_height &&
           padded_width() <= in_width;
  }
};

// A few plain images: channels in the lanes.
void conv2d_few_forward(const Conv2dShape& s, const float* input, const float* weight, const float* bias, float* output);
void conv2d_few_backward_input(const Conv2dShape& s, const float* grad_output, const float* weight, float* grad_input);
void conv2d_few_backward_weight(const Conv2dShape& s, const float* input, const float* grad_output, float* grad_weight,
                                float* grad_bias);

// Convolutions that take Winograd's way (conv2d_winograd.cpp), and their forward loop.
bool prefers_winograd(const ConvPlan& c);
void winograd_forward(const ConvPlan& c, const float* input, const float* weight, const float* bias, float* output);
void winograd_backward_weight(const ConvPlan& c, int64_t batch, const float* input, const float* grad_output, float* grad_weight);

namespace {

enum ScratchSlot { kPackedWeight, kOffsets, kBand, kPartials, kTurnedWeight, kPackedOutput, kColumns };

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
          s.groups};
}

// Copies the input rows that padded rows [first, first + rows) of one channel see, zeros around and between them.
inline void pad_rows(const ConvPlan& c, const float* plane, int64_t first, int64_t rows, float* padded) {
  const int64_t padded_width = c.padded_width();
  for (int64_t r = 0; r < rows; ++r) {
    float* to = padded + r * padded_width * c.width;
    const int64_t position = first + r - c.pad_top;
    const int64_t y = position >= 0 ? position / c.spread_height : -1;
    if (position < 0 || position % c.spread_height != 0 || y >= c.in_height) {
      memset(to, 0, static_cast<size_t>(padded_width * c.width) * sizeof(float));
      continue;
    }
    const float* from = plane + y * c.in_width * c.width;
    if (c.spread_width == 1) {
      const int64_t left = min(max(c.pad_left, 0), padded_width);
      const int64_t start = max(-c.pad_left, 0);
      const int64_t count = max(min(c.in_width - start, padded_width - left), 0);
      memset(to, 0, static_cast<size_t>(left * c.width) * sizeof(float));
      memcpy(to + left * c.width, from + start * c.width, static_cast<size_t>(count * c.width) * sizeof(float));
      memset(to + (left + count) * c.width, 0, static_cast<size_t>((padded_width - left - count) * c.width) * sizeof(float));
    } else {
      memset(to, 0, static_cast<size_t>(padded_width * c.width) * sizeof(float));
      for (int64_t x = 0; x < c.in_width; ++x) {
        const int64_t at = x * c.spread_width + c.pad_left;
        if (at >= 0 && at < padded_width)
          memcpy(to + at * c.width, from + x * c.width, static_cast<size_t>(c.width) * sizeof(float));
      }
    }
  }
}

// The taps of a group in the order [ky][kx][channel], in which the loops take them; weight_tap gives the place among the weights.
inline int64_t weight_tap(const ConvPlan& c, int64_t tap) {
  return tap % c.in_group() * c.kernel_height * c.kernel_width + tap / c.in_group();
}

// The offset of each tap of a group from the input position of an output pixel, in floats. With the channels innermost, an
// output row can leave out the kernel rows that see padding alone, and a tile of columns the kernel columns.
inline int32_t* tap_offsets(const ConvPlan& c, int64_t plane_pitch, int64_t row_pitch) {
  int32_t* offsets = static_cast<int32_t*>(scratch(kOffsets, static_cast<size_t>(c.taps()) * sizeof(int32_t)));
  int32_t* to = offsets;
  for (int64_t ky = 0; ky < c.kernel_height; ++ky)
    for (int64_t kx = 0; kx < c.kernel_width; ++kx)
      for (int64_t i = 0; i < c.in_group(); ++i)
        *to++ = static_cast<int32_t>(i * plane_pitch + ky * c.dilation_height * row_pitch + kx * c.dilation_width * c.width);
  return offsets;
}

// The taps k in [first, last) of a kernel axis that see more than padding at an output position: tap k reads position `at` + k * dilation
// of an input of the given extent.
struct TapRange {
  int64_t first, last;
};
inline TapRange axis_taps(int64_t at, int64_t extent, int64_t kernel, int64_t dilation) {
  const int64_t first = min(ceil_div(max(-at, 0), dilation), kernel);
  return {first, max(first, min(ceil_div(max(extent - at, 0), dilation), kernel))};
}
inline TapRange row_taps(const ConvPlan& c, int64_t y) {
  return axis_taps(y * c.stride_height - c.pad_top, (c.in_height - 1) * c.spread_height + 1, c.kernel_height, c.dilation_height);
}
inline TapRange column_taps(const ConvPlan& c, int64_t x) {
  return axis_taps(x * c.stride_width - c.pad_left, (c.in_width - 1) * c.spread_width + 1, c.kernel_width, c.dilation_width);
}

// The input gradient as a convolution of the output gradient: turned weights [in_channels][out_channels / groups][kernel, both axes
// reversed], and the plan to go with them.
inline float* turn_weight(const Conv2dShape& s, const float* weight) {
  const int64_t in_group = s.in_channels / s.groups, out_group = s.out_channels / s.groups;
  const int64_t window = s.kernel_height * s.kernel_width;
  float* turned =
      static_cast<float*>(scratch(kTurnedWeight, static_cast<size_t>(s.out_channels * in_group * window) * sizeof(float)));
  for (int64_t o = 0; o < s.out_channels; ++o)
    for (int64_t i = 0; i < in_group; ++i)
      for (int64_t k = 0; k < window; ++k)
        turned[((o / out_group * in_group + i) * out_group + o % out_group) * window + window - 1 - k] =
            weight[(o * in_group + i) * window + k];
  return turned;
}

inline ConvPlan turned_plan(const Conv2dShape& s, int64_t width) {
  return {width,
          ceil_div(s.batch, width),
          s.out_channels,
          s.out_height,
          s.out_width,
          s.in_channels,
          s.in_height,
          s.in_width,
          s.kernel_height,
          s.kernel_width,
          1,
          1,
          s.dilation_height * (s.kernel_height - 1) - s.pad_top,
          s.dilation_width * (s.kernel_width - 1) - s.pad_left,
          s.dilation_height,
          s.dilation_width,
          s.groups,
          s.stride_height,
          s.stride_width};
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
