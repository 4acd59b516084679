// Ranges, and random numbers: Philox at the logical index.
#include <cmath>
#include <numbers>

#include "kernels/dispatch.h"
#include "kernels/host/host.h"
#include "kernels/random_kernels.h"
#include "kernels/special_functions.h"

namespace cnnx::host {

void uniform(const Queue& queue, DType dtype, int64_t n, uint64_t seed, uint64_t call, double low, double high, void* out) {
  dispatch_floating("uniform_", dtype,
                    [&]<class T>(T) { kernels<T>().uniform(queue, n, seed, call, low, high, static_cast<T*>(out)); });
}

void normal(const Queue& queue, DType dtype, int64_t n, uint64_t seed, uint64_t call, double mean, double stddev, void* out) {
  dispatch_floating("normal_", dtype,
                    [&]<class T>(T) { kernels<T>().normal(queue, n, seed, call, mean, stddev, static_cast<T*>(out)); });
}

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

void normal_quantiles(const Queue&, int64_t n, double mean, double stddev, double low, double high, double* values) {
  for (int64_t i = 0; i < n; ++i)
    values[i] = std::clamp(mean + stddev * std::numbers::sqrt2 * special::erfinv(values[i]), low, high);
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
