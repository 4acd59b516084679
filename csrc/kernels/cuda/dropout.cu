// Dropout, and scales per channel. Both are one pass over contiguous values: 8 bytes an element in float32, bound by memory.
//
// dropout: a thread draws the four words of one Philox counter and applies them to elements 4 i ... 4 i + 3, at their logical
// index, so that the mask is the CPU's. About 80 integer operations for 32 bytes: at 4.8 TB/s that is 12 T operations/s, near
// half of what the integer units do; aimed at 75 % of the memory ceiling.
// scale_channels, shift_channels: four neighbouring values a thread; 85 % of the memory ceiling.
#include "kernels/cuda/planes.h"
#include "kernels/cuda/random_key.h"
#include "kernels/philox.h"

namespace cnnx::cuda {
namespace {

template <class T>
struct alignas(16) Group {
  T v[4];
};

template <class T>
__global__ void __launch_bounds__(256)
    mask(int64_t n, uint32_t threshold, T scale, RandomKey captured, bool aligned, const T* x, T* y) {
  const int64_t group = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, first = 4 * group;
  if (first >= n) return;
  uint32_t bits[4] = {};
  const RandomKey key = now(captured);
  philox4x32(key.seed, key.call, static_cast<uint64_t>(group), bits);
  if (aligned && first + 4 <= n) {
    Group<T> values = *reinterpret_cast<const Group<T>*>(x + first);
#pragma unroll
    for (int i = 0; i < 4; ++i) values.v[i] = bits[i] >> 8 >= threshold ? values.v[i] * scale : T(0);
    *reinterpret_cast<Group<T>*>(y + first) = values;
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (first + i < n) y[first + i] = bits[i] >> 8 >= threshold ? x[first + i] * scale : T(0);
}

}  // namespace

template <class T>
void dropout(const Queue& queue, int64_t batch, int64_t features, int64_t, double p, uint64_t seed, uint64_t call, const T* x,
             T* y) {
  const int64_t n = batch * features, groups = (n + 3) / 4;
  const bool aligned = reinterpret_cast<uintptr_t>(x) % 16 == 0 && reinterpret_cast<uintptr_t>(y) % 16 == 0;
  launch("dropout", mask<T>, dim3(static_cast<unsigned>((groups + 255) / 256)), dim3(256), 0, queue, n, dropout_threshold(p),
         static_cast<T>(p < 1 ? 1 / (1 - p) : 0), random_key(queue, "dropout", seed, call), aligned, x, y);
}

namespace {
// A thread takes kEach values, kPlaneThreads apart, so that every load of a warp is one line.
template <class F>
__device__ void for_each_value(int count, const F& f) {
  constexpr int kEach = 4;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kEach * kPlaneThreads + threadIdx.x;
#pragma unroll
  for (int i = 0; i < kEach; ++i)
    if (first + i * kPlaneThreads < count) f(static_cast<int>(first + i * kPlaneThreads));
}

template <class T>
__global__ void __launch_bounds__(kPlaneThreads) scale(int count, Divider spatial, const T* input, const T* scales, T* output) {
  for_each_value(count, [&](int at) { output[at] = input[at] * scales[spatial.quotient(at)]; });
}

// `first`: the first plane's channel.
template <class T>
__global__ void __launch_bounds__(kPlaneThreads)
    add_shift(int count, Divider spatial, Divider channels, int first, const T* shift, T* data) {
  for_each_value(count, [&](int at) {
    int channel = first + spatial.quotient(at);
    channels.split(channel);
    data[at] += shift[channel];
  });
}
}  // namespace

template <class T>
void scale_channels(const Queue& queue, const ChannelShape& s, const T* input, const T* scales, T* output) {
  for_planes("scale_channels", s.batch * s.channels, s.spatial, s.spatial, [&](int64_t first, int planes, dim3 blocks) {
    launch("scale_channels", scale<T>, dim3((blocks.x + 3) / 4), dim3(kPlaneThreads), 0, queue,
           static_cast<int>(planes * s.spatial), Divider(s.spatial), input + first * s.spatial, scales + first,
           output + first * s.spatial);
  });
}

template <class T>
void shift_channels(const Queue& queue, const ChannelShape& s, const T* shift, T* data) {
  for_planes("shift_channels", s.batch * s.channels, s.spatial, s.spatial, [&](int64_t first, int planes, dim3 blocks) {
    launch("shift_channels", add_shift<T>, dim3((blocks.x + 3) / 4), dim3(kPlaneThreads), 0, queue,
           static_cast<int>(planes * s.spatial), Divider(s.spatial), Divider(s.channels), static_cast<int>(first % s.channels),
           shift, data + first * s.spatial);
  });
}

CNNX_INSTANTIATE(dropout, scale_channels, shift_channels)

}  // namespace cnnx::cuda
