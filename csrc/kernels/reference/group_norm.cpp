// Layer, group and instance normalisation from their definition: the statistics of a row in two passes.
#include <cmath>
#include <vector>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

// Calls f(index, parameter) for every value of row r of image n.
template <class F>
void for_row(const GroupNormShape& s, int64_t n, int64_t r, const F& f) {
  for (int64_t i = 0; i < s.reduce(); ++i) f(lanes_index(n, r, i, s.rows, s.reduce(), s.lanes), s.first_param(r) + i / s.repeat);
}

// Calls f(n, r, n * rows + r) for all rows.
template <class F>
void for_rows(const GroupNormShape& s, const F& f) {
  parallel_for(s.batch * s.rows, 4.0 * static_cast<double>(s.reduce()),
               [&](int64_t unit) { f(unit / s.rows, unit % s.rows, unit); });
}

}  // namespace

template <class T>
void group_norm_forward(const Queue&, const GroupNormShape& s, double eps, const T* input, const T* weight, const T* bias,
                        T* output, T* mean, T* inv_std) {
  const double count = static_cast<double>(s.reduce());
  for_rows(s, [&](int64_t n, int64_t r, int64_t row) {
    double sum = 0, squares = 0;
    for_row(s, n, r, [&](int64_t at, int64_t) { sum += input[at]; });
    const double centre = sum / count;
    for_row(s, n, r, [&](int64_t at, int64_t) { squares += (input[at] - centre) * (input[at] - centre); });
    const double unit = 1 / std::sqrt(squares / count + eps);
    mean[row] = static_cast<T>(centre);
    inv_std[row] = static_cast<T>(unit);
    for_row(s, n, r, [&](int64_t at, int64_t p) {
      const double scale = weight != nullptr ? static_cast<double>(weight[p]) : 1.0;
      output[at] = static_cast<T>((input[at] - centre) * unit * scale + (bias != nullptr ? static_cast<double>(bias[p]) : 0.0));
    });
  });
}

// With h = (x - mean) inv_std and v = g weight: grad_bias = sum g, grad_weight = sum g h, over all that share the parameter, and
// grad_input = inv_std (v - mean of v - h mean of (v h)), with the means over the row.
template <class T>
void group_norm_backward(const Queue&, const GroupNormShape& s, const T* grad_output, const T* input, const T* mean,
                         const T* inv_std, const T* weight, T* grad_input, T* grad_weight, T* grad_bias) {
  if (grad_input != nullptr)
    for_rows(s, [&](int64_t n, int64_t r, int64_t row) {
      const double centre = mean[row], unit = inv_std[row], count = static_cast<double>(s.reduce());
      const auto scaled = [&](int64_t at, int64_t p) {
        return grad_output[at] * (weight != nullptr ? static_cast<double>(weight[p]) : 1.0);
      };
      double sum = 0, products = 0;
      for_row(s, n, r, [&](int64_t at, int64_t p) {
        sum += scaled(at, p);
        products += scaled(at, p) * (input[at] - centre) * unit;
      });
      for_row(s, n, r, [&](int64_t at, int64_t p) {
        grad_input[at] = static_cast<T>(unit * (scaled(at, p) - sum / count - (input[at] - centre) * unit * products / count));
      });
    });
  if (grad_weight == nullptr && grad_bias == nullptr) return;
  std::vector<double> weights(static_cast<size_t>(s.params)), biases(weights.size());
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t r = 0; r < s.rows; ++r)
      for_row(s, n, r, [&](int64_t at, int64_t p) {
        const int64_t row = n * s.rows + r;
        weights[static_cast<size_t>(p)] +=
            grad_output[at] * (input[at] - static_cast<double>(mean[row])) * static_cast<double>(inv_std[row]);
        biases[static_cast<size_t>(p)] += grad_output[at];
      });
  for (int64_t p = 0; p < s.params; ++p) {
    if (grad_weight != nullptr) grad_weight[p] = static_cast<T>(weights[static_cast<size_t>(p)]);
    if (grad_bias != nullptr) grad_bias[p] = static_cast<T>(biases[static_cast<size_t>(p)]);
  }
}

CNNX_INSTANTIATE(group_norm_forward, group_norm_backward)

}  // namespace cnnx::reference
