// Ranges, and random numbers: Philox at the logical index. Words per element: one for float32, two where 53 bits or a 64-bit
// range are wanted.
#include <cmath>
#include <numbers>
#include <type_traits>

#include "cnnx/dtype.h"
#include "kernels/host/host.h"
#include "kernels/philox.h"

namespace cnnx::host {
namespace {

// A computed value as an element: integers by way of the widest, so that it wraps.
template <class T>
T element(double value) {
  if constexpr (std::is_same_v<T, bool>) return value != 0;
  else if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<int64_t>(value));
  else return static_cast<T>(value);
}

}  // namespace

void arange(const Queue&, DType dtype, int64_t n, double start, double step, void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < n; ++i) static_cast<T*>(out)[i] = element<T>(start + static_cast<double>(i) * step);
  });
}

void arange_integer(const Queue&, DType dtype, int64_t n, int64_t start, int64_t step, void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < n; ++i) static_cast<T*>(out)[i] = static_cast<T>(start + i * step);
  });
}

// From both ends, so that the last value is `end` itself.
void linspace(const Queue&, DType dtype, int64_t n, double start, double end, void* out) {
  const double step = n > 1 ? (end - start) / static_cast<double>(n - 1) : 0.0;
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < n; ++i)
      static_cast<T*>(out)[i] =
          element<T>(i < (n + 1) / 2 ? start + step * static_cast<double>(i) : end - step * static_cast<double>(n - 1 - i));
  });
}

namespace {
uint64_t join(uint32_t high, uint32_t low) { return static_cast<uint64_t>(high) << 32 | low; }
double uniform01_double(uint32_t high, uint32_t low) { return static_cast<double>(join(high, low) >> 11) * 0x1p-53; }

// floor(bits * range / 2^64): the high half of a 64 x 64 bit product.
uint64_t scale_to_range(uint64_t bits, uint64_t range) {
  uint64_t a = bits >> 32, b = bits & 0xffffffffu, c = range >> 32, d = range & 0xffffffffu;
  uint64_t middle = a * d + (b * d >> 32);
  uint64_t lower = b * c + (middle & 0xffffffffu);
  return a * c + (middle >> 32) + (lower >> 32);
}

// out = draw(words, k) for element k of each counter's kCount elements.
template <int kCount, class T, class Draw>
void draw_each(int64_t n, uint64_t seed, uint64_t call, T* out, const Draw& draw) {
  for_each_piece((n + kCount - 1) / kCount, 40, [&](int64_t begin, int64_t end) {
    for (int64_t counter = begin; counter < end; ++counter) {
      uint32_t words[4];
      T values[kCount];
      philox4x32(seed, call, static_cast<uint64_t>(counter), words);
      draw(words, values);
      const int64_t first = counter * kCount, count = std::min<int64_t>(kCount, n - first);
      for (int64_t k = 0; k < count; ++k) out[first + k] = values[k];
    }
  });
}
}  // namespace

void uniform(const Queue&, DType dtype, int64_t n, uint64_t seed, uint64_t call, double low, double high, void* out) {
  dispatch_floating("uniform_", dtype, [&](auto tag) {
    using T = decltype(tag);
    const T from = static_cast<T>(low), span = static_cast<T>(high - low), limit = static_cast<T>(high);
    const auto scaled = [=](T u) {
      const T value = from + span * u;
      return value >= limit && from < limit ? std::nextafter(limit, from) : value;  // rounding must not reach `high`
    };
    T* to = static_cast<T*>(out);
    if constexpr (std::is_same_v<T, float>)
      draw_each<4>(n, seed, call, to, [=](const uint32_t* words, T* values) {
        for (int k = 0; k < 4; ++k) values[k] = scaled(uniform01(words[k]));
      });
    else
      draw_each<2>(n, seed, call, to, [=](const uint32_t* words, T* values) {
        for (int k = 0; k < 2; ++k) values[k] = scaled(uniform01_double(words[2 * k], words[2 * k + 1]));
      });
  });
}

void normal(const Queue&, DType dtype, int64_t n, uint64_t seed, uint64_t call, double mean, double stddev, void* out) {
  dispatch_floating("normal_", dtype, [&](auto tag) {
    using T = decltype(tag);
    // Box-Muller: two uniforms give two normals. The radius takes 1 - u in (0, 1], so its logarithm is finite.
    const auto pair = [=](double u, double v, T* values) {
      const double radius = std::sqrt(-2.0 * std::log(1.0 - u)), angle = 2.0 * std::numbers::pi * v;
      values[0] = static_cast<T>(mean + stddev * radius * std::cos(angle));
      values[1] = static_cast<T>(mean + stddev * radius * std::sin(angle));
    };
    T* to = static_cast<T*>(out);
    if constexpr (std::is_same_v<T, float>)
      draw_each<4>(n, seed, call, to, [=](const uint32_t* words, T* values) {
        pair(words[0] * 0x1p-32, words[1] * 0x1p-32, values);
        pair(words[2] * 0x1p-32, words[3] * 0x1p-32, values + 2);
      });
    else
      draw_each<2>(n, seed, call, to, [=](const uint32_t* words, T* values) {
        pair(uniform01_double(words[0], words[1]), uniform01_double(words[2], words[3]), values);
      });
  });
}

void bernoulli(const Queue&, DType dtype, int64_t n, uint64_t seed, uint64_t call, double p, void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    draw_each<4>(n, seed, call, static_cast<T*>(out), [=](const uint32_t* words, T* values) {
      for (int k = 0; k < 4; ++k) values[k] = static_cast<T>(static_cast<double>(uniform01(words[k])) < p);
    });
  });
}

void randint(const Queue&, DType dtype, int64_t n, uint64_t seed, uint64_t call, int64_t low, uint64_t range, void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    draw_each<2>(n, seed, call, static_cast<T*>(out), [=](const uint32_t* words, T* values) {
      for (int k = 0; k < 2; ++k)
        values[k] = static_cast<T>(
            static_cast<int64_t>(static_cast<uint64_t>(low) + scale_to_range(join(words[2 * k], words[2 * k + 1]), range)));
    });
  });
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
