// Ranges, and random numbers: Philox at the logical index.
#include <cmath>
#include <numbers>

#include "kernels/host/host.h"

#include "kernels/random_kernels.h"

namespace cnnx::host {

// Fisher-Yates; step i draws from counter i / 2.
void permutation(const Queue&, int64_t n, uint64_t seed, uint64_t call, int64_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = i;
  uint32_t words[4] = {};
  for (int64_t i = 0; i + 1 < n; ++i) {
    if (i % 2 == 0) philox4x32(seed, call, static_cast<uint64_t>(i / 2), words);
    const uint64_t bits = join(words[2 * (i % 2)], words[2 * (i % 2) + 1]);
    std::swap(out[i], out[i + static_cast<int64_t>(scale_to_range(bits, static_cast<uint64_t>(n - i)))]);
  }
}

namespace {
// The inverse error function: Giles' approximation (GPU Computing Gems, 2011) polished by Newton steps on erf.
double erfinv(double y) {
  if (std::abs(y) >= 1) return y < 0 ? -HUGE_VAL : HUGE_VAL;
  double w = -std::log((1 - y) * (1 + y)), x;
  if (w < 5) {
    w -= 2.5;
    x = 2.81022636e-08;
    for (double c : {3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727,
                     1.50140941})
      x = c + x * w;
  } else {
    w = std::sqrt(w) - 3;
    x = -0.000200214257;
    for (double c :
         {0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682})
      x = c + x * w;
  }
  x *= y;
  for (int i = 0; i < 2; ++i) x -= (std::erf(x) - y) / (2 * std::numbers::inv_sqrtpi * std::exp(-x * x));
  return x;
}
}  // namespace

void normal_quantiles(const Queue&, int64_t n, double mean, double stddev, double low, double high, double* values) {
  for (int64_t i = 0; i < n; ++i) values[i] = std::clamp(mean + stddev * std::numbers::sqrt2 * erfinv(values[i]), low, high);
}

// Gram-Schmidt, each vector made orthogonal twice (twice is enough: Kahan and Parlett).
void orthonormal_rows(const Queue&, int64_t rows, int64_t columns, double* values) {
  for (int64_t i = 0; i < rows; ++i) {
    double* v = values + i * columns;
    for (int64_t j = 0; j < 2 * i; ++j) {
      const double* other = values + j % i * columns;
      double dot = 0;
      for (int64_t k = 0; k < columns; ++k) dot += v[k] * other[k];
      for (int64_t k = 0; k < columns; ++k) v[k] -= dot * other[k];
    }
    double square = 0;
    for (int64_t k = 0; k < columns; ++k) square += v[k] * v[k];
    for (int64_t k = 0; k < columns; ++k) v[k] /= std::sqrt(square);
  }
}

}  // namespace cnnx::host
