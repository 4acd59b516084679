// What kernels call: indices, barriers, warp operations, integer atomics, intrinsics. Float atomics are left out on purpose:
// their order is not fixed, and cnnx's results are the same bits on every run.
#pragma once

#include <math.h>  // the wrapper puts sqrtf, isnan, ... into the global namespace, where CUDA has them
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bit>
#include <type_traits>

#include "cuda_on_cpu/types.h"

// The thread that runs. One thread runs at a time, in the whole process, so these are plain variables.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace cuda_on_cpu {

enum class Vote { none, any, all, count };
struct Site {  // where a barrier or a warp operation stands in the source
  const char* file;
  int line;
};
int barrier(Vote vote, bool predicate, Site site);                                  // waits for the whole block
uint64_t exchange(unsigned mask, uint64_t value, unsigned source_lane, Site site);  // waits for the lanes of the mask
unsigned ballot(unsigned mask, bool predicate, Site site);                          // likewise
unsigned lane();
unsigned running_lanes();
void yield();                                                                           // lets another thread run
void* shared_array(const void* tag, const char* name, size_t bytes, size_t alignment);  // one per block and tag
void* dynamic_shared();
// Copies that happen only when they are waited for: what a thread reads too early is poison. wait_copies leaves the last
// `under_way` groups out.
void copy_late(void* to, const void* from, size_t bytes);
void commit_copies();
void wait_copies(int under_way);
long long clock_ns();
[[noreturn]] void trap(const char* what);  // ends the launch with a failure

template <class T>
T shuffle(unsigned mask, T value, unsigned source_lane, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "shuffles take types of 4 or 8 bytes");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(T));
  bits = exchange(mask, bits, source_lane, site);
  memcpy(&value, &bits, sizeof(T));
  return value;
}
}  // namespace cuda_on_cpu

#define CUDA_ON_CPU_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()
inline void __syncthreads(CUDA_ON_CPU_SITE) { cuda_on_cpu::barrier(cuda_on_cpu::Vote::none, false, {file, line}); }
inline int __syncthreads_or(int p, CUDA_ON_CPU_SITE) {
  return cuda_on_cpu::barrier(cuda_on_cpu::Vote::any, p != 0, {file, line});
}
inline int __syncthreads_and(int p, CUDA_ON_CPU_SITE) {
  return cuda_on_cpu::barrier(cuda_on_cpu::Vote::all, p != 0, {file, line});
}
inline int __syncthreads_count(int p, CUDA_ON_CPU_SITE) {
  return cuda_on_cpu::barrier(cuda_on_cpu::Vote::count, p != 0, {file, line});
}

