// Pooling: input (planes, in_height, in_width) -> output (planes, out_height, out_width), a plane being one channel of one image.
//
// One thread per result, lanes along x and on through rows and planes: stores coalesce, and the taps of neighbouring windows
// share the cache lines they load. Large windows of which a plane has few (global pooling) get a warp per result, its lanes along
// the taps, whose results meet in a tree of fixed shape. The gradients have one thread per input pixel, which visits the windows
// that contain it, in row-major order, so nothing is added to memory and the bits are always the same: for max the windows whose
// index names the pixel.
//
// Bytes: forward reads the input once and writes output (and 4 more bytes of index a result), backward reads those and writes the
// input's size once: for 2x2 with stride 2 in float32, 6 and 6 bytes an input pixel; a few integer operations each. Bound by
// memory: aimed at 75-85 % of its ceiling, the rest being the address arithmetic of small windows.
#include "kernels/cuda/planes.h"

namespace cnnx::cuda {
namespace {

// One axis of the windows.
struct Window {
  int in, out, kernel, stride, pad, pad_after, dilation;
  bool adaptive;
  Divider by_stride;

  __device__ int start(int o) const { return adaptive ? static_cast<int>(static_cast<int64_t>(o) * in / out) : o * stride - pad; }
  // Taps of window o; those of an adaptive one lie inside.
  __device__ int taps(int o) const {
    return adaptive ? static_cast<int>((static_cast<int64_t>(o + 1) * in + out - 1) / out) - start(o) : kernel;
  }
  // The windows that may contain input position i: from first(i) to last(i). With dilation some of them do not.
  __device__ int first(int i) const {
    if (adaptive) return static_cast<int>(static_cast<int64_t>(i) * out / in);
    const int reach = i + pad - (kernel - 1) * dilation;
    return reach > 0 ? by_stride.quotient(reach + stride - 1) : 0;
  }
  __device__ int last(int i) const {
    if (adaptive) return static_cast<int>((static_cast<int64_t>(i + 1) * out - 1) / in);
    const int o = by_stride.quotient(i + pad);
    return o < out ? o : out - 1;
  }
  // Positions of window o that an average counts: of the padded input, or of the input alone.
  __device__ int counted(int o, bool padded) const {
    if (adaptive) return taps(o);
    const int from = start(o), low = padded ? -pad : 0, high = padded ? in + pad_after : in;
    return (from + kernel > high ? high : from + kernel) - (from < low ? low : from);
  }
};

struct Pool {
  Window y, x;
  int count;  // threads that have something to do
  bool count_include_pad;
  int64_t divisor;        // 0: none given
  Divider width, height;  // of what the threads run over

