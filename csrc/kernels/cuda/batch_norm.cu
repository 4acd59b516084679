// Batch normalisation of (batch, channels, spatial), with the mapping of channel_sums.h.
//
// train: one launch takes each thread's mean and, in a second pass over the same few values, their squared deviations from it,
//   and merges threads after Chan, Golub and LeVeque; a second one merges the chunks (each block for its own channels: 64 parts
//   at most, from L2), normalises, writes the statistics and moves the running ones. No sum of squares is ever subtracted from
//   another, so large means cost no digits.
// backward: the same two steps with the sums of g and g h.
//
// Bytes in float32: train reads the input twice from memory (its second pass finds it in L1 or L2) and writes it once, 12 a
// value; backward reads both operands twice and writes once, 20; tensors below some 40 MB stay in L2 between the launches. About
// 10 FLOP a value.
// Bound by memory: aimed at 75-80 % of its ceiling. Small tensors are bound by two launches.
#include "kernels/cuda/channel_sums.h"
#include "kernels/cuda/epilogue.h"

namespace cnnx::cuda {
namespace {

// Mean and sum of squared deviations of `count` values.
template <class T>
struct Moments {
  int count;
  T mean, squares;
  __device__ void merge(const Moments& other) {
    if (other.count == 0) return;
    const int both = count + other.count;
    const T share = static_cast<T>(other.count) / static_cast<T>(both), delta = other.mean - mean;
    squares += other.squares + delta * delta * (static_cast<T>(count) * share);
    mean += delta * share;
    count = both;
  }
};

// Counts the batch as well: normalise(), which comes after it in the stream, reads the number.
template <class T, int kColumns>
__global__ void __launch_bounds__(kChannelThreads) moments(ChannelMap m, const T* input, Moments<T>* parts, int64_t* batches) {
  const Strip<kColumns> strip;
  if (batches != nullptr && blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) ++*batches;
  Moments<T> own{};
  strip.for_values(m, [&](int64_t at, int) {
    own.mean += input[at];
    ++own.count;
  });
  if (own.count > 0) own.mean /= static_cast<T>(own.count);
  strip.for_values(m, [&](int64_t at, int) {
    const T deviation = input[at] - own.mean;
    own.squares += deviation * deviation;
  });
  own = strip.merge_slices(own);
  if (strip.owns_part(m)) parts[strip.part(m)] = own;
}

// parts: those of the statistics to come, or null: then mean and inv_std are given.
template <class T, int kColumns>
__global__ void __launch_bounds__(kChannelThreads)
    normalise(ChannelMap m, Activation activation, T eps, const Moments<T>* parts, const T* input, const T* weight, const T* bias,
              T* output, T* mean, T* inv_std, RunningStatistics<T> running) {
  const Strip<kColumns> strip;
  T centre = 0, unit = 0;
  if (parts != nullptr) {
    const Moments<T> all = strip.merge_chunks(m, parts);
    centre = all.mean;
    const T spread = all.squares / static_cast<T>(all.count);
    unit = T(1) / sqrt(spread + eps);
    if (blockIdx.y == 0 && strip.owns_part(m)) {
      mean[strip.channel] = centre;
      inv_std[strip.channel] = unit;
      const T momentum = running.cumulative ? T(1) / static_cast<T>(*running.batches) : static_cast<T>(running.momentum);
      const auto move = [&](T* kept, T seen) {
        if (kept != nullptr) kept[strip.channel] = (1 - momentum) * kept[strip.channel] + momentum * seen;
      };
      move(running.mean, centre);
      move(running.variance, all.squares / static_cast<T>(all.count - 1));
    }
  } else if (strip.channel < m.channels) {
    centre = mean[strip.channel];
    unit = inv_std[strip.channel];
  }
  if (strip.channel >= m.channels) return;
  const T scale = unit * (weight != nullptr ? weight[strip.channel] : T(1)), shift = bias != nullptr ? bias[strip.channel] : T(0);
  strip.for_values(m, [&](int64_t at, int) { output[at] = activate(activation, (input[at] - centre) * scale + shift); });
}

template <class T, int kColumns>
__global__ void __launch_bounds__(kChannelThreads)
    gradient(ChannelMap m, bool batch_statistics, const PairSum<T>* parts, const T* grad_output, const T* input, const T* mean,
             const T* inv_std, const T* weight, T* grad_input, T* grad_weight, T* grad_bias) {
  const Strip<kColumns> strip;
  const PairSum<T> sums = strip.merge_chunks(m, parts);
  if (strip.channel >= m.channels) return;
  if (blockIdx.y == 0 && strip.slice == 0) {
    if (grad_weight != nullptr) grad_weight[strip.channel] = sums.product;
    if (grad_bias != nullptr) grad_bias[strip.channel] = sums.sum;
  }
  if (grad_input == nullptr) return;
  const T centre = mean[strip.channel], unit = inv_std[strip.channel];
  const T scale = unit * (weight != nullptr ? weight[strip.channel] : T(1));
  const T a = batch_statistics ? sums.sum / static_cast<T>(m.count) : T(0);
  const T b = batch_statistics ? sums.product / static_cast<T>(m.count) : T(0);
  strip.for_values(m, [&](int64_t at, int) { grad_input[at] = scale * (grad_output[at] - a - (input[at] - centre) * unit * b); });
}

}  // namespace

template <class T>
void batch_norm_train(const Queue& queue, const ChannelShape& s, double eps, const T* input, const T* weight, const T* bias,
                      T* output, T* mean, T* inv_std, const RunningStatistics<T>& running) {
  const char* op = "batch_norm_train";
  const ChannelMap m = channel_map(op, s.batch, s.channels, s.spatial);
  const Scratch<Moments<T>> parts(queue, static_cast<int64_t>(m.chunks) * m.channels);
  launch(op, m.wide ? moments<T, 1> : moments<T, 32>, m.grid(), dim3(kChannelThreads), 0, queue, m, input, parts.data(),
         running.batches);
  launch(op, m.wide ? normalise<T, 1> : normalise<T, 32>, m.grid(), dim3(kChannelThreads), 0, queue, m, s.activation,
         static_cast<T>(eps), parts.data(), input, weight, bias, output, mean, inv_std, running);
}

template <class T>
void batch_norm_apply(const Queue& queue, const ChannelShape& s, const T* input, const T* mean, const T* inv_std, const T* weight,
                      const T* bias, T* output) {
  const char* op = "batch_norm_apply";
  const ChannelMap m = channel_map(op, s.batch, s.channels, s.spatial);
  launch(op, m.wide ? normalise<T, 1> : normalise<T, 32>, m.grid(), dim3(kChannelThreads), 0, queue, m, s.activation, T(0),
         nullptr, input, weight, bias, output, const_cast<T*>(mean), const_cast<T*>(inv_std), RunningStatistics<T>{});
}

template <class T>
void batch_norm_backward(const Queue& queue, const ChannelShape& s, bool batch_statistics, const T* grad_output, const T* input,
                         const T* mean, const T* inv_std, const T* weight, T* grad_input, T* grad_weight, T* grad_bias) {
  const char* op = "batch_norm_backward";
  const ChannelMap m = channel_map(op, s.batch, s.channels, s.spatial);
  const Scratch<PairSum<T>> parts(queue, static_cast<int64_t>(m.chunks) * m.channels);
  launch(op, m.wide ? pair_sums<T, 1> : pair_sums<T, 32>, m.grid(), dim3(kChannelThreads), 0, queue, m,
         StatisticOf{false, Divider(1)}, grad_output, input, mean, inv_std, parts.data());
  dim3 grid = m.grid();
  if (grad_input == nullptr) grid.y = 1;
  launch(op, m.wide ? gradient<T, 1> : gradient<T, 32>, grid, dim3(kChannelThreads), 0, queue, m, batch_statistics, parts.data(),
         grad_output, input, mean, inv_std, weight, grad_input, grad_weight, grad_bias);
}

namespace {
template <class T>
__global__ void inverse_deviation(int channels, T eps, const T* variance, T* inv_std) {
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (c < channels) inv_std[c] = T(1) / sqrt(variance[c] + eps);
}
}  // namespace

template <class T>
void batch_norm_inv_std(const Queue& queue, int64_t channels, double eps, const T* variance, T* inv_std) {
  launch("batch_norm_inv_std", inverse_deviation<T>, dim3(static_cast<unsigned>((channels + 127) / 128)), dim3(128), 0, queue,
         to_index("batch_norm_inv_std", channels), static_cast<T>(eps), variance, inv_std);
}

CNNX_INSTANTIATE(batch_norm_train, batch_norm_apply, batch_norm_backward, batch_norm_inv_std)

}  // namespace cnnx::cuda
