// Pooling with images in the lanes.
//
//   input [blocks][channels][in_height][in_width][L], output and index [blocks][channels][out_height][out_width][L]
//
// A unit of work is one plane of one block. The index of a maximum is kept beside it, one integer lane per image, so the gradient
// is a select per window position; windows that do not overlap write every input pixel once. `lanes == 1` (a few images) takes
// the same loops with one-element "vectors".
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/max_windows.h"
#include "kernels/cpu/transpose.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// Plain NCHW data: one value where the lanes layout has a vector.
struct One {
  typedef float Value;
  typedef int32_t Index;
  static constexpr int kWidth = 1;
  static float get(const float* p) { return *p; }
  static int32_t get(const int32_t* p) { return *p; }
  static void put(float* p, float v) { *p = v; }
  static void put(int32_t* p, int32_t v) { *p = v; }
  static float of(float v) { return v; }
  static int32_t of(int32_t v) { return v; }
  template <class T> static T pick(bool mask, T a, T b) { return mask ? a : b; }
};

struct Many {
  typedef Vec Value;
  typedef VecI Index;
  static constexpr int kWidth = kLanes;
  static Vec get(const float* p) { return load(p); }
  static VecI get(const int32_t* p) { return load(p); }
  static void put(float* p, Vec v) { store(p, v); }
  static void put(int32_t* p, VecI v) { store(p, v); }
  static Vec of(float v) { return broadcast(v); }
  static VecI of(int32_t v) { return broadcast(v); }
  template <class T> static T pick(VecI mask, T a, T b) { return select(mask, a, b); }
};

// The taps of a window that fall inside the input: start + tap * dilation in [0, extent).
struct Range {
  int64_t first, last;  // last exclusive
};
inline Range inside(int64_t start, int64_t kernel, int64_t dilation, int64_t extent) {
  const int64_t first = start >= 0 ? 0 : ceil_div(-start, dilation);
  const int64_t last = start >= extent ? 0 : min(kernel, ceil_div(extent - start, dilation));
  return {first, max(first, last)};
}

// The positions along one axis that output o of an adaptive pooling covers.
inline Range adaptive_window(int64_t o, int64_t in, int64_t out) { return {o * in / out, ceil_div((o + 1) * in, out)}; }

template <class W, class F>
inline void for_planes(const Pool2dShape& s, const F& f) {
  const int64_t planes = (W::kWidth == 1 ? s.batch : ceil_div(s.batch, kLanes)) * s.channels;
  const double cost = static_cast<double>(s.out_height * s.out_width * s.kernel_height * s.kernel_width);
  parallel_for(planes, cost, f);
}

// Calls tap(input position) for every tap of the window of output (y, x); Kernel > 0: a Kernel x Kernel window that lies inside.
template <int Kernel, class F>
inline void for_window(const Pool2dShape& s, int64_t y, int64_t x, const F& tap) {
  const int64_t top = y * s.stride_height - s.pad_top, left = x * s.stride_width - s.pad_left;
  if constexpr (Kernel > 0) {
    for (int ky = 0; ky < Kernel; ++ky)
      for (int kx = 0; kx < Kernel; ++kx) tap((top + ky) * s.in_width + left + kx);
  } else if (s.adaptive) {
    const Range rows = adaptive_window(y, s.in_height, s.out_height), columns = adaptive_window(x, s.in_width, s.out_width);
    for (int64_t iy = rows.first; iy < rows.last; ++iy)
      for (int64_t ix = columns.first; ix < columns.last; ++ix) tap(iy * s.in_width + ix);
  } else {
    const Range rows = inside(top, s.kernel_height, s.dilation_height, s.in_height);
    const Range columns = inside(left, s.kernel_width, s.dilation_width, s.in_width);
    for (int64_t ky = rows.first; ky < rows.last; ++ky)
      for (int64_t kx = columns.first; kx < columns.last; ++kx)
        tap((top + ky * s.dilation_height) * s.in_width + left + kx * s.dilation_width);
  }
}

template <class W, int Kernel, bool WithIndex>
void max_forward(const Pool2dShape& s, const float* input, float* output, int32_t* index) {
  const int64_t in_plane = s.in_height * s.in_width * W::kWidth, out_plane = s.out_height * s.out_width * W::kWidth;
  for_planes<W>(s, [&](int64_t plane) {
    const float* from = input + plane * in_plane;
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        typename W::Value best;
        typename W::Index where;
        bool is_first = true;
        for_window<Kernel>(s, y, x, [&](int64_t position) {
          const typename W::Value value = W::get(from + position * W::kWidth);
          if (is_first) {
            best = value;
            where = W::of(static_cast<int32_t>(position));
            is_first = false;
            return;
          }
          const auto better = (value > best) | (value != value);
          best = W::pick(better, value, best);
          if constexpr (WithIndex) where = W::pick(better, W::of(static_cast<int32_t>(position)), where);
        });
        if (Kernel == 0 && is_first) best = W::of(-__builtin_inff()), where = W::of(int32_t{-1});  // padding alone
        const int64_t at = plane * out_plane + (y * s.out_width + x) * W::kWidth;
        W::put(output + at, best);
        if constexpr (WithIndex) W::put(index + at, where);
      }
  });
}