  // (plane, y, x) of thread i: i becomes x.
  __device__ int split(int& i, int& row) const {
    row = width.split(i);
    return height.split(row);
  }
  template <class T>
  __device__ T share(int oy, int ox) const {
    return divisor != 0
               ? static_cast<T>(divisor)
               : static_cast<T>(static_cast<int64_t>(y.counted(oy, count_include_pad)) * x.counted(ox, count_include_pad));
  }
};

// Calls f(ky, kx) for a lane's part of rows x columns taps, in order.
template <int kLanes, class F>
__device__ void for_taps(int rows, int columns, int lane, const F& f) {
  if constexpr (kLanes == 1) {
    for (int ky = 0; ky < rows; ++ky)
      for (int kx = 0; kx < columns; ++kx) f(ky, kx);
  } else {
    for (int tap = lane; tap < rows * columns; tap += kLanes) f(tap / columns, tap % columns);
  }
}

// A maximum and where it is; -1: none yet. Of equals the first one counts, and of NaNs, which are larger than all, the last.
template <class T>
struct Maximum {
  T value;
  int where;
  __device__ void merge(T other, int place) {
    if (place < 0) return;
    const bool is_nan = other != other, was_nan = value != value;
    const bool first = where < 0, equal = other == value && place < where;
    if (first || (is_nan ? !was_nan || place > where : !was_nan && (other > value || equal))) {
      value = other;
      where = place;
    }
  }
};

constexpr unsigned kWarp = 0xffffffffu;

// kLanes (1 or 32): threads of a result.
template <class T, int kLanes>
__global__ void __launch_bounds__(kPlaneThreads) max_forward(Pool p, const T* input, T* output, int32_t* index) {
  const int at = plane_thread() / kLanes, lane = plane_thread() % kLanes;
  if (at >= p.count) return;
  int ox = at, oy;
  const int plane = p.split(ox, oy);
  const T* const from = input + static_cast<int64_t>(plane) * p.y.in * p.x.in;
  const int y0 = p.y.start(oy), x0 = p.x.start(ox), rows = p.y.taps(oy), columns = p.x.taps(ox);
  Maximum<T> best{-static_cast<T>(INFINITY), -1};
  for_taps<kLanes>(rows, columns, lane, [&](int ky, int kx) {
    const int iy = y0 + ky * p.y.dilation, ix = x0 + kx * p.x.dilation;
    if (iy < 0 || iy >= p.y.in || ix < 0 || ix >= p.x.in) return;
    best.merge(from[iy * p.x.in + ix], iy * p.x.in + ix);
  });
#pragma unroll
  for (int width = kLanes / 2; width > 0; width /= 2)
    best.merge(__shfl_xor_sync(kWarp, best.value, width), __shfl_xor_sync(kWarp, best.where, width));
  if (lane > 0) return;
  output[at] = best.value;
  if (index != nullptr) index[at] = best.where;
}

template <class T>
__global__ void __launch_bounds__(kPlaneThreads) max_backward(Pool p, const T* grad_output, const int32_t* index, T* grad_input) {
  const int at = plane_thread();
  if (at >= p.count) return;
  int ix = at, iy;
  const int plane = p.split(ix, iy), position = iy * p.x.in + ix;
  const int64_t start = static_cast<int64_t>(plane) * p.y.out * p.x.out;
  const int y1 = p.y.last(iy), x0 = p.x.first(ix), x1 = p.x.last(ix);
  T sum = 0;
  for (int oy = p.y.first(iy); oy <= y1; ++oy)
    for (int ox = x0; ox <= x1; ++ox) {
      const int64_t o = start + oy * p.x.out + ox;
      if (index[o] == position) sum += grad_output[o];
    }
  grad_input[at] = sum;
}

template <class T, int kLanes>
__global__ void __launch_bounds__(kPlaneThreads) avg_forward(Pool p, const T* input, T* output) {
  const int at = plane_thread() / kLanes, lane = plane_thread() % kLanes;
  if (at >= p.count) return;
  int ox = at, oy;
  const int plane = p.split(ox, oy);
  const T* const from = input + static_cast<int64_t>(plane) * p.y.in * p.x.in;
  const int y_start = p.y.start(oy), x_start = p.x.start(ox), y0 = max(y_start, 0), x0 = max(x_start, 0);
  const int rows = min(y_start + p.y.taps(oy), p.y.in) - y0, columns = min(x_start + p.x.taps(ox), p.x.in) - x0;
  T sum = 0;
  for_taps<kLanes>(max(rows, 0), max(columns, 0), lane, [&](int ky, int kx) { sum += from[(y0 + ky) * p.x.in + x0 + kx]; });
#pragma unroll
  for (int width = kLanes / 2; width > 0; width /= 2) sum += __shfl_xor_sync(kWarp, sum, width);
  if (lane == 0) output[at] = sum / p.share<T>(oy, ox);
}

template <class T>
__global__ void __launch_bounds__(kPlaneThreads) avg_backward(Pool p, const T* grad_output, T* grad_input) {
  const int at = plane_thread();
  if (at >= p.count) return;
  int ix = at, iy;
  const int plane = p.split(ix, iy);
  const T* const from = grad_output + static_cast<int64_t>(plane) * p.y.out * p.x.out;
  const int y1 = p.y.last(iy), x0 = p.x.first(ix), x1 = p.x.last(ix);
  T sum = 0;
  for (int oy = p.y.first(iy); oy <= y1; ++oy)
    for (int ox = x0; ox <= x1; ++ox) sum += from[oy * p.x.out + ox] / p.share<T>(oy, ox);
  grad_input[at] = sum;
}

Pool pool_of(const char* op, const Pool2dShape& s, bool over_input) {
  to_index(op, (s.in_height + s.pad_top + s.pad_bottom + s.kernel_height * s.dilation_height + s.stride_height) +
                   s.out_height * s.stride_height);
  to_index(op, (s.in_width + s.pad_left + s.pad_right + s.kernel_width * s.dilation_width + s.stride_width) +
                   s.out_width * s.stride_width);
  const auto window = [&](int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t pad_after,
                          int64_t dilation) {
    return Window{static_cast<int>(in),  static_cast<int>(out),       static_cast<int>(kernel),   static_cast<int>(stride),
                  static_cast<int>(pad), static_cast<int>(pad_after), static_cast<int>(dilation), s.adaptive,
                  Divider(stride)};
  };
  Pool p{};
  p.y = window(s.in_height, s.out_height, s.kernel_height, s.stride_height, s.pad_top, s.pad_bottom, s.dilation_height);
  p.x = window(s.in_width, s.out_width, s.kernel_width, s.stride_width, s.pad_left, s.pad_right, s.dilation_width);
  p.count_include_pad = s.count_include_pad;
  p.divisor = s.divisor_override;
  p.width = Divider(over_input ? s.in_width : s.out_width);
  p.height = Divider(over_input ? s.in_height : s.out_height);
  return p;
}

// Few results of many taps each.
bool by_warps(const Pool2dShape& s) { return s.out_height * s.out_width < 32 && s.kernel_height * s.kernel_width >= 32; }

// Calls f(the pooling, blocks, first value of the input, first value of the output) for parts of the planes; `lanes` threads a
// position.
template <class F>
void for_parts(const char* op, const Pool2dShape& s, bool over_input, int64_t lanes, const F& f) {
  Pool p = pool_of(op, s, over_input);
  const int64_t in = s.in_height * s.in_width, out = s.out_height * s.out_width, positions = over_input ? in : out;
  for_planes(op, s.batch * s.channels, positions * lanes, std::max(in, out), [&](int64_t first, int planes, dim3 blocks) {
    p.count = static_cast<int>(planes * positions);
    f(p, blocks, first * in, first * out);
  });
}

}  // namespace

template <class T>
void max_pool2d_forward(const Queue& queue, const Pool2dShape& s, const T* input, T* output, int32_t* index) {
  const char* op = "max_pool2d_forward";
  const bool warps = by_warps(s);
  for_parts(op, s, false, warps ? 32 : 1, [&](const Pool& p, dim3 blocks, int64_t in, int64_t out) {
    launch(op, warps ? max_forward<T, 32> : max_forward<T, 1>, blocks, dim3(kPlaneThreads), 0, queue, p, input + in, output + out,
           index != nullptr ? index + out : nullptr);
  });
}

template <class T>
void max_pool2d_backward(const Queue& queue, const Pool2dShape& s, const T* grad_output, const int32_t* index, T* grad_input) {
  const char* op = "max_pool2d_backward";
  for_parts(op, s, true, 1, [&](const Pool& p, dim3 blocks, int64_t in, int64_t out) {
    launch(op, max_backward<T>, blocks, dim3(kPlaneThreads), 0, queue, p, grad_output + out, index + out, grad_input + in);
  });
}

template <class T>
void avg_pool2d_forward(const Queue& queue, const Pool2dShape& s, const T* input, T* output) {
  const char* op = "avg_pool2d_forward";
  const bool warps = by_warps(s);
  for_parts(op, s, false, warps ? 32 : 1, [&](const Pool& p, dim3 blocks, int64_t in, int64_t out) {
    launch(op, warps ? avg_forward<T, 32> : avg_forward<T, 1>, blocks, dim3(kPlaneThreads), 0, queue, p, input + in,
           output + out);
  });
}

template <class T>
void avg_pool2d_backward(const Queue& queue, const Pool2dShape& s, const T* grad_output, T* grad_input) {
  const char* op = "avg_pool2d_backward";
  for_parts(op, s, true, 1, [&](const Pool& p, dim3 blocks, int64_t in, int64_t out) {
    launch(op, avg_backward<T>, blocks, dim3(kPlaneThreads), 0, queue, p, grad_output + out, grad_input + in);
  });
}

CNNX_INSTANTIATE(max_pool2d_forward, max_pool2d_backward, avg_pool2d_forward, avg_pool2d_backward)

}  // namespace cnnx::cuda
