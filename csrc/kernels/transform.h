// A transform of images as plain records, and what they draw for an image: shared by the CPU and devices.
// Compile without contraction to fused multiply-adds (elementary.h).
#pragma once

#include <cmath>
#include <cstdint>

#include "cnnx/data/padding.h"
#include "cnnx/dtype.h"
#include "kernels/elementary.h"
#include "kernels/philox.h"

namespace cnnx {

struct Interval {
  double first, second;
};

// Random numbers of one image: words of the Philox counters (call, key * 256 ...).
class ImageDraws {
 public:
  CNNX_BOTH ImageDraws(uint64_t seed, uint64_t call, uint64_t key) : seed_(seed), call_(call), counter_(key << 8) {}

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

// ---- A transform as records.

struct ImageExtents {
  int64_t channels, height, width;
  CNNX_BOTH int64_t plane() const { return height * width; }
  CNNX_BOTH int64_t numel() const { return channels * height * width; }
  bool operator==(const ImageExtents&) const = default;
};

// Of the types that images have: uint8, float32, float64.
CNNX_BOTH inline int64_t size_of(DType type) { return type == DType::uint8 ? 1 : type == DType::float32 ? 4 : 8; }

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

// The parameters of a rotation or an affine map, see AffineRanges.
struct WarpRanges {
  Interval degrees, scale, shear_x, shear_y;
  double translate[2], center[2];
  bool fractions, has_center, rotation, expand, pillow;
};

struct EraseRanges {
  double p;
  Interval scale, log_ratio;
};

// What a row or a column of a resampled image is the weighted sum of. The weights follow: doubles, or integers in 22-bit fixed
// point, as Pillow has them for bytes.
struct Taps {
  int32_t first, count;
  template <class Weight>
  CNNX_BOTH const Weight* weights() const {
    return reinterpret_cast<const Weight*>(this + 1);
  }
};
constexpr int kFixedBits = 22;

// A step for images of one size and type. `table` counts doubles from the start of the transform's table.
struct ImageOp {
  enum class Kind : int32_t {
    flip,       // p, horizontal
    window,     // rows, columns, mode; table: fill per channel
    pick,       // table: input row per output row, input column per output column
    warp,       // warp, bilinear, has_fill; table: fill per channel
    resample,   // horizontal, fixed_point; table: per output position, `taps` doubles apart, Taps
    grey,       // pillow
    erase,      // erase; table: value per channel
    scale,      // bytes to floats: value / p, then as normalise if `normalises`
    normalise,  // table: per channel mean, then per channel deviation
    sometimes,  // p: whether the next `span` steps are done
  };
  Kind kind;
  DType in_type, out_type;
  bool horizontal, pillow, fixed_point, bilinear, has_fill, normalises;
  ImageExtents in, out;
  int32_t span, taps, table;
  double p;
  Padding mode;
  WindowAxis rows, columns;
  WarpRanges warp;
  EraseRanges erase;
};

// Images source[index[i]], i < count, through `ops` into out (count, the last step's output); see BatchTransform. All pointers
// are the device's; no index: the images in order; no keys: 0. Images between two steps take at most `room` bytes, and all have
// at most `largest` pixels.
struct ImageBatch {
  int64_t count, samples, lanes;
  const void* source;
  const int64_t *index, *keys;
  uint64_t seed, call;
  const ImageOp* ops;
  const double* table;
  int32_t op_count;
  ImageExtents in, out;
  DType in_type, out_type;
  int64_t room, largest;
  void* out_data;
};

// ---- Parameters.

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

// (a, b; c, d) about a center, after the inverse of a translation.
CNNX_BOTH inline void set_about(const double* center, const double* translate, double a, double b, double c, double d,
                                double* m) {
  const double turned[6] = {a, b, 0.0, c, d, 0.0};
  for (int k = 0; k < 6; ++k) m[k] = turned[k];
  move_before(m, -center[0] - translate[0], -center[1] - translate[1]);
  m[2] += center[0];
  m[5] += center[1];
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
  set_about(center, translate, d / scale, -b / scale, -c / scale, a / scale, m);
}

// Degrees counter-clockwise as Pillow counts them, 0 to 360.
CNNX_BOTH inline double pillow_degrees(double degrees) {
  const double turned = fmod(degrees, 360.0);
  return turned < 0 ? turned + 360.0 : turned;
}

// The matrix from output to input pixels of one image, in pixels from the top left corner by Pillow's rules and from the centre
// by those for tensors.
CNNX_BOTH inline void drawn_matrix(const WarpRanges& w, const ImageExtents& in, const ImageExtents& out, ImageDraws& draws,
                                   double* m) {
  const double extent[2] = {static_cast<double>(in.width), static_cast<double>(in.height)};
  const double degrees = draws.uniform(w.degrees);
  double center[2], translate[2] = {w.translate[0], w.translate[1]};
  for (int k = 0; k < 2; ++k) {
    center[k] = w.pillow ? extent[k] * 0.5 : 0.0;
    if (w.has_center) center[k] = w.pillow ? w.center[k] : w.center[k] - extent[k] * 0.5;
  }
  if (w.rotation && w.pillow) {  // Image.rotate
    const elementary::Circle turn = elementary::circle(-radians(pillow_degrees(degrees)));
    const double cosine = round15(elementary::rounded(turn.cosine)), sine = round15(elementary::rounded(turn.sine));
    set_about(center, translate, cosine, sine, -sine, cosine, m);
    if (w.expand)
      move_before(m, -static_cast<double>(out.width - in.width) / 2.0, -static_cast<double>(out.height - in.height) / 2.0);
    return;
  }
  for (int k = 0; k < 2 && w.fractions; ++k) {
    const double largest = w.translate[k] * extent[k];
    translate[k] = nearbyint(draws.uniform({-largest, largest}));
  }
  const double scale = draws.uniform(w.scale), shear_x = draws.uniform(w.shear_x), shear_y = draws.uniform(w.shear_y);
  inverse_affine(center, w.rotation ? -degrees : degrees, translate, scale, shear_x, shear_y, m);
}

// How Pillow counts nearest neighbours: it has three ways, with different rounding.
enum class NearestWay { adding, fixed, direct };
CNNX_BOTH inline NearestWay nearest_way(const ImageExtents& out, const double* m) {
  if (m[1] == 0.0 && m[3] == 0.0) return NearestWay::adding;
  for (int corner = 0; corner < 4; ++corner)  // 16.16 fixed-point numbers, if all coordinates are small enough
    for (int row = 0; row < 6; row += 3) {
      const double x = corner % 2 == 0 ? 0.0 : static_cast<double>(out.width - 1);
      const double y = corner / 2 == 0 ? 0.0 : static_cast<double>(out.height - 1);
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

// What a step has drawn for an image.
struct DrawnStep {
  bool done;
  int64_t top, left, height, width;
  double matrix[6];
  NearestWay way;
  uint32_t fixed[6];
};

// How nearest neighbours follow from the matrix.
CNNX_BOTH inline void settle(const ImageOp& op, DrawnStep& drawn) {
  const double* m = drawn.matrix;
  drawn.way = nearest_way(op.out, m);
  if (drawn.way == NearestWay::fixed)
    for (int k = 0; k < 6; ++k) drawn.fixed[k] = static_cast<uint32_t>(fixed_point(k % 3 == 2 ? first_center(m + k - 2) : m[k]));
}

CNNX_BOTH inline void draw_rectangle(const EraseRanges& e, const ImageExtents& image, ImageDraws& draws, DrawnStep& drawn) {
  drawn.done = draws.uniform() < e.p;
  for (int attempt = 0; drawn.done && attempt < 10; ++attempt) {
    const double area = static_cast<double>(image.plane()) * draws.uniform(e.scale);
    const double ratio = elementary::exponential(draws.uniform(e.log_ratio));
    drawn.height = static_cast<int64_t>(nearbyint(sqrt(area * ratio)));
    drawn.width = static_cast<int64_t>(nearbyint(sqrt(area / ratio)));
    if (drawn.height >= image.height || drawn.width >= image.width) continue;
    drawn.top = draws.integer(image.height - drawn.height + 1);
    drawn.left = draws.integer(image.width - drawn.width + 1);
    return;
  }
  drawn.done = false;
}

CNNX_BOTH inline void draw(const ImageOp& op, ImageDraws& draws, DrawnStep& drawn) {
  drawn.done = true;
  switch (op.kind) {
    case ImageOp::Kind::flip: drawn.done = op.p > 0 && op.p < 1 ? draws.uniform() < op.p : op.p > 0; break;
    case ImageOp::Kind::window: {
      const bool both = op.rows.choices > 1 || op.columns.choices > 1;
      drawn.top = both ? draws.integer(op.rows.choices) : op.rows.offset;
      drawn.left = both ? draws.integer(op.columns.choices) : op.columns.offset;
      break;
    }
    case ImageOp::Kind::warp:
      drawn_matrix(op.warp, op.in, op.out, draws, drawn.matrix);
      settle(op, drawn);
      break;
    case ImageOp::Kind::erase: draw_rectangle(op.erase, op.in, draws, drawn); break;
    default: break;
  }
}

// What all steps draw for the image of a key.
CNNX_BOTH inline void draw_all(const ImageBatch& b, uint64_t seed, uint64_t call, uint64_t key, DrawnStep* drawn) {
  ImageDraws draws(seed, call, key);
  for (int32_t i = 0; i < b.op_count; ++i) {
    const ImageOp& op = b.ops[i];
    if (op.kind == ImageOp::Kind::sometimes) {
      drawn[i].done = false;  // nothing of its own
      if (op.p < draws.uniform())
        for (const int32_t end = i + op.span; i < end;) drawn[++i].done = false;
    } else {
      draw(op, draws, drawn[i]);
    }
  }
}

}  // namespace cnnx
