// Distances of all pairs of rows, from their definition, in double.
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Scaled by the largest difference, so that no power is too large or too small. A NaN wins.
template <class T>
double distance_of(double p, int64_t features, const T* x, const T* y) {
  double largest = 0, sum = 0;
  for (int64_t k = 0; k < features; ++k) {
    const double d = std::fabs(double(x[k]) - double(y[k]));
    if (d != d) return d;
    if (d > largest) largest = d;
    if (p == 0) sum += d != 0;
    else if (p == 1) sum += d;
  }
  if (p == 0 || p == 1) return sum;
  if (p == kInfinity || largest == 0 || largest == kInfinity) return largest;
  for (int64_t k = 0; k < features; ++k) sum += std::pow(std::fabs(double(x[k]) - double(y[k])) / largest, p);
  return largest * std::pow(sum, 1 / p);
}

// d distance / d x for one feature with the difference d; 0 where the rows are equal.
template <class T>
double slope_of(double p, double d, T distance) {
  const double sign = static_cast<double>((d > 0) - (d < 0)), size = std::fabs(d);
  if (p == 0 || distance == 0) return 0;
  if (p == 2) return d / double(distance);  // NaN where another feature is
  if (d == 0) return 0;
  if (p == 1) return sign;
  if (p == kInfinity) return static_cast<T>(size) == distance ? sign : 0;
  return sign * std::pow(size / distance, p - 1);
}

}  // namespace

template <class T>
void cdist(const Queue&, const CdistShape& s, double p, const T* x, const T* y, T* distance) {
  parallel_for(s.batch * s.x_rows, 4.0 * static_cast<double>(s.y_rows * s.features), [&](int64_t unit) {
    const int64_t b = unit / s.x_rows, i = unit % s.x_rows;
    for (int64_t j = 0; j < s.y_rows; ++j)
      distance[unit * s.y_rows + j] =
          static_cast<T>(distance_of(p, s.features, x + b * s.x_step() + i * s.features, y + b * s.y_step() + j * s.features));
  });
}

template <class T>
void cdist_backward(const Queue&, const CdistShape& s, double p, bool transposed, const T* grad, const T* distance, const T* x,
                    const T* y, T* grad_x) {
  parallel_for(s.batch * s.x_rows, 4.0 * static_cast<double>(s.y_rows * s.features), [&](int64_t unit) {
    const int64_t b = unit / s.x_rows, i = unit % s.x_rows;
    const T* row = x + b * s.x_step() + i * s.features;
    std::vector<double> sums(static_cast<size_t>(s.features), 0.0);
    for (int64_t j = 0; j < s.y_rows; ++j) {
      const int64_t at = b * s.x_rows * s.y_rows + (transposed ? j * s.x_rows + i : i * s.y_rows + j);
      const T* other = y + b * s.y_step() + j * s.features;
      for (int64_t k = 0; k < s.features; ++k)
        sums[static_cast<size_t>(k)] += double(grad[at]) * slope_of(p, double(row[k]) - double(other[k]), distance[at]);
    }
    for (int64_t k = 0; k < s.features; ++k) grad_x[unit * s.features + k] = static_cast<T>(sums[static_cast<size_t>(k)]);
  });
}

CNNX_INSTANTIATE(cdist, cdist_backward)

}  // namespace cnnx::reference
