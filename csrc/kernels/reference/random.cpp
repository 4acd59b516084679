// Uniform and normal numbers from their definition, counter after counter.
#include "kernels/element_functions.h"
#include "kernels/philox.h"
#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

template <class T, class F>
void draw(int64_t n, uint64_t seed, uint64_t call, T* out, const F& f) {
  parallel_for((n + F::kCount - 1) / F::kCount, 40, [&](int64_t counter) {
    uint32_t words[4];
    T values[F::kCount];
    philox4x32(seed, call, static_cast<uint64_t>(counter), words);
    f(words, values);
    for (int64_t k = 0; k < F::kCount && counter * F::kCount + k < n; ++k) out[counter * F::kCount + k] = values[k];
  });
}

}  // namespace

template <class T>
void uniform(const Queue&, int64_t n, uint64_t seed, uint64_t call, double low, double high, T* out) {
  draw(n, seed, call, out, Uniform<T>{static_cast<T>(low), static_cast<T>(high - low), static_cast<T>(high)});
}

template <class T>
void normal(const Queue&, int64_t n, uint64_t seed, uint64_t call, double mean, double stddev, T* out) {
  draw(n, seed, call, out, Normal<T>{mean, stddev});
}

CNNX_INSTANTIATE(uniform, normal)

}  // namespace cnnx::reference
