// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11): a counter-based generator.
// C headers only, so that the per-target files can include it.
//
// Element i of the random call `call` takes word i % 4 of counter (call, i / 4) under the key `seed`.
#pragma once

#include <stdint.h>

namespace cnnx {

inline constexpr uint32_t kPhiloxMul0 = 0xD2511F53u, kPhiloxMul1 = 0xCD9E8D57u;
inline constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9u, kPhiloxWeyl1 = 0xBB67AE85u;
inline constexpr int kPhiloxRounds = 10;

namespace {  // a copy for each instruction set: the linker must not share one compiled for wide vectors

// counter_hi: the call; counter_lo: the index of a group of four elements.
constexpr void philox4x32(uint64_t key, uint64_t counter_hi, uint64_t counter_lo, uint32_t out[4]) {
  uint32_t c0 = (uint32_t)counter_lo, c1 = (uint32_t)(counter_lo >> 32);
  uint32_t c2 = (uint32_t)counter_hi, c3 = (uint32_t)(counter_hi >> 32);
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t product0 = (uint64_t)kPhiloxMul0 * c0, product1 = (uint64_t)kPhiloxMul1 * c2;
    const uint32_t next0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
    const uint32_t next2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)product1;
    c3 = (uint32_t)product0;
    c0 = next0;
    c2 = next2;
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

// The upper 24 bits as a float in [0, 1), every value exact.
constexpr float uniform01(uint32_t bits) { return (float)(bits >> 8) * 0x1p-24f; }

constexpr uint64_t join(uint32_t high, uint32_t low) { return (uint64_t)high << 32 | low; }
constexpr double uniform01_double(uint32_t high, uint32_t low) { return (double)(join(high, low) >> 11) * 0x1p-53; }

// floor(bits * range / 2^64): the high half of a 64 x 64 bit product.
constexpr uint64_t scale_to_range(uint64_t bits, uint64_t range) {
  const uint64_t a = bits >> 32, b = bits & 0xffffffffu, c = range >> 32, d = range & 0xffffffffu;
  const uint64_t middle = a * d + (b * d >> 32);
  const uint64_t lower = b * c + (middle & 0xffffffffu);
  return a * c + (middle >> 32) + (lower >> 32);
}

// A dropout of probability p keeps the elements whose bits >> 8 reach this: those with uniform01 >= p.
inline uint32_t dropout_threshold(double p) {
  const double scaled = p * 0x1p24;
  const uint32_t whole = (uint32_t)scaled;
  return whole + ((double)whole < scaled ? 1u : 0u);
}

}  // namespace
}  // namespace cnnx
