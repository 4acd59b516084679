// Max and average pooling from their definitions. Padding never wins a maximum; a NaN does.
#include <cmath>
#include <limits>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

int64_t adaptive_start(int64_t o, int64_t in, int64_t out) { return o * in / out; }
int64_t adaptive_end(int64_t o, int64_t in, int64_t out) { return ((o + 1) * in + out - 1) / out; }

// Calls f(iy, ix) for every position of the window of output (y, x) that lies inside the input.
template <class F>
void for_window(const Pool2dShape& s, int64_t y, int64_t x, const F& f) {
  if (s.adaptive) {
    for (int64_t iy = adaptive_start(y, s.in_height, s.out_height); iy < adaptive_end(y, s.in_height, s.out_height); ++iy)
      for (int64_t ix = adaptive_start(x, s.in_width, s.out_width); ix < adaptive_end(x, s.in_width, s.out_width); ++ix)
        f(iy, ix);
    return;
  }
  for (int64_t ky = 0; ky < s.kernel_height; ++ky) {
    const int64_t iy = y * s.stride_height - s.pad_top + ky * s.dilation_height;
    if (iy < 0 || iy >= s.in_height) continue;
    for (int64_t kx = 0; kx < s.kernel_width; ++kx) {
      const int64_t ix = x * s.stride_width - s.pad_left + kx * s.dilation_width;
      if (ix >= 0 && ix < s.in_width) f(iy, ix);
    }
  }
}

// Calls f(n, c) for every plane.
template <class F>
void for_planes(const Pool2dShape& s, const F& f) {
  const double cost = static_cast<double>(s.out_height * s.out_width * s.kernel_height * s.kernel_width);
  parallel_for(s.batch * s.channels, cost, [&](int64_t unit) { f(unit / s.channels, unit % s.channels); });
}

int64_t input_index(const Pool2dShape& s, int64_t n, int64_t c, int64_t position) {
  return lanes_index(n, c, position, s.channels, s.in_height * s.in_width, s.lanes);
}
int64_t output_index(const Pool2dShape& s, int64_t n, int64_t c, int64_t y, int64_t x) {
  return lanes_index(n, c, y * s.out_width + x, s.channels, s.out_height * s.out_width, s.lanes);
}

// How many positions an average divides by.
double divisor(const Pool2dShape& s, int64_t y, int64_t x) {
  if (s.divisor_override != 0) return static_cast<double>(s.divisor_override);
  auto extent = [](int64_t start, int64_t kernel, int64_t low, int64_t high) {
    int64_t from = start < low ? low : start, to = start + kernel > high ? high : start + kernel;
    return to - from;
  };
  if (s.adaptive)
    return static_cast<double>((adaptive_end(y, s.in_height, s.out_height) - adaptive_start(y, s.in_height, s.out_height)) *
                               (adaptive_end(x, s.in_width, s.out_width) - adaptive_start(x, s.in_width, s.out_width)));
  const int64_t y0 = y * s.stride_height - s.pad_top, x0 = x * s.stride_width - s.pad_left;
  if (s.count_include_pad)
    return static_cast<double>(extent(y0, s.kernel_height, -s.pad_top, s.in_height + s.pad_bottom) *
                               extent(x0, s.kernel_width, -s.pad_left, s.in_width + s.pad_right));
  return static_cast<double>(extent(y0, s.kernel_height, 0, s.in_height) * extent(x0, s.kernel_width, 0, s.in_width));
}

// Adds each gradient to where its maximum was, position(index of the output, y, x); -1: a window in the padding alone.
template <class T, class F>
void spread(const Pool2dShape& s, const T* grad_output, T* grad_input, const F& position) {
  for_planes(s, [&](int64_t n, int64_t c) {
    for (int64_t p = 0; p < s.in_height * s.in_width; ++p) grad_input[input_index(s, n, c, p)] = 0;
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        const int64_t at = output_index(s, n, c, y, x), to = position(at, y, x);
        if (to >= 0) grad_input[input_index(s, n, c, to)] += grad_output[at];
      }
  });
}

}  // namespace

template <class T>
void max_pool2d_forward(const Queue&, const Pool2dShape& s, const T* input, T* output, int32_t* index) {
  for_planes(s, [&](int64_t n, int64_t c) {
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        T best = -std::numeric_limits<T>::infinity();
        int64_t where = -1;
        for_window(s, y, x, [&](int64_t iy, int64_t ix) {
          const int64_t position = iy * s.in_width + ix;
          const T value = input[input_index(s, n, c, position)];
          if (where < 0 || value > best || std::isnan(value)) {
            best = value;
            where = position;
          }
        });
        output[output_index(s, n, c, y, x)] = best;
        if (index != nullptr) index[output_index(s, n, c, y, x)] = static_cast<int32_t>(where);
      }
  });
}

template <class T>
void max_pool2d_backward(const Queue&, const Pool2dShape& s, const T* grad_output, const int32_t* index, T* grad_input) {
  spread(s, grad_output, grad_input, [&](int64_t at, int64_t, int64_t) -> int64_t { return index[at]; });
}

template <class T>
void max_unpool(const Queue&, const Pool2dShape& s, const T* grad_output, const uint8_t* which, T* grad_input) {
  spread(s, grad_output, grad_input, [&](int64_t at, int64_t y, int64_t x) {
    const int64_t row = y * s.kernel_height + which[at] / s.kernel_width;
    return row * s.in_width + x * s.kernel_width + which[at] % s.kernel_width;
  });
}

template <class T>
void avg_pool2d_forward(const Queue&, const Pool2dShape& s, const T* input, T* output) {
  for_planes(s, [&](int64_t n, int64_t c) {
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        double sum = 0.0;
        for_window(s, y, x, [&](int64_t iy, int64_t ix) { sum += input[input_index(s, n, c, iy * s.in_width + ix)]; });
        output[output_index(s, n, c, y, x)] = static_cast<T>(sum / divisor(s, y, x));
      }
  });
}

template <class T>
void avg_pool2d_backward(const Queue&, const Pool2dShape& s, const T* grad_output, T* grad_input) {
  for_planes(s, [&](int64_t n, int64_t c) {
    for (int64_t p = 0; p < s.in_height * s.in_width; ++p) grad_input[input_index(s, n, c, p)] = 0;
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        const T share = static_cast<T>(grad_output[output_index(s, n, c, y, x)] / divisor(s, y, x));
        for_window(s, y, x, [&](int64_t iy, int64_t ix) { grad_input[input_index(s, n, c, iy * s.in_width + ix)] += share; });
      }
  });
}

CNNX_INSTANTIATE(max_pool2d_forward, max_pool2d_backward, avg_pool2d_forward, avg_pool2d_backward, max_unpool)

}  // namespace cnnx::reference
