// Maxima of windows side by side, with images in the lanes.
#pragma once

#include "kernels/cpu/tile.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

typedef uint8_t Bytes __attribute__((vector_size(kLanes)));

inline VecI load_bytes(const uint8_t* p) {
#if defined(__AVX512F__)
  return (VecI)_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(__AVX2__)
  return (VecI)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#else
  Bytes bytes;
  __builtin_memcpy(&bytes, p, sizeof(bytes));
  return __builtin_convertvector(bytes, VecI);
#endif
}
inline void store_bytes(uint8_t* p, VecI v) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)v));
#else
  const Bytes bytes = __builtin_convertvector(v, Bytes);
  __builtin_memcpy(p, &bytes, sizeof(bytes));
#endif
}

// Of `rows` rows of windows of a plane that is `width` pixels wide, and which of its window each is, if that is wanted. A NaN is
// a maximum; of equal ones it is the first. Window 0: of `window`, which is not known beforehand.
template <int Window, bool Which>
inline void max_windows(const float* plane, int64_t width, int64_t window, int64_t rows, int64_t columns, float* to,
                        uint8_t* which) {
  const int64_t k = Window > 0 ? Window : window;
  for (int64_t y = 0; y < rows; ++y)
    for (int64_t x = 0; x < columns; ++x) {
      const float* from = plane + (y * width + x) * k * kLanes;
      Vec best = load(from);
      VecI at = {};
      for (int64_t ky = 0; ky < k; ++ky)
        for (int64_t kx = ky == 0 ? 1 : 0; kx < k; ++kx) {
          const Vec value = load(from + (ky * width + kx) * kLanes);
          const VecI better = (value > best) | (value != value);
          best = select(better, value, best);
          if constexpr (Which) at = select(better, broadcast(static_cast<int32_t>(ky * k + kx)), at);
        }
      store(to + (y * columns + x) * kLanes, best);
      if constexpr (Which) store_bytes(which + (y * columns + x) * kLanes, at);
    }
}

inline void max_windows_of(int64_t window, const float* plane, int64_t width, int64_t rows, int64_t columns, float* to,
                           uint8_t* which) {
  const auto run = [&]<int Window>() {
    if (which != nullptr) max_windows<Window, true>(plane, width, window, rows, columns, to, which);
    else max_windows<Window, false>(plane, width, window, rows, columns, to, nullptr);
  };
  if (window == 2) run.template operator()<2>();
  else if (window == 3) run.template operator()<3>();
  else run.template operator()<0>();
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