// Windows of 2 x 2 side by side in plain images, without indices: an output row is the maximum of two rows, every other value.
void max_forward_of_pairs(const Pool2dShape& s, const float* input, float* output) {
  const auto larger = [](Vec a, Vec b) { return select((b > a) | (b != b), b, a); };
  for_planes<One>(s, [&](int64_t plane) {
    for (int64_t y = 0; y < s.out_height; ++y) {
      const float* above = input + (plane * s.in_height + 2 * y) * s.in_width;
      const float* below = above + s.in_width;
      float* to = output + (plane * s.out_height + y) * s.out_width;
      for (int64_t x = 0; x < s.out_width; x += kLanes) {
        const int64_t count = min(s.out_width - x, kLanes), first = min(2 * count, kLanes), second = 2 * count - first;
        const auto pairs = [&](const float* row) {
          const Vec a = load_partial(row + 2 * x, first), b = load_partial(row + 2 * x + first, second);
          return larger(every_other<false>(a, b), every_other<true>(a, b));
        };
        store_partial(to + x, larger(pairs(above), pairs(below)), count);
      }
    }
  });
}

template <class W, int Kernel>
void max_backward(const Pool2dShape& s, const float* grad_output, const int32_t* index, float* grad_input) {
  const int64_t in_plane = s.in_height * s.in_width * W::kWidth, out_plane = s.out_height * s.out_width * W::kWidth;
  // Windows side by side without overlap, gap or edge: every pixel is written by its one window.
  const bool tiled = Kernel > 0 && s.stride_height == Kernel && s.stride_width == Kernel &&
                     s.in_height == s.out_height * Kernel && s.in_width == s.out_width * Kernel;
  for_planes<W>(s, [&](int64_t plane) {
    float* to = grad_input + plane * in_plane;
    if (!tiled) memset(to, 0, static_cast<size_t>(in_plane) * sizeof(float));
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        const int64_t at = plane * out_plane + (y * s.out_width + x) * W::kWidth;
        const typename W::Value g = W::get(grad_output + at);
        const typename W::Index where = W::get(index + at);
        for_window<Kernel>(s, y, x, [&](int64_t position) {
          float* p = to + position * W::kWidth;
          const typename W::Value share = W::pick(where == W::of(static_cast<int32_t>(position)), g, W::of(0.0f));
          W::put(p, tiled ? share : W::get(p) + share);
        });
      }
  });
}

inline float reciprocal_divisor(const Pool2dShape& s, int64_t y, int64_t x) {
  if (s.divisor_override != 0) return 1.0f / static_cast<float>(s.divisor_override);
  if (s.adaptive) {
    const Range rows = adaptive_window(y, s.in_height, s.out_height), columns = adaptive_window(x, s.in_width, s.out_width);
    return 1.0f / static_cast<float>((rows.last - rows.first) * (columns.last - columns.first));
  }
  const int64_t top = y * s.stride_height - s.pad_top, left = x * s.stride_width - s.pad_left;
  const bool padded = s.count_include_pad;
  const int64_t height = min(top + s.kernel_height, s.in_height + (padded ? s.pad_bottom : 0)) - (padded ? top : max(top, 0));
  const int64_t width = min(left + s.kernel_width, s.in_width + (padded ? s.pad_right : 0)) - (padded ? left : max(left, 0));
  return 1.0f / static_cast<float>(height * width);
}

template <class W, int Kernel>
void avg_forward(const Pool2dShape& s, const float* input, float* output) {
  const int64_t in_plane = s.in_height * s.in_width * W::kWidth, out_plane = s.out_height * s.out_width * W::kWidth;
  for_planes<W>(s, [&](int64_t plane) {
    const float* from = input + plane * in_plane;
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        typename W::Value sum = W::of(0.0f);
        for_window<Kernel>(s, y, x, [&](int64_t position) { sum += W::get(from + position * W::kWidth); });
        W::put(output + plane * out_plane + (y * s.out_width + x) * W::kWidth, sum * reciprocal_divisor(s, y, x));
      }
  });
}

