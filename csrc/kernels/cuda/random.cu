// Random fills: a thread for each Philox counter, which gives two or four elements (csrc/core/random.cpp draws the same). Every
// step is rounded as on the CPU, so uniform, bernoulli and randint are the same to the bit; normal differs by the last place of
// CUDA's log, sin and cos in double. Bytes: n elements written; Philox is 100 integer operations for 16 bytes, so float32 fills
// are bound by both alike.
#include "cnnx/dtype.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/random_key.h"
#include "kernels/element_functions.h"
#include "kernels/philox.h"

namespace cnnx::cuda {
namespace {

// f(words, values) makes the F::kCount elements of each counter.
template <class T, class F>
__global__ void draw_kernel(int64_t n, RandomKey captured, F f, bool is_aligned, T* data) {
  constexpr int kCount = F::kCount;
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

template <class T, class F>
void draw(const Queue& queue, const char* op, int64_t n, uint64_t seed, uint64_t call, T* data, const F& f) {
  launch(op, draw_kernel<T, F>, blocks_for((n + F::kCount - 1) / F::kCount), kThreads, 0, queue, n,
         random_key(queue, op, seed, call), f, reinterpret_cast<uintptr_t>(data) % sizeof(Pack<T, F::kCount>) == 0, data);
}

}  // namespace

void uniform(const Queue& queue, DType dtype, int64_t n, uint64_t seed, uint64_t call, double low, double high, void* out) {
  dispatch_floating("uniform_", dtype, [&]<class T>(T) {
    const Uniform<T> f{static_cast<T>(low), static_cast<T>(high - low), static_cast<T>(high)};
    draw(queue, "uniform_", n, seed, call, static_cast<T*>(out), f);
  });
}

void normal(const Queue& queue, DType dtype, int64_t n, uint64_t seed, uint64_t call, double mean, double stddev, void* out) {
  dispatch_floating("normal_", dtype,
                    [&]<class T>(T) { draw(queue, "normal_", n, seed, call, static_cast<T*>(out), Normal<T>{mean, stddev}); });
}

}  // namespace cnnx::cuda

#include "kernels/random_kernels.h"  // what is drawn so
