// Convolution (cross-correlation), straight from its definition:
//   output[n, o, y, x] = bias[o] + sum over (i, ky, kx) of weight[o, i, ky, kx] * input[n, g*I + i, y*sy - py + ky*dy, x*sx - px
//   + kx*dx]
// with o in group g and i over the I input channels of a group; positions outside the input count as zero.
#include <vector>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

// The input coordinate that output position `out` and kernel tap `tap` meet, or -1 outside.
int64_t input_at(int64_t out, int64_t tap, int64_t stride, int64_t pad, int64_t dilation, int64_t extent) {
  int64_t position = out * stride - pad + tap * dilation;
  return position >= 0 && position < extent ? position : -1;
}

}  // namespace

template <class T>
void conv2d_forward(const Queue&, const Conv2dShape& s, const T* input, const T* weight, const T* bias,
                    const ChannelNorm<T>& norm, T* output) {
  const int64_t in_group = s.in_channels / s.groups, out_group = s.out_channels / s.groups;
  const int64_t in_spatial = s.in_height * s.in_width, out_spatial = s.out_height * s.out_width;
  const double cost = 2.0 * static_cast<double>(out_spatial * in_group * s.kernel_height * s.kernel_width);
  parallel_for(s.batch * s.out_channels, cost, [&](int64_t unit) {
    const int64_t n = unit / s.out_channels, o = unit % s.out_channels, group = o / out_group;
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        double sum = bias != nullptr ? bias[o] : 0.0;
        for (int64_t i = 0; i < in_group; ++i)
          for (int64_t ky = 0; ky < s.kernel_height; ++ky) {
            const int64_t iy = input_at(y, ky, s.stride_height, s.pad_top, s.dilation_height, s.in_height);
            if (iy < 0) continue;
            for (int64_t kx = 0; kx < s.kernel_width; ++kx) {
              const int64_t ix = input_at(x, kx, s.stride_width, s.pad_left, s.dilation_width, s.in_width);
              if (ix < 0) continue;
              sum += static_cast<double>(weight[((o * in_group + i) * s.kernel_height + ky) * s.kernel_width + kx]) *
                     input[lanes_index(n, group * in_group + i, iy * s.in_width + ix, s.in_channels, in_spatial, s.lanes)];
            }
          }
        T result = static_cast<T>(sum);
        if (norm.mean != nullptr) {
          const double scale = norm.inv_std[o] * (norm.weight != nullptr ? static_cast<double>(norm.weight[o]) : 1.0);
          const double shift = norm.bias != nullptr ? static_cast<double>(norm.bias[o]) : 0.0;
          result = static_cast<T>((result - static_cast<double>(norm.mean[o])) * scale + shift);
        }
        output[lanes_index(n, o, y * s.out_width + x, s.out_channels, out_spatial, s.lanes)] =
            static_cast<T>(activated(s.activation, result));
      }
  });
}

// It reads the weights as they are.
template <class T>
void conv2d_prepared_size(const Queue&, const Conv2dShape&, int64_t* size) {
  *size = 0;
}
template <class T>
void conv2d_prepare(const Queue&, const Conv2dShape&, const T*, T*) {}

template <class T>
void conv2d_backward_input(const Queue&, const Conv2dShape& s, const T* grad_output, const T* weight, T* grad_input) {
  const int64_t in_group = s.in_channels / s.groups, out_group = s.out_channels / s.groups;
  const int64_t in_spatial = s.in_height * s.in_width, out_spatial = s.out_height * s.out_width;
  const double cost = 2.0 * static_cast<double>(in_spatial * out_group * s.kernel_height * s.kernel_width);
  parallel_for(s.batch * s.in_channels, cost, [&](int64_t unit) {
    const int64_t n = unit / s.in_channels, c = unit % s.in_channels, group = c / in_group, i = c % in_group;
    for (int64_t iy = 0; iy < s.in_height; ++iy)
      for (int64_t ix = 0; ix < s.in_width; ++ix) {
        double sum = 0.0;
        for (int64_t o = group * out_group; o < (group + 1) * out_group; ++o)
          for (int64_t ky = 0; ky < s.kernel_height; ++ky) {
            const int64_t y = iy + s.pad_top - ky * s.dilation_height;
            if (y < 0 || y % s.stride_height != 0 || y / s.stride_height >= s.out_height) continue;
            for (int64_t kx = 0; kx < s.kernel_width; ++kx) {
              const int64_t x = ix + s.pad_left - kx * s.dilation_width;
              if (x < 0 || x % s.stride_width != 0 || x / s.stride_width >= s.out_width) continue;
              sum += static_cast<double>(weight[((o * in_group + i) * s.kernel_height + ky) * s.kernel_width + kx]) *
                     grad_output[lanes_index(n, o, y / s.stride_height * s.out_width + x / s.stride_width, s.out_channels,
                                             out_spatial, s.lanes)];
            }
          }
        grad_input[lanes_index(n, c, iy * s.in_width + ix, s.in_channels, in_spatial, s.lanes)] = static_cast<T>(sum);
      }
  });
}