template <class W, int Kernel>
void avg_backward(const Pool2dShape& s, const float* grad_output, float* grad_input) {
  const int64_t in_plane = s.in_height * s.in_width * W::kWidth, out_plane = s.out_height * s.out_width * W::kWidth;
  for_planes<W>(s, [&](int64_t plane) {
    float* to = grad_input + plane * in_plane;
    memset(to, 0, static_cast<size_t>(in_plane) * sizeof(float));
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        const typename W::Value share =
            W::get(grad_output + plane * out_plane + (y * s.out_width + x) * W::kWidth) * reciprocal_divisor(s, y, x);
        for_window<Kernel>(s, y, x, [&](int64_t position) {
          float* p = to + position * W::kWidth;
          W::put(p, W::get(p) + share);
        });
      }
  });
}

// Whether all windows are kernel x kernel and lie inside the input.
inline bool has_inner_windows(const Pool2dShape& s, int64_t kernel) {
  return !s.adaptive && s.pad_top == 0 && s.pad_left == 0 && s.dilation_height == 1 && s.dilation_width == 1 &&
         s.kernel_height == kernel && s.kernel_width == kernel && (s.out_height - 1) * s.stride_height + kernel <= s.in_height &&
         (s.out_width - 1) * s.stride_width + kernel <= s.in_width;
}

// Calls f.template operator()<W, Kernel>(): the layout, and a fixed window size where all windows lie inside the input.
template <class F>
inline void specialize(const Pool2dShape& s, const F& f) {
  const bool two = has_inner_windows(s, 2), three = has_inner_windows(s, 3);
  if (s.lanes == 1) return two ? f.template operator()<One, 2>() : f.template operator()<One, 0>();
  if (two) return f.template operator()<Many, 2>();
  if (three) return f.template operator()<Many, 3>();
  f.template operator()<Many, 0>();
}

}  // namespace

void max_pool2d_forward(const Queue&, const Pool2dShape& s, const float* input, float* output, int32_t* index) {
  if (s.lanes == 1 && index == nullptr && has_inner_windows(s, 2) && s.stride_height == 2 && s.stride_width == 2)
    return max_forward_of_pairs(s, input, output);
  specialize(s, [&]<class W, int Kernel>() {
    if (index != nullptr) max_forward<W, Kernel, true>(s, input, output, index);
    else max_forward<W, Kernel, false>(s, input, output, nullptr);
  });
}
void max_unpool(const Queue&, const Pool2dShape& s, const float* grad_output, const uint8_t* which, float* grad_input) {
  const int64_t in_plane = s.in_height * s.in_width * kLanes, out_plane = s.out_height * s.out_width * kLanes;
  const bool covered = s.in_height == s.out_height * s.kernel_height && s.in_width == s.out_width * s.kernel_width;
  for_planes<Many>(s, [&](int64_t plane) {
    float* to = grad_input + plane * in_plane;
    if (!covered) memset(to, 0, static_cast<size_t>(in_plane) * sizeof(float));
    const auto windows = [&]<int Window>() {
      const int64_t k = Window > 0 ? Window : s.kernel_width;
      for (int64_t y = 0; y < s.out_height; ++y)
        for (int64_t x = 0; x < s.out_width; ++x) {
          const int64_t at = plane * out_plane + (y * s.out_width + x) * kLanes;
          const Vec g = load(grad_output + at);
          const VecI where = load_bytes(which + at);
          float* window = to + (y * s.in_width + x) * k * kLanes;
          for (int64_t ky = 0; ky < k; ++ky)
            for (int64_t kx = 0; kx < k; ++kx)
              store(window + (ky * s.in_width + kx) * kLanes,
                    select(where == broadcast(static_cast<int32_t>(ky * k + kx)), g, Vec{}));
        }
    };
    if (s.kernel_width == 2) windows.template operator()<2>();
    else if (s.kernel_width == 3) windows.template operator()<3>();
    else windows.template operator()<0>();
  });
}
void max_pool2d_backward(const Queue&, const Pool2dShape& s, const float* grad_output, const int32_t* index, float* grad_input) {
  specialize(s, [&]<class W, int Kernel>() { max_backward<W, Kernel>(s, grad_output, index, grad_input); });
}
void avg_pool2d_forward(const Queue&, const Pool2dShape& s, const float* input, float* output) {
  specialize(s, [&]<class W, int Kernel>() { avg_forward<W, Kernel>(s, input, output); });
}
void avg_pool2d_backward(const Queue&, const Pool2dShape& s, const float* grad_output, float* grad_input) {
  specialize(s, [&]<class W, int Kernel>() { avg_backward<W, Kernel>(s, grad_output, grad_input); });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
