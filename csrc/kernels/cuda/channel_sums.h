// Sums by channel of (batch, channels, spatial), for the normalisations: the mapping of threads, and the sums of a gradient and
// of its product with the normalised input, which batch_norm.cu and group_norm.cu share.
//
// A block takes kColumns channels and one chunk of the batch * spatial values of each; its 256 / kColumns slices of threads take
// these in turn.
// kColumns is 1 where a channel's values lie side by side (spatial >= 32), else 32: then lanes run along the channels. Either way
// loads coalesce. Slices are merged in a tree of fixed shape, chunks in the same way by whoever needs the result; the number of
// chunks depends on the shape alone. So the bits are the same on every run.
#pragma once

#include <algorithm>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/divide.h"
#include "kernels/cuda/scratch.h"

namespace cnnx::cuda {

constexpr int kChannelThreads = 256;

struct ChannelMap {
  int channels, count, chunks, per_chunk;  // count: values of a channel
  Divider spatial;
  bool wide;  // kColumns is 1
  dim3 grid() const {
    const int columns = wide ? 1 : 32;
    // One block where there are no channels: the batch is counted.
    return dim3(static_cast<unsigned>(std::max(1, (channels + columns - 1) / columns)), static_cast<unsigned>(chunks));
  }
};

inline ChannelMap channel_map(const char* op, int64_t batch, int64_t channels, int64_t spatial) {
  ChannelMap m{};
  m.channels = to_index(op, channels);
  m.count = to_index(op, batch * spatial + kChannelThreads);
  m.count -= kChannelThreads;
  m.spatial = Divider(spatial);
  m.wide = spatial >= 32;
  // At least 8 values a thread, at most as many chunks as one slice each can merge, and no more than some 2,000 blocks.
  const int64_t slices = m.wide ? kChannelThreads : 8, columns = m.wide ? channels : (channels + 31) / 32;
  const int64_t wanted =
      std::clamp<int64_t>(m.count / (8 * slices), 1, std::clamp<int64_t>(2048 / std::max<int64_t>(columns, 1), 1, 64));
  m.per_chunk = static_cast<int>((m.count + wanted - 1) / wanted);
  m.chunks = m.per_chunk > 0 ? (m.count + m.per_chunk - 1) / m.per_chunk : 1;
  return m;
}

// A thread's place: its channel and its share of the values.
template <int kColumns>
struct Strip {
  static constexpr int kSlices = kChannelThreads / kColumns;
  int slice, channel;

  __device__ Strip()
      : slice(static_cast<int>(threadIdx.x) / kColumns),
        channel(static_cast<int>(blockIdx.x) * kColumns + static_cast<int>(threadIdx.x) % kColumns) {}

  // Calls f(index, image) for the values of this thread.
  template <class F>
  __device__ void for_values(const ChannelMap& m, const F& f) const {
    if (channel >= m.channels) return;
    const int begin = static_cast<int>(blockIdx.y) * m.per_chunk, end = min(m.count - begin, m.per_chunk) + begin;
    for (int e = begin + slice; e < end; e += kSlices) {
      int t = e;
      const int image = m.spatial.split(t);
      f((static_cast<int64_t>(image) * m.channels + channel) * static_cast<int>(m.spatial.divisor) + t, image);
    }
  }

  // Merges the slices' values; every thread of a channel gets the result. V has merge(const V&).
  template <class V>
  __device__ V merge_slices(V value) const {
    CNNX_SHARED(V, values, [kChannelThreads]);
    values[threadIdx.x] = value;
#pragma unroll
    for (int half = kSlices / 2; half > 0; half /= 2) {
      __syncthreads();
      if (slice < half) values[threadIdx.x].merge(values[threadIdx.x + half * kColumns]);
    }
    __syncthreads();
    const V result = values[threadIdx.x % kColumns];
    __syncthreads();
    return result;
  }

  // Merges what the chunks left: parts[chunk][channel].
  template <class V>
  __device__ V merge_chunks(const ChannelMap& m, const V* parts) const {
    V value{};
    if (channel < m.channels)
      for (int chunk = slice; chunk < m.chunks; chunk += kSlices)
        value.merge(parts[static_cast<int64_t>(chunk) * m.channels + channel]);
    return merge_slices(value);
  }

  // Where this block's part goes.
  __device__ bool owns_part(const ChannelMap& m) const { return slice == 0 && channel < m.channels; }
  __device__ int64_t part(const ChannelMap& m) const { return static_cast<int64_t>(blockIdx.y) * m.channels + channel; }
};

template <class T>
struct PairSum {
  T sum, product;
  __device__ void merge(const PairSum& other) {
    sum += other.sum;
    product += other.product;
  }
};

// Which mean and deviation a value is normalised with: its channel's, or those of the row that its (image, channel) run belongs
// to.
struct StatisticOf {
  bool by_row;
  Divider runs;  // of a row
  __device__ int operator()(int image, int channel, int channels) const {
    return by_row ? runs.quotient(image * channels + channel) : channel;
  }
};

// parts[chunk][channel] = sums of g and of g (x - mean) inv_std.
template <class T, int kColumns>
__global__ void __launch_bounds__(kChannelThreads) pair_sums(ChannelMap m, StatisticOf statistic, const T* grad_output,
                                                             const T* input, const T* mean, const T* inv_std, PairSum<T>* parts) {
  const Strip<kColumns> strip;
  PairSum<T> sums{};
  strip.for_values(m, [&](int64_t at, int image) {
    const int row = statistic(image, strip.channel, m.channels);
    const T g = grad_output[at];
    sums.sum += g;
    sums.product += g * ((input[at] - mean[row]) * inv_std[row]);
  });
  sums = strip.merge_slices(sums);
  if (strip.owns_part(m)) parts[strip.part(m)] = sums;
}

}  // namespace cnnx::cuda
