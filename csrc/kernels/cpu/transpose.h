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

#if defined(__AVX512F__)
// 16 rows as vectors whose 128 bits j are four values of row 4 j + i, for i < 4: what is left of a transpose are two rounds
// within 128 bits. (Half as many shuffles. With AVX2 the other way is as fast.)
inline Vec load_fours(const float* p, int64_t pitch) {
  __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
  v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(p + 4 * pitch));
  v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(p + 8 * pitch));
  return (Vec)_mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(p + 12 * pitch));
}
inline void transpose_fours(Vec (&rows)[4]) {  // as transpose()
  constexpr __mmask16 kAll = 0xffff;
  for (int round = 0; round < 2; ++round) {
    Vec next[4];
    for (int i = 0; i < 2; ++i) {
      next[2 * i] = (Vec)_mm512_maskz_unpacklo_ps(kAll, (__m512)rows[i], (__m512)rows[i + 2]);
      next[2 * i + 1] = (Vec)_mm512_maskz_unpackhi_ps(kAll, (__m512)rows[i], (__m512)rows[i + 2]);
    }
    for (int i = 0; i < 4; ++i) rows[i] = next[i];
  }
}
#endif

// packed[f][lane] = plain[lane * pitch + f] for f < features; lanes from `live` up get zeros. `step` floats lie between the
// vectors of packed.
inline void pack_block(const float* plain, int64_t pitch, int64_t live, int64_t features, float* packed, int64_t step = kLanes) {
  for (int64_t f = 0; f < features; f += kLanes) {
    const int64_t count = min(features - f, kLanes);
#if defined(__AVX512F__)
    if (live == kLanes && count == kLanes) {
      for (int64_t four = f; four < f + kLanes; four += 4) {
        Vec rows[4];
        unroll<4>([&](auto i) { rows[i] = load_fours(plain + i * pitch + four, pitch); });
        transpose_fours(rows);
        unroll<4>([&](auto i) { store(packed + (four + i) * step, rows[i]); });
      }
      continue;
    }
#endif
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
#if defined(__AVX512F__)
    if (live == kLanes && count == kLanes) {
      for (int64_t four = 0; four < kLanes; four += 4) {
        Vec rows[4];
        unroll<4>([&](auto i) { rows[i] = load_fours(packed + (f + i) * kLanes + four, kLanes); });
        transpose_fours(rows);
        unroll<4>([&](auto i) { store(plain + (four + i) * pitch + f, rows[i]); });
      }
      continue;
    }
#endif
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
