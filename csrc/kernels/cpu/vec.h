// Vec: L floats, L the native float width of the instruction set this file is compiled for. Compiler vector extensions, so that
// + - * / and comparisons are written as for a float. A vector wider than the registers would be lowered to scalar code.
#pragma once

#include <stdint.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace cnnx::CNNX_TARGET_NAMESPACE {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t VecI __attribute__((vector_size(kLanes * 4)));
typedef float VecUnaligned __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef int32_t VecIUnaligned __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

namespace {

inline Vec load(const float* p) { return *reinterpret_cast<const VecUnaligned*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<VecUnaligned*>(p) = v; }
inline VecI load(const int32_t* p) { return *reinterpret_cast<const VecIUnaligned*>(p); }
inline void store(int32_t* p, VecI v) { *reinterpret_cast<VecIUnaligned*>(p) = v; }
inline Vec broadcast(float x) { return x - Vec{}; }  // x - 0 is x for every x, -0 and NaN included: no arithmetic is left
inline VecI broadcast(int32_t x) { return VecI{} + x; }

// A value for this many multiply-adds, in a register: the compiler would rather load it again with each one that takes it, which
// is more loads than there are ports.
template <int Uses>
inline Vec kept(Vec v) {
#if defined(__x86_64__)
  if constexpr (Uses > 1) asm("" : "+v"(v));
#endif
  return v;
}

// The first n values of memory, zeros behind them; and n values to memory. 0 <= n <= kLanes. Nothing behind them is touched.
#if defined(__AVX512F__)
inline __mmask16 first_bits(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
inline Vec load_partial(const float* p, int64_t n) { return (Vec)_mm512_maskz_loadu_ps(first_bits(n), p); }
inline void store_partial(float* p, Vec v, int64_t n) { _mm512_mask_storeu_ps(p, first_bits(n), (__m512)v); }
#elif defined(__AVX2__)
constexpr int32_t kFirstOnes[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1};
inline __m256i first_ones(int64_t n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirstOnes + kLanes - n)); }
inline Vec load_partial(const float* p, int64_t n) { return (Vec)_mm256_maskload_ps(p, first_ones(n)); }
inline void store_partial(float* p, Vec v, int64_t n) { _mm256_maskstore_ps(p, first_ones(n), (__m256)v); }
#else
__attribute__((noinline)) inline Vec load_some(const float* p, int64_t n) {
  alignas(64) float buffer[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) buffer[i] = p[i];
  return load(buffer);
}
__attribute__((noinline)) inline void store_some(float* p, Vec v, int64_t n) {
  alignas(64) float buffer[kLanes];
  store(buffer, v);
  for (int64_t i = 0; i < n; ++i) p[i] = buffer[i];
}
inline Vec load_partial(const float* p, int64_t n) { return n == kLanes ? load(p) : load_some(p, n); }
inline void store_partial(float* p, Vec v, int64_t n) {
  if (n == kLanes) store(p, v);
  else store_some(p, v, n);
}
#endif

// acc + a b. Where kernels are compiled for pairs, 32 bits of a and b are no float but two bfloat16, and it is acc and the sum of
// the two products, in float32: whoever sums over channels, images or features then sums over half as many pairs of them.
#if defined(CNNX_PAIRS)
inline constexpr bool kPairs = true;
inline Vec mul_add(Vec a, Vec b, Vec acc) { return (Vec)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b); }
#else
inline constexpr bool kPairs = false;
inline Vec mul_add(Vec a, Vec b, Vec acc) { return acc + a * b; }
#endif

// All-ones in lane i where i < n.
inline VecI first_lanes(int64_t n) {
  VecI mask;
  for (int i = 0; i < kLanes; ++i) mask[i] = i < n ? -1 : 0;
  return mask;
}
inline Vec select(VecI mask, Vec a, Vec b) { return mask ? a : b; }
inline VecI select(VecI mask, VecI a, VecI b) { return mask ? a : b; }

// Sum of the lanes, by halves: a fixed order.
inline float horizontal_sum(Vec v) {
  alignas(64) float buffer[kLanes];
  store(buffer, v);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) buffer[i] += buffer[i + width];
  return buffer[0];
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
