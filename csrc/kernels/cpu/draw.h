// Random numbers of many Philox counters at once, with plain loops over arrays that the compiler turns into vectors.
#pragma once

#include "kernels/philox.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int kCounters = 64;            // drawn together
constexpr int64_t kRun = 4 * kCounters;  // elements they serve

// words[k][j]: word k of counter first + j.
inline void draw_counters(uint64_t seed, uint64_t call, uint64_t first, uint32_t (&words)[4][kCounters]) {
  auto& [c0, c1, c2, c3] = words;
  for (int j = 0; j < kCounters; ++j) {
    c0[j] = (uint32_t)(first + (uint64_t)j);
    c1[j] = (uint32_t)((first + (uint64_t)j) >> 32);
    c2[j] = (uint32_t)call;
    c3[j] = (uint32_t)(call >> 32);
  }
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    for (int j = 0; j < kCounters; ++j) {
      const uint64_t product0 = (uint64_t)kPhiloxMul0 * c0[j], product1 = (uint64_t)kPhiloxMul1 * c2[j];
      c0[j] = (uint32_t)(product1 >> 32) ^ c1[j] ^ k0;
      c2[j] = (uint32_t)(product0 >> 32) ^ c3[j] ^ k1;
      c1[j] = (uint32_t)product1;
      c3[j] = (uint32_t)product0;
    }
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
}

// Element 4 j + k from value k of counter j: the order of the elements that the counters belong to.
template <class T>
inline void interleave(const T (&values)[4][kCounters], T* elements) {
  for (int j = 0; j < kCounters; ++j)
    for (int k = 0; k < 4; ++k) elements[4 * j + k] = values[k][j];
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