template <class T>
void conv2d_backward_weight(const Queue&, const Conv2dShape& s, const T* input, const T* grad_output, T* grad_weight,
                            T* grad_bias) {
  const int64_t in_group = s.in_channels / s.groups, out_group = s.out_channels / s.groups;
  const int64_t in_spatial = s.in_height * s.in_width, out_spatial = s.out_height * s.out_width;
  const int64_t taps = in_group * s.kernel_height * s.kernel_width;
  const double cost = 2.0 * static_cast<double>(s.batch * out_spatial * taps);
  parallel_for(s.out_channels, cost, [&](int64_t o) {
    const int64_t group = o / out_group;
    for (int64_t tap = 0; grad_weight != nullptr && tap < taps; ++tap) {
      const int64_t kx = tap % s.kernel_width, ky = tap / s.kernel_width % s.kernel_height;
      const int64_t c = group * in_group + tap / (s.kernel_width * s.kernel_height);
      double sum = 0.0;
      for (int64_t n = 0; n < s.batch; ++n)
        for (int64_t y = 0; y < s.out_height; ++y) {
          const int64_t iy = input_at(y, ky, s.stride_height, s.pad_top, s.dilation_height, s.in_height);
          if (iy < 0) continue;
          for (int64_t x = 0; x < s.out_width; ++x) {
            const int64_t ix = input_at(x, kx, s.stride_width, s.pad_left, s.dilation_width, s.in_width);
            if (ix < 0) continue;
            sum +=
                static_cast<double>(grad_output[lanes_index(n, o, y * s.out_width + x, s.out_channels, out_spatial, s.lanes)]) *
                input[lanes_index(n, c, iy * s.in_width + ix, s.in_channels, in_spatial, s.lanes)];
          }
        }
      put(grad_weight[o * taps + tap], sum, s.accumulate);
    }
    if (grad_bias != nullptr) {
      double sum = 0.0;
      for (int64_t n = 0; n < s.batch; ++n)
        for (int64_t p = 0; p < out_spatial; ++p) sum += grad_output[lanes_index(n, o, p, s.out_channels, out_spatial, s.lanes)];
      put(grad_bias[o], sum, s.accumulate);
    }
  });
}

template <class T>
void conv2d_max_pool(const Queue& queue, const Conv2dShape& s, int64_t window, const T* input, const T* weight, const T* bias,
                     const ChannelNorm<T>& norm, T* output, uint8_t* which) {
  const int64_t spatial = s.out_height * s.out_width, height = s.out_height / window, width = s.out_width / window;
  const int64_t count = (s.batch + s.lanes - 1) / s.lanes * s.lanes * s.out_channels * spatial;
  T* const whole = static_cast<T*>(queue.scratch(0, static_cast<size_t>(count) * sizeof(T)));
  if (queue.rehearses) return;
  conv2d_forward(queue, s, input, weight, bias, norm, whole);
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t o = 0; o < s.out_channels; ++o)
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) {
          T best{};
          int64_t at = -1;
          for (int64_t tap = 0; tap < window * window; ++tap) {
            const int64_t position = (y * window + tap / window) * s.out_width + x * window + tap % window;
            const T value = whole[lanes_index(n, o, position, s.out_channels, spatial, s.lanes)];
            if (at < 0 || value > best || value != value) best = value, at = tap;
          }
          const int64_t to = lanes_index(n, o, y * width + x, s.out_channels, height * width, s.lanes);
          output[to] = best;
          if (which != nullptr) which[to] = static_cast<uint8_t>(at);
        }
}

CNNX_INSTANTIATE(conv2d_prepared_size, conv2d_prepare)
CNNX_INSTANTIATE(conv2d_forward, conv2d_backward_input, conv2d_backward_weight, conv2d_max_pool)

}  // namespace cnnx::reference