// Warp operations. The lane arithmetic is PTX's shfl: `width` splits the warp into groups; a source outside keeps the own value.
inline void __syncwarp(unsigned mask = 0xffffffffu, CUDA_ON_CPU_SITE) { cuda_on_cpu::ballot(mask, false, {file, line}); }
inline unsigned __ballot_sync(unsigned mask, int p, CUDA_ON_CPU_SITE) { return cuda_on_cpu::ballot(mask, p != 0, {file, line}); }
inline int __any_sync(unsigned mask, int p, CUDA_ON_CPU_SITE) { return cuda_on_cpu::ballot(mask, p != 0, {file, line}) != 0; }
inline int __all_sync(unsigned mask, int p, CUDA_ON_CPU_SITE) { return cuda_on_cpu::ballot(mask, p != 0, {file, line}) == mask; }
inline unsigned __activemask() { return cuda_on_cpu::running_lanes(); }
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDA_ON_CPU_SITE) {
  const unsigned first = cuda_on_cpu::lane() & ~unsigned(width - 1);
  return cuda_on_cpu::shuffle(mask, value, first | (unsigned(source) & unsigned(width - 1)), {file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_ON_CPU_SITE) {
  const unsigned self = cuda_on_cpu::lane(), first = self & ~unsigned(width - 1);
  return cuda_on_cpu::shuffle(mask, value, self - first >= delta ? self - delta : self, {file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_ON_CPU_SITE) {
  const unsigned self = cuda_on_cpu::lane(), last = self | unsigned(width - 1);
  return cuda_on_cpu::shuffle(mask, value, last - self >= delta ? self + delta : self, {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, CUDA_ON_CPU_SITE) {
  const unsigned self = cuda_on_cpu::lane(), last = self | unsigned(width - 1), source = self ^ unsigned(lane_mask);
  return cuda_on_cpu::shuffle(mask, value, source <= last ? source : self, {file, line});
}
#undef CUDA_ON_CPU_SITE

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) { cuda_on_cpu::yield(); }
inline long long clock64() { return cuda_on_cpu::clock_ns(); }
[[noreturn]] inline void __trap() { cuda_on_cpu::trap("__trap()"); }

// Atomics: one thread runs at a time, so plain statements do.
#define CUDA_ON_CPU_ATOMIC(name, T, update) \
  inline T name(T* p, T v) {                \
    const T old = *p;                       \
    *p = update;                            \
    return old;                             \
  }
// Sums of floats must not depend on the order of threads (docs/cuda.md).
float atomicAdd(float*, float) = delete;
double atomicAdd(double*, double) = delete;
#define CUDA_ON_CPU_ATOMICS(T)                        \
  CUDA_ON_CPU_ATOMIC(atomicAdd, T, old + v)           \
  CUDA_ON_CPU_ATOMIC(atomicMin, T, v < old ? v : old) \
  CUDA_ON_CPU_ATOMIC(atomicMax, T, v > old ? v : old) \
  CUDA_ON_CPU_ATOMIC(atomicExch, T, v)                \
  CUDA_ON_CPU_ATOMIC(atomicOr, T, old | v)            \
  CUDA_ON_CPU_ATOMIC(atomicAnd, T, old& v)            \
  CUDA_ON_CPU_ATOMIC(atomicXor, T, old ^ v)           \
  inline T atomicCAS(T* p, T compare, T v) {          \
    const T old = *p;                                 \
    if (old == compare) *p = v;                       \
    return old;                                       \
  }
CUDA_ON_CPU_ATOMICS(int)
CUDA_ON_CPU_ATOMICS(unsigned)
CUDA_ON_CPU_ATOMICS(unsigned long long)
CUDA_ON_CPU_ATOMIC(atomicSub, int, old - v)
CUDA_ON_CPU_ATOMIC(atomicSub, unsigned, old - v)
inline unsigned atomicInc(unsigned* p, unsigned limit) {
  const unsigned old = *p;
  *p = old >= limit ? 0 : old + 1;
  return old;
}
#undef CUDA_ON_CPU_ATOMICS
#undef CUDA_ON_CPU_ATOMIC

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, T v) {
  *p = v;
}

inline int __popc(unsigned v) { return std::popcount(v); }
inline int __popcll(unsigned long long v) { return std::popcount(v); }
inline int __clz(int v) { return std::countl_zero(unsigned(v)); }
inline int __clzll(long long v) { return std::countl_zero(static_cast<unsigned long long>(v)); }
inline int __ffs(int v) { return v == 0 ? 0 : std::countr_zero(unsigned(v)) + 1; }
inline int __ffsll(long long v) { return v == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(v)) + 1; }
inline unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (v >> i & 1u) << (31 - i);
  return r;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int __mulhi(int a, int b) { return int(int64_t(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline int __float_as_int(float v) { return std::bit_cast<int>(v); }
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
inline double __hiloint2double(int high, int low) {
  return std::bit_cast<double>(static_cast<uint64_t>(static_cast<uint32_t>(high)) << 32 | static_cast<uint32_t>(low));
}
inline long long __double_as_longlong(double v) { return std::bit_cast<long long>(v); }
inline double __longlong_as_double(long long v) { return std::bit_cast<double>(v); }

inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
// `volatile` keeps the compiler from contracting, which is what these exist for.
inline float __fadd_rn(float a, float b) {
  volatile float r = a + b;
  return r;
}
inline float __fsub_rn(float a, float b) {
  volatile float r = a - b;
  return r;
}
inline float __fmul_rn(float a, float b) {
  volatile float r = a * b;
  return r;
}
inline double __dadd_rn(double a, double b) {
  volatile double r = a + b;
  return r;
}
inline double __dmul_rn(double a, double b) {
  volatile double r = a * b;
  return r;
}
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __frsqrt_rn(float a) { return 1.0f / sqrtf(a); }
inline float rsqrtf(float a) { return 1.0f / sqrtf(a); }
inline double rsqrt(double a) { return 1.0 / sqrt(a); }
inline float rsqrt(float a) { return rsqrtf(a); }
inline float __saturatef(float a) { return a > 0.0f ? (a < 1.0f ? a : 1.0f) : 0.0f; }  // NaN gives 0
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float a) { return expf(a); }
inline float __logf(float a) { return logf(a); }
inline float __sinf(float a) { return sinf(a); }
inline float __cosf(float a) { return cosf(a); }
inline float exp10f(float a) { return powf(10.0f, a); }
inline int __float2int_rn(float a) { return int(lrintf(a)); }
inline int __float2int_rz(float a) { return int(a); }
inline int __float2int_rd(float a) { return int(floorf(a)); }
inline unsigned __float2uint_rn(float a) { return unsigned(llrintf(a)); }
inline float __int2float_rn(int a) { return float(a); }
inline float __uint2float_rn(unsigned a) { return float(a); }

// CUDA's min and max take any two numbers; for floating point they are fminf and fmaxf.
template <class A, class B>
  requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B>
constexpr std::common_type_t<A, B> min(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return ::fmin(T(a), T(b));
  else return T(b) < T(a) ? T(b) : T(a);
}
template <class A, class B>
  requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B>
constexpr std::common_type_t<A, B> max(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return ::fmax(T(a), T(b));
  else return T(a) < T(b) ? T(b) : T(a);
}
