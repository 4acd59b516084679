// What the transforms of images on the CPU and on a device share: the random numbers of an image, the parameters that follow from
// them, and the arithmetic of single pixels; and the steps of a transform as plain records, which a device reads.
// Compile without contraction to fused multiply-adds (elementary.h).
#pragma once

#include <cmath>
#include <cstdint>

#include "cnnx/data/padding.h"
#include "kernels/elementary.h"
#include "kernels/philox.h"
#include "kernels/shapes.h"

namespace cnnx {

struct Interval {
  double first, second;
};

// Random numbers of one image: words of the Philox counters (call, key * 256 ...).
class Draws {
 public:
  CNNX_BOTH Draws(uint64_t seed, uint64_t call, uint64_t key) : seed_(seed), call_(call), counter_(key << 8) {}

  CNNX_BOTH double uniform() {  // [0, 1), 32 bits
    if (used_ == 4) {
      philox4x32(seed_, call_, counter_++, words_);
      used_ = 0;
    }
    return words_[used_++] * 0x1p-32;
  }
  CNNX_BOTH double uniform(const Interval& range) {
    return range.first == range.second ? range.first : range.first + (range.second - range.first) * uniform();
  }
  // 0 ... count - 1.
  CNNX_BOTH int64_t integer(int64_t count) { return static_cast<int64_t>(uniform() * static_cast<double>(count)); }

 private:
  uint64_t seed_, call_, counter_;
  uint32_t words_[4];
  int used_ = 4;
};

// ---- Flips, padding and crops.

// Whether a flip of probability p is done.
CNNX_BOTH inline bool drawn_flip(double p, Draws& draws) { return p > 0 && p < 1 ? draws.uniform() < p : p > 0; }

// Position of p, which may be outside 0 ... extent - 1, by the padding mode; -1 stands for the fill.
CNNX_BOTH inline int64_t padded_position(int64_t p, int64_t extent, Padding mode) {
  if (p >= 0 && p < extent) return p;
  switch (mode) {
    case Padding::constant: return -1;
    case Padding::edge: return p < 0 ? 0 : extent - 1;
    case Padding::reflect: {
      const int64_t period = extent > 1 ? 2 * (extent - 1) : 1, q = ((p % period) + period) % period;
      return q < extent ? q : period - q;
    }
    case Padding::symmetric: {
      const int64_t q = ((p % (2 * extent)) + 2 * extent) % (2 * extent);
      return q < extent ? q : 2 * extent - 1 - q;
    }
  }
  return -1;
}

// One axis of a window on a padded image. Padding is done in two goes, and the second reflects what the first has made.
struct WindowAxis {
  int64_t extent, before, inner, extra;  // of the image; borders before it; image and borders; pixels more on both sides
  int64_t offset, choices;               // where the window begins; if choices > 1 it is drawn from 0 ... choices - 1

