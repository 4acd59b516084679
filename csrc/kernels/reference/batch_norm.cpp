// Batch normalisation from its definition: two passes for the statistics of a channel, over live images only.
#include <cmath>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

// Calls f(index) for every value of channel c.
template <class F>
void for_channel(const ChannelShape& s, int64_t c, const F& f) {
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t i = 0; i < s.spatial; ++i) f(lanes_index(n, c, i, s.channels, s.spatial, s.lanes));
}

template <class F>
void for_channels(const ChannelShape& s, const F& f) {
  parallel_for(s.channels, 3.0 * static_cast<double>(s.count()), f);
}

}  // namespace

template <class T>
void batch_norm_apply(const Queue&, const ChannelShape& s, const T* input, const T* mean, const T* inv_std, const T* weight,
                      const T* bias, T* output) {
  for_channels(s, [&](int64_t c) {
    const double scale = inv_std[c] * (weight != nullptr ? static_cast<double>(weight[c]) : 1.0);
    const double shift = bias != nullptr ? static_cast<double>(bias[c]) : 0.0;
    for_channel(s, c, [&](int64_t at) {
      const double y = (input[at] - static_cast<double>(mean[c])) * scale + shift;
      output[at] = static_cast<T>(activated(s.activation, static_cast<T>(y)));
    });
  });
}

template <class T>
void batch_norm_train(const Queue& queue, const ChannelShape& s, double eps, const T* input, const T* weight, const T* bias,
                      T* output, T* mean, T* inv_std, const RunningStatistics<T>& running) {
  if (running.batches != nullptr) ++*running.batches;
  const double momentum = running.cumulative ? 1.0 / static_cast<double>(*running.batches) : running.momentum;
  const double unbiased = static_cast<double>(s.count()) / static_cast<double>(s.count() - 1);
  const auto move = [momentum](T& kept, double seen) { kept = static_cast<T>((1 - momentum) * kept + momentum * seen); };
  for_channels(s, [&](int64_t c) {
    double sum = 0, squares = 0;
    for_channel(s, c, [&](int64_t at) { sum += input[at]; });
    const double average = sum / static_cast<double>(s.count());
    for_channel(s, c, [&](int64_t at) { squares += (input[at] - average) * (input[at] - average); });
    const double spread = squares / static_cast<double>(s.count());
    mean[c] = static_cast<T>(average);
    inv_std[c] = static_cast<T>(1 / std::sqrt(spread + eps));
    if (running.mean != nullptr) move(running.mean[c], average);
    if (running.variance != nullptr) move(running.variance[c], unbiased * spread);
  });
  batch_norm_apply(queue, s, input, mean, inv_std, weight, bias, output);
}

// With h = (x - mean) inv_std: grad_bias = sum g, grad_weight = sum g h, and
// grad_input = weight inv_std (g - grad_bias / count - h grad_weight / count), without the means if the statistics are constants.
template <class T>
void batch_norm_backward(const Queue&, const ChannelShape& s, bool batch_statistics, const T* grad_output, const T* input,
                         const T* mean, const T* inv_std, const T* weight, T* grad_input, T* grad_weight, T* grad_bias) {
  for_channels(s, [&](int64_t c) {
    const double centre = mean[c], unit = inv_std[c];
    double sum = 0, products = 0;
    for_channel(s, c, [&](int64_t at) {
      sum += grad_output[at];
      products += grad_output[at] * (input[at] - centre) * unit;
    });
    if (grad_weight != nullptr) grad_weight[c] = static_cast<T>(products);
    if (grad_bias != nullptr) grad_bias[c] = static_cast<T>(sum);
    if (grad_input == nullptr) return;
    const double scale = unit * (weight != nullptr ? static_cast<double>(weight[c]) : 1.0);
    const double a = batch_statistics ? sum / static_cast<double>(s.count()) : 0.0;
    const double b = batch_statistics ? products / static_cast<double>(s.count()) : 0.0;
    for_channel(s, c, [&](int64_t at) {
      grad_input[at] = static_cast<T>(scale * (grad_output[at] - a - (input[at] - centre) * unit * b));
    });
  });
}

template <class T>
void batch_norm_inv_std(const Queue&, int64_t channels, double eps, const T* variance, T* inv_std) {
  for (int64_t c = 0; c < channels; ++c) inv_std[c] = static_cast<T>(1 / std::sqrt(static_cast<double>(variance[c]) + eps));
}

CNNX_INSTANTIATE(batch_norm_apply, batch_norm_train, batch_norm_backward, batch_norm_inv_std)

}  // namespace cnnx::reference
