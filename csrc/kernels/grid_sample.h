// Where a grid reads an image, and how much of which pixels: shared by all backends. C headers only, for the per-target files.
//
// All modes are separable: along each axis a place has up to four taps, pixels with their weights, and a sample is the sum over
// the taps of both. Slopes of the weights give the gradient of the grid, and how they bend its derivatives.
#pragma once

#include <math.h>
#include <stdint.h>

#include "kernels/shapes.h"

#ifdef __CUDACC__
#define CNNX_BOTH __host__ __device__
#else
#define CNNX_BOTH
#endif

namespace cnnx {

// Taps of a mode along an axis.
constexpr int grid_taps(GridMode mode) { return mode == GridMode::bilinear ? 2 : mode == GridMode::nearest ? 1 : 4; }
constexpr int kMostGridTaps = 4;

template <class T>
struct GridTaps {
  int32_t at[kMostGridTaps];  // the pixel; -1: outside, where zeros are
  T weight[kMostGridTaps];
  T slope[kMostGridTaps];  // derivative of the weight by the number in the grid
  T bend[kMostGridTaps];   // that of the slope
};

namespace {  // a copy for each instruction set: the linker must not share one compiled for wide vectors

// A place on the axis of pixels and its slope, which is 0 or of the sign in which it moves.
template <class T>
struct GridPlace {
  T at, slope;
};

// From beyond an edge back to the last pixel. What is not a number becomes the first.
template <class T>
CNNX_BOTH inline GridPlace<T> at_border(GridPlace<T> p, int64_t size) {
  const T last = static_cast<T>(size - 1);
  if (!(p.at > T(0))) return {T(0), T(0)};
  return p.at < last ? p : GridPlace<T>{last, T(0)};
}

// Mirrored at the edges as often as it takes.
template <class T>
CNNX_BOTH inline GridPlace<T> reflected(GridPlace<T> p, int64_t size, bool align_corners) {
  const T low = align_corners ? T(0) : T(-0.5), span = static_cast<T>(align_corners ? size - 1 : size);
  if (span == T(0)) return {T(0), T(0)};
  const T distance = fabs(p.at - low), extra = fmod(distance, span);
  const bool odd = fmod(floor(distance / span), T(2)) != T(0);  // mirrors on the way
  return {(odd ? span - extra : extra) + low, (p.at < low) != odd ? -p.slope : p.slope};
}

template <class T>
CNNX_BOTH inline GridPlace<T> padded(GridPlace<T> p, int64_t size, GridPadding padding, bool align_corners) {
  if (padding == GridPadding::zeros) return p;
  if (padding == GridPadding::reflection) p = reflected(p, size, align_corners);
  return at_border(p, size);
}

// The pixel there, or -1.
template <class T>
CNNX_BOTH inline int32_t pixel_at(T whole, int64_t size) {
  return whole >= T(0) && whole < static_cast<T>(size) ? static_cast<int32_t>(whole) : -1;
}

// Keys' cubic with a = -3/4 at a distance, and its derivatives.
template <class T>
CNNX_BOTH inline T cubic_weight(T distance) {
  const T x = fabs(distance), a = T(-0.75);
  return x < T(1)   ? ((a + T(2)) * x - (a + T(3))) * x * x + T(1)
         : x < T(2) ? ((a * x - T(5) * a) * x + T(8) * a) * x - T(4) * a
                    : T(0);
}
template <class T>
CNNX_BOTH inline T cubic_slope(T distance) {
  const T x = fabs(distance), a = T(-0.75);
  const T slope = x < T(1)   ? (T(3) * (a + T(2)) * x - T(2) * (a + T(3))) * x
                  : x < T(2) ? (T(3) * a * x - T(10) * a) * x + T(8) * a
                             : T(0);
  return distance < T(0) ? -slope : slope;
}
template <class T>
CNNX_BOTH inline T cubic_bend(T distance) {
  const T x = fabs(distance), a = T(-0.75);
  return x < T(1) ? T(6) * (a + T(2)) * x - T(2) * (a + T(3)) : x < T(2) ? T(6) * a * x - T(10) * a : T(0);
}

// The taps of a number of the grid along an axis of `size` pixels.
template <class T>
CNNX_BOTH inline void find_grid_taps(const GridSampleShape& s, int64_t size, T number, GridTaps<T>& taps) {
  const T half = static_cast<T>(s.align_corners ? size - 1 : size) / T(2);
  GridPlace<T> place{(number + T(1)) * half - (s.align_corners ? T(0) : T(0.5)), half};
  if (s.mode == GridMode::bicubic) {  // each of its pixels is looked for on its own
    const T below = floor(place.at), t = place.at - below;
    for (int k = 0; k < 4; ++k) {
      const T pixel = below + static_cast<T>(k - 1), distance = t - static_cast<T>(k - 1);
      taps.at[k] = pixel_at(padded<T>({pixel, T(0)}, size, s.padding, s.align_corners).at, size);
      taps.weight[k] = cubic_weight(distance);
      taps.slope[k] = cubic_slope(distance) * place.slope;
      taps.bend[k] = cubic_bend(distance) * place.slope * place.slope;
    }
    return;
  }
  place = padded(place, size, s.padding, s.align_corners);
  if (s.mode == GridMode::nearest) {
    taps.at[0] = pixel_at(nearbyint(place.at), size);
    taps.weight[0] = T(1);
    taps.slope[0] = taps.bend[0] = T(0);
    return;
  }
  const T below = floor(place.at), t = place.at - below;
  taps.at[0] = pixel_at(below, size);
  taps.at[1] = pixel_at(below + T(1), size);
  taps.weight[0] = T(1) - t;
  taps.weight[1] = t;
  taps.slope[0] = -place.slope;
  taps.slope[1] = place.slope;
  taps.bend[0] = taps.bend[1] = T(0);
}

// How much of a pixel a place reads, and the derivatives of that by x and y of the grid.
template <class T>
struct GridWeight {
  T value, by_x, by_y;
};

// Of tap i of x and tap j of y. With `along`, a pair (x, y), the derivative of it all in that direction.
template <class T>
CNNX_BOTH inline GridWeight<T> grid_weight(const GridTaps<T>& x, int i, const GridTaps<T>& y, int j, const T* along) {
  const T by_x = y.weight[j] * x.slope[i], by_y = y.slope[j] * x.weight[i];
  if (along == nullptr) return {y.weight[j] * x.weight[i], by_x, by_y};
  const T by_both = y.slope[j] * x.slope[i];
  return {along[0] * by_x + along[1] * by_y, along[0] * y.weight[j] * x.bend[i] + along[1] * by_both,
          along[0] * by_both + along[1] * y.bend[j] * x.weight[i]};
}

}  // namespace
}  // namespace cnnx