  // The input's position for the window's position i, the window beginning at `from`.
  CNNX_BOTH int64_t position(int64_t i, int64_t from, Padding mode) const {
    const int64_t p = padded_position(i + from - extra, inner, mode);
    return p < 0 ? p : padded_position(p - before, extent, mode);
  }
};

// ---- Affine maps.

// The parameters of a rotation or an affine map, see AffineRanges.
struct WarpRanges {
  Interval degrees, scale, shear_x, shear_y;
  double translate[2], center[2];
  bool fractions, has_center, rotation, pillow;
};

// To 15 decimals, correctly rounded, as Python's round(value, 15).
CNNX_BOTH inline double round15(double value) {
  const double product = value * 1e15, error = fma(value, 1e15, -product);
  double whole = nearbyint(product);
  const double rest = (product - whole) + error;
  if (rest > 0.5) whole += 1;
  else if (rest < -0.5) whole -= 1;
  return whole / 1e15;
}

CNNX_BOTH inline double radians(double degrees) { return degrees * (3.14159265358979323846 / 180.0); }

// m composed with a move of (x, y) before it.
CNNX_BOTH inline void move_before(double* m, double x, double y) {
  const double u = m[0] * x + m[1] * y + m[2], v = m[3] * x + m[4] * y + m[5];
  m[2] = u;
  m[5] = v;
}

// torchvision's inverse matrix of translation, rotation (clockwise), scale and shear about a center.
CNNX_BOTH inline void inverse_affine(const double* center, double degrees, const double* translate, double scale, double shear_x,
                                     double shear_y, double* m) {
  const double rot = radians(degrees), sx = radians(shear_x), sy = radians(shear_y);
  const elementary::Circle turned = elementary::circle(rot - sy), turn = elementary::circle(rot);
  const double cos_sy = elementary::cosine(sy), tan_sx = elementary::tangent(sx);
  const double cosine = elementary::rounded(turned.cosine), sine = elementary::rounded(turned.sine);
  const double a = cosine / cos_sy;
  const double b = -cosine * tan_sx / cos_sy - elementary::rounded(turn.sine);
  const double c = sine / cos_sy;
  const double d = -sine * tan_sx / cos_sy + elementary::rounded(turn.cosine);
  m[0] = d / scale;
  m[1] = -b / scale;
  m[2] = 0.0;
  m[3] = -c / scale;
  m[4] = a / scale;
  m[5] = 0.0;
  move_before(m, -center[0] - translate[0], -center[1] - translate[1]);
  m[2] += center[0];
  m[5] += center[1];
}

// Degrees counter-clockwise as Pillow counts them, 0 to 360.
CNNX_BOTH inline double pillow_degrees(double degrees) {
  const double turned = fmod(degrees, 360.0);
  return turned < 0 ? turned + 360.0 : turned;
}

// The matrix from output to input pixels of one image, in pixels from the top left corner by Pillow's rules and from the centre
// by those for tensors. Returns the angle drawn.
CNNX_BOTH inline double drawn_matrix(const WarpRanges& w, int64_t height, int64_t width, Draws& draws, double* m) {
  const double extent[2] = {static_cast<double>(width), static_cast<double>(height)};
  const double degrees = draws.uniform(w.degrees);
  double center[2];
  for (int k = 0; k < 2; ++k) {
    center[k] = w.pillow ? extent[k] * 0.5 : 0.0;
    if (w.has_center) center[k] = w.pillow ? w.center[k] : w.center[k] - extent[k] * 0.5;
  }
  if (w.rotation && w.pillow) {  // Image.rotate
    const elementary::Circle turn = elementary::circle(-radians(pillow_degrees(degrees)));
    const double cosine = round15(elementary::rounded(turn.cosine)), sine = round15(elementary::rounded(turn.sine));
    m[0] = cosine;
    m[1] = sine;
    m[2] = 0.0;
    m[3] = -sine;
    m[4] = cosine;
    m[5] = 0.0;
    move_before(m, -center[0], -center[1]);
    m[2] += center[0];
    m[5] += center[1];
    return degrees;
  }
  double translate[2] = {w.rotation ? 0.0 : w.translate[0], w.rotation ? 0.0 : w.translate[1]};
  if (w.rotation) {
    inverse_affine(center, -degrees, translate, 1.0, 0.0, 0.0, m);
    return degrees;
  }
  for (int k = 0; k < 2 && w.fractions; ++k) {
    const double largest = w.translate[k] * extent[k];
    translate[k] = nearbyint(draws.uniform({-largest, largest}));
  }
  const double scale = draws.uniform(w.scale), shear_x = draws.uniform(w.shear_x), shear_y = draws.uniform(w.shear_y);
  inverse_affine(center, degrees, translate, scale, shear_x, shear_y, m);
  return degrees;
}

// Pillow's floor of a coordinate; only its sign matters below 0.
CNNX_BOTH inline int64_t whole(double v) { return v < 0.0 ? -1 : static_cast<int64_t>(v); }
CNNX_BOTH inline bool within(double v, int64_t extent) { return v >= 0.0 && v < static_cast<double>(extent); }
CNNX_BOTH inline int64_t clamped(int64_t i, int64_t extent) { return i < 0 ? 0 : i < extent ? i : extent - 1; }

// Nearest neighbours by Pillow's rules: it has three ways of counting, with different rounding.
enum class NearestWay { adding, fixed, direct };
CNNX_BOTH inline NearestWay nearest_way(const WarpShape& s, const double* m) {
  if (m[1] == 0.0 && m[3] == 0.0) return NearestWay::adding;
  for (int corner = 0; corner < 4; ++corner)  // 16.16 fixed-point numbers, if all coordinates are small enough
    for (int row = 0; row < 6; row += 3) {
      const double x = corner % 2 == 0 ? 0.0 : static_cast<double>(s.out_width - 1);
      const double y = corner / 2 == 0 ? 0.0 : static_cast<double>(s.out_height - 1);
      if (!(fabs(x * m[row] + y * m[row + 1] + m[row + 2]) < 32768.0)) return NearestWay::direct;
    }
  return NearestWay::fixed;
}
CNNX_BOTH inline int64_t fixed_point(double v) { return static_cast<int64_t>(floor(v * 65536.0 + 0.5)); }
CNNX_BOTH inline double first_center(const double* row) { return row[2] + row[0] * 0.5 + row[1] * 0.5; }
// Where the pixels' centres come to lie after `count` steps that add up.
CNNX_BOTH inline double added_steps(double start, double step, int64_t count) {
  for (int64_t i = 0; i < count; ++i) start += step;
  return start;
}

// Coordinates in the input of the output pixel's centre, counted from the top left corner.
struct SourcePoint {
  double x, y;
};
CNNX_BOTH inline SourcePoint source_point(const WarpShape& s, const double* m, int64_t x, int64_t y) {
  double u = static_cast<double>(x) + 0.5, v = static_cast<double>(y) + 0.5;
  if (s.rules == WarpRules::pillow) return {m[0] * u + m[1] * v + m[2], m[3] * u + m[4] * v + m[5]};
  u -= 0.5 * static_cast<double>(s.out_width);
  v -= 0.5 * static_cast<double>(s.out_height);
  return {m[0] * u + m[1] * v + m[2] + 0.5 * static_cast<double>(s.in_width),
          m[3] * u + m[4] * v + m[5] + 0.5 * static_cast<double>(s.in_height)};
}

// Between the four neighbours, of which those outside repeat the rim; `fill` if the point itself is outside.
template <class E>
CNNX_BOTH double bilinear_pillow(const WarpShape& s, SourcePoint p, const E* plane, double fill) {
  if (!within(p.x, s.in_width) || !within(p.y, s.in_height)) return fill;
  const double u = p.x - 0.5, v = p.y - 0.5;
  const int64_t x = whole(u), y = whole(v);
  const double dx = u - static_cast<double>(x), dy = v - static_cast<double>(y);
  double mixed[2];
  for (int j = 0; j < 2; ++j) {
    const E* line = plane + clamped(y + j, s.in_height) * s.in_width;
    const double a = line[clamped(x, s.in_width)], b = line[clamped(x + 1, s.in_width)];
    mixed[j] = a + (b - a) * dx;
  }
  return mixed[0] + (mixed[1] - mixed[0]) * dy;
}

// grid_sample with zeros outside; with a fill, torchvision samples an image of ones beside it, and mixes by it.
template <class E>
CNNX_BOTH double bilinear_tensor(const WarpShape& s, SourcePoint p, const E* plane, bool has_fill, double fill) {
  const double u = p.x - 0.5, v = p.y - 0.5, x = floor(u), y = floor(v);
  double value = 0, inside = 0;
  for (int j = 0; j < 2; ++j)
    for (int i = 0; i < 2; ++i) {
      const double column = x + i, line = y + j;
      if (!within(column, s.in_width) || !within(line, s.in_height)) continue;
      const double weight = (i == 0 ? x + 1 - u : u - x) * (j == 0 ? y + 1 - v : v - y);
      value += weight * static_cast<double>(plane[static_cast<int64_t>(line) * s.in_width + static_cast<int64_t>(column)]);
      inside += weight;
    }
  return has_fill ? value * inside + (1.0 - inside) * fill : value;
}

// Nearest neighbours by the rules for tensors: the position in the plane, -1 outside.
CNNX_BOTH inline int64_t nearest_tensor(const WarpShape& s, SourcePoint p) {
  const double u = nearbyint(p.x - 0.5), v = nearbyint(p.y - 0.5);
  if (!within(u, s.in_width) || !within(v, s.in_height)) return -1;
  return static_cast<int64_t>(v) * s.in_width + static_cast<int64_t>(u);
}

// ---- Values.

struct Rectangle {
  int64_t top, left, height, width;  // nothing if height is negative
};
struct EraseRanges {
  double p;
  Interval scale, log_ratio;
};
CNNX_BOTH inline Rectangle drawn_rectangle(const EraseRanges& e, int64_t height, int64_t width, Draws& draws) {
  if (draws.uniform() >= e.p) return {0, 0, -1, -1};
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = static_cast<double>(height * width) * draws.uniform(e.scale);
    const double ratio = elementary::exponential(draws.uniform(e.log_ratio));
    const int64_t h = static_cast<int64_t>(nearbyint(sqrt(area * ratio)));
    const int64_t w = static_cast<int64_t>(nearbyint(sqrt(area / ratio)));
    if (h >= height || w >= width) continue;
    const int64_t top = draws.integer(height - h + 1);
    return {top, draws.integer(width - w + 1), h, w};
  }
  return {0, 0, -1, -1};
}

