// L x L transposes in registers and the blocked transposes made of them.
#pragma once

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/tile.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// Interleaves the lower (or upper) halves of a and b: a0 b0 a1 b1 ...
template <bool Upper, class V>  // V is Vec: a branch for another width must not be looked at
inline V interleave(V a, V b) {
  constexpr int o = Upper ? kLanes / 2 : 0;
#if defined(__clang__)
  if constexpr (sizeof(V) == 64)
    return __builtin_shufflevector(a, b, o, 16 + o, o + 1, 17 + o, o + 2, 18 + o, o + 3, 19 + o, o + 4, 20 + o, o + 5, 21 + o,
                                   o + 6, 22 + o, o + 7, 23 + o);
  else if constexpr (sizeof(V) == 32) return __builtin_shufflevector(a, b, o, 8 + o, o + 1, 9 + o, o + 2, 10 + o, o + 3, 11 + o);
  else return __builtin_shufflevector(a, b, o, 4 + o, o + 1, 5 + o);
#else
  VecI pick;
  for (int i = 0; i < kLanes; ++i) pick[i] = i / 2 + o + (i % 2) * kLanes;
  return __builtin_shuffle(a, b, pick);
#endif
}

// Every other value of a and then of b: from the first one on, or from the second.
template <bool Second, class V>
inline V every_other(V a, V b) {
  constexpr int o = Second;
#if defined(__clang__)
  if constexpr (sizeof(V) == 64)
    return __builtin_shufflevector(a, b, o, o + 2, o + 4, o + 6, o + 8, o + 10, o + 12, o + 14, o + 16, o + 18, o + 20, o + 22,
                                   o + 24, o + 26, o + 28, o + 30);
  else if constexpr (sizeof(V) == 32) return __builtin_shufflevector(a, b, o, o + 2, o + 4, o + 6, o + 8, o + 10, o + 12, o + 14);
  else return __builtin_shufflevector(a, b, o, o + 2, o + 4, o + 6);
#else
  VecI pick;
  for (int i = 0; i < kLanes; ++i) pick[i] = 2 * i + o;
  return __builtin_shuffle(a, b, pick);
#endif
}

// rows[i][j] <-> rows[j][i]. log2(L) rounds of perfect shuffles of the rows i and i + L/2.
inline void transpose(Vec (&rows)[kLanes]) {
  for (int width = 1; width < kLanes; width *= 2) {
    Vec next[kLanes];
    for (int i = 0; i < kLanes / 2; ++i) {
      next[2 * i] = interleave<false>(rows[i], rows[i + kLanes / 2]);
      next[2 * i + 1] = interleave<true>(rows[i], rows[i + kLanes / 2]);
    }
    for (int i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
}

// Lane i of the result is the sum of the lanes of rows[i], added in a fixed order; rows are used up.
inline Vec sum_lanes(Vec (&rows)[kLanes]) {
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i)
      rows[i] = interleave<false>(rows[i], rows[i + half]) + interleave<true>(rows[i], rows[i + half]);
  return rows[0];
}

// packed[f][lane] = plain[lane * pitch + f] for f < features; lanes from `live` up get zeros. `step` floats lie between the
// vectors of packed.
inline void pack_block(const float* plain, int64_t pitch, int64_t live, int64_t features, float* packed, int64_t step = kLanes) {
  for (int64_t f = 0; f < features; f += kLanes) {
    const int64_t count = min(features - f, kLanes);
    Vec rows[kLanes];
    for (int i = 0; i < kLanes; ++i)
      rows[i] = i >= live ? Vec{} : count == kLanes ? load(plain + i * pitch + f) : load_partial(plain + i * pitch + f, count);
    transpose(rows);
    for (int i = 0; i < kLanes; ++i)
      if (i < count) store(packed + (f + i) * step, rows[i]);
  }
}

// The way back, for the live lanes.
inline void unpack_block(const float* packed, int64_t pitch, int64_t live, int64_t features, float* plain) {
  for (int64_t f = 0; f < features; f += kLanes) {
    const int64_t count = min(features - f, kLanes);
    Vec rows[kLanes];
    for (int i = 0; i < kLanes; ++i) rows[i] = i < count ? load(packed + (f + i) * kLanes) : Vec{};
    transpose(rows);
    for (int i = 0; i < kLanes; ++i)
      if (i < live) {
        if (count == kLanes) store(plain + i * pitch + f, rows[i]);
        else store_partial(plain + i * pitch + f, rows[i], count);
      }
  }
}

// Features per unit of work of a blocked transpose.
inline constexpr int64_t kTransposeFeatures = 1024;

inline void pack_all(int64_t batch, int64_t features, const float* plain, float* packed) {
  const Split parts(features, kTransposeFeatures);
  parallel_for(ceil_div(batch, kLanes) * parts.parts, static_cast<double>(parts.size(0) * kLanes) / 2, [&](int64_t unit) {
    const int64_t block = unit / parts.parts, f = parts.begin(unit % parts.parts);
    pack_block(plain + block * kLanes * features + f, features, min(batch - block * kLanes, kLanes),
               parts.size(unit % parts.parts), packed + (block * features + f) * kLanes);
  });
}

inline void unpack_all(int64_t batch, int64_t features, const float* packed, float* plain) {
  const Split parts(features, kTransposeFeatures);
  parallel_for(ceil_div(batch, kLanes) * parts.parts, static_cast<double>(parts.size(0) * kLanes) / 2, [&](int64_t unit) {
    const int64_t block = unit / parts.parts, f = parts.begin(unit % parts.parts);
    unpack_block(packed + (block * features + f) * kLanes, features, min(batch - block * kLanes, kLanes),
                 parts.size(unit % parts.parts), plain + block * kLanes * features + f);
  });
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
