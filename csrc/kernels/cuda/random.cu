// Random fills: a thread for each Philox counter, which gives two or four elements (csrc/core/random.cpp draws the same). Every
// step is rounded as on the CPU, so uniform, bernoulli and randint are the same to the bit; normal differs by the last place of
// CUDA's log, sin and cos in double. Bytes: n elements written; Philox is 100 integer operations for 16 bytes, so float32 fills
// are bound by both alike.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/random_key.h"
#include "kernels/philox.h"

namespace cnnx::cuda {
namespace {

__device__ inline uint64_t join(uint32_t high, uint32_t low) { return static_cast<uint64_t>(high) << 32 | low; }
__device__ inline double uniform01_double(uint32_t high, uint32_t low) {
  return static_cast<double>(join(high, low) >> 11) * 0x1p-53;
}

// data[i] = f(words of the counter, k) for element k of each counter's kCount. f may depend on T.
template <int kCount, class T, class F>
__global__ void draw_kernel(int64_t n, RandomKey captured, F f, bool is_aligned, T* data) {
  const int64_t counter = thread_index(), first = counter * kCount;
  if (first >= n) return;
  uint32_t words[4];
  const RandomKey key = now(captured);
  philox4x32(key.seed, key.call, static_cast<uint64_t>(counter), words);
  Pack<T, kCount> pack;
  f(words, pack.values);
  if (is_aligned && first + kCount <= n) {
    *reinterpret_cast<Pack<T, kCount>*>(data + first) = pack;
  } else {
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      if (first + k < n) data[first + k] = pack.values[k];
  }
}

template <int kCount, class T, class F>
void draw(const Queue& queue, const char* op, int64_t n, uint64_t seed, uint64_t call, T* data, const F& f) {
  launch(op, draw_kernel<kCount, T, F>, blocks_for((n + kCount - 1) / kCount), kThreads, 0, queue, n,
         random_key(queue, op, seed, call), f, reinterpret_cast<uintptr_t>(data) % sizeof(Pack<T, kCount>) == 0, data);
}

template <class T>
struct Uniform {
  T from, span, limit;
  __device__ T scaled(T u) const {
    T value;
    if constexpr (std::is_same_v<T, float>) value = __fadd_rn(from, __fmul_rn(span, u));
    else value = __dadd_rn(from, __dmul_rn(span, u));
    return value >= limit && from < limit ? nextafter(limit, from) : value;  // rounding must not reach the limit
  }
  __device__ void operator()(const uint32_t* words, T* values) const {
    if constexpr (std::is_same_v<T, float>)
      for (int k = 0; k < 4; ++k) values[k] = scaled(uniform01(words[k]));
    else
      for (int k = 0; k < 2; ++k) values[k] = scaled(uniform01_double(words[2 * k], words[2 * k + 1]));
  }
};

}  // namespace

void uniform(const Queue& queue, DType dtype, int64_t n, uint64_t seed, uint64_t call, double low, double high, void* out) {
  dispatch_floating("uniform_", dtype, [&](auto tag) {
    using T = decltype(tag);
    const Uniform<T> f{static_cast<T>(low), static_cast<T>(high - low), static_cast<T>(high)};
    draw<std::is_same_v<T, float> ? 4 : 2>(queue, "uniform_", n, seed, call, static_cast<T*>(out), f);
  });
}

namespace {
// Box-Muller: two uniforms give two normals.
template <class T>
struct Normal {
  double mean, stddev;
  __device__ void pair(double u, double v, T* out) const {
    constexpr double kTwoPi = 6.283185307179586476925286766559;
    const double radius = __dmul_rn(stddev, sqrt(-2.0 * log(1.0 - u))), angle = kTwoPi * v;
    out[0] = static_cast<T>(__dadd_rn(mean, __dmul_rn(radius, cos(angle))));
    out[1] = static_cast<T>(__dadd_rn(mean, __dmul_rn(radius, sin(angle))));
  }
  __device__ void operator()(const uint32_t* words, T* values) const {
    if constexpr (std::is_same_v<T, float>) {
      pair(words[0] * 0x1p-32, words[1] * 0x1p-32, values);
      pair(words[2] * 0x1p-32, words[3] * 0x1p-32, values + 2);
    } else {
      pair(uniform01_double(words[0], words[1]), uniform01_double(words[2], words[3]), values);
    }
  }
};
}  // namespace

void normal(const Queue& queue, DType dtype, int64_t n, uint64_t seed, uint64_t call, double mean, double stddev, void* out) {
  dispatch_floating("normal_", dtype, [&](auto tag) {
    using T = decltype(tag);
    draw<std::is_same_v<T, float> ? 4 : 2>(queue, "normal_", n, seed, call, static_cast<T*>(out), Normal<T>{mean, stddev});
  });
}

namespace {
template <class T>
struct Bernoulli {
  double p;
  __device__ void operator()(const uint32_t* words, T* values) const {
    for (int k = 0; k < 4; ++k) values[k] = static_cast<T>(static_cast<double>(uniform01(words[k])) < p);
  }
};
}  // namespace

void bernoulli(const Queue& queue, DType dtype, int64_t n, uint64_t seed, uint64_t call, double p, void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    draw<4>(queue, "bernoulli_", n, seed, call, static_cast<T*>(out), Bernoulli<T>{p});
  });
}

namespace {
template <class T>
struct Integers {
  uint64_t low, range;
  __device__ void operator()(const uint32_t* words, T* values) const {
    for (int k = 0; k < 2; ++k)
      values[k] = static_cast<T>(static_cast<int64_t>(low + __umul64hi(join(words[2 * k], words[2 * k + 1]), range)));
  }
};
}  // namespace

void randint(const Queue& queue, DType dtype, int64_t n, uint64_t seed, uint64_t call, int64_t low, uint64_t range, void* out) {
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    draw<2>(queue, "randint", n, seed, call, static_cast<T*>(out), Integers<T>{static_cast<uint64_t>(low), range});
  });
}

}  // namespace cnnx::cuda