CNNX_BOTH inline uint8_t grey_pillow(uint8_t red, uint8_t green, uint8_t blue) {
  return static_cast<uint8_t>((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
}
template <class F>
CNNX_BOTH F grey_tensor(F red, F green, F blue) {
  return F(0.2989) * red + F(0.587) * green + F(0.114) * blue;
}

// A weighted sum along a line of pixels that are `step` apart: bytes in 22-bit fixed point, as Pillow does it.
constexpr int kFixedBits = 22;
template <class Weight>
CNNX_BOTH uint8_t sum_bytes(const uint8_t* in, int64_t step, const Weight* weights, int64_t count) {
  int32_t sum = 1 << (kFixedBits - 1);
  for (int64_t k = 0; k < count; ++k) sum += in[k * step] * static_cast<int32_t>(weights[k]);
  sum >>= kFixedBits;
  return static_cast<uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}
template <class T>
CNNX_BOTH double sum_values(const T* in, int64_t step, const double* weights, int64_t count) {
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) sum += static_cast<double>(in[k * step]) * weights[k];
  return sum;
}

// ---- A transform as records.

struct ImageExtents {
  int32_t channels, height, width;
  CNNX_BOTH int32_t numel() const { return channels * height * width; }
};

enum class PixelType : int32_t { bytes, floats, doubles };

// A step for images of one size and type. `table` counts doubles from the start of the transform's table.
struct ImageOp {
  enum class Kind : int32_t {
    flip,       // p, horizontal
    window,     // rows, columns, mode; table: fill per channel
    warp,       // warp, bilinear, has_fill; table: fill per channel
    pick,       // table: input row per output row, input column per output column
    resample,   // horizontal, pillow (bytes to bytes); table: per output position first, count and `taps` weights
    grey,       // pillow
    erase,      // erase; table: value per channel
    scale,      // bytes to floats: value / p, then as normalise if `normalises`
    normalise,  // table: per channel mean, then per channel deviation
    sometimes,  // p: whether the next `span` steps are done
  };
  Kind kind;
  PixelType in_type, out_type;
  bool horizontal, pillow, bilinear, has_fill, normalises;
  ImageExtents in, out;
  int32_t span, taps, table;
  double p;
  Padding mode;
  WindowAxis rows, columns;
  WarpRanges warp;
  EraseRanges erase;
};

// Images source[index[i]], i < count, through `ops` into out (count, the last step's output); see BatchTransform.
// All pointers are the device's; no index: the images in order; no keys: 0. Images between two steps take at most `room` bytes.
struct ImageBatch {
  int64_t count, samples;
  const void* source;
  const int64_t *index, *keys;
  uint64_t seed, call;
  const ImageOp* ops;
  int32_t op_count;
  ImageExtents in, out;
  PixelType in_type, out_type;
  const double* table;
  int64_t room;
  void* out_data;
};

}  // namespace cnnx
