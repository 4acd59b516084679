// Rotations and affine maps. The matrix follows the arithmetic of torchvision's and Pillow's Python; sines and cosines are those
// of kernels/elementary.h, the same on every device.
#include <algorithm>
#include <cmath>

#include "data/step.h"
#include "device/cuda/runtime.h"

namespace cnnx {
namespace {

Interval interval(const Range& range) { return {range.first, range.second}; }
bool varies(const Interval& range) { return range.first != range.second; }

// The size that holds the whole image, turned by the one angle that `w` has.
ImageExtents expanded(const WarpRanges& w, const ImageExtents& in) {
  double m[6];
  ImageDraws none(0, 0, 0);
  drawn_matrix(w, in, in, none, m);
  const double width = static_cast<double>(in.width), height = static_cast<double>(in.height);
  // By Pillow's rules the matrix counts from the corner, else from the centre.
  const double left = w.pillow ? 0 : -0.5 * width, top = w.pillow ? 0 : -0.5 * height;
  double low[2] = {HUGE_VAL, HUGE_VAL}, high[2] = {-HUGE_VAL, -HUGE_VAL};  // x, y
  for (double x : {left, left + width})
    for (double y : {top, top + height})
      for (int k = 0; k < 2; ++k) {
        const double at = m[3 * k] * x + m[3 * k + 1] * y + m[3 * k + 2];
        low[k] = std::min(low[k], at);
        high[k] = std::max(high[k], at);
      }
  if (w.pillow) {
    const double turned = pillow_degrees(w.degrees.first);
    if (!w.has_center && (turned == 90.0 || turned == 270.0))  // Pillow transposes; half pixels would make it larger
      return {in.channels, in.width, in.height};
    const auto extent = [&](int k) { return static_cast<int64_t>(std::ceil(high[k]) - std::floor(low[k])); };
    return {in.channels, extent(1), extent(0)};
  }
  // Cut to four decimals, so that a rounding error does not cost a pixel.
  const auto cut = [](double v) {
    return static_cast<double>(static_cast<float>(std::trunc(static_cast<float>(v) / 1e-4f) * 1e-4f));
  };
  const auto extent = [&](int k, double size) {
    return static_cast<int64_t>(std::ceil(cut(high[k] + 0.5 * size)) - std::floor(cut(low[k] + 0.5 * size)));
  };
  return {in.channels, extent(1, height), extent(0, width)};
}

ImageStepPtr warp_step(const char* op, const WarpRanges& ranges, Filter filter, const std::optional<Fill>& fill) {
  if (filter == Filter::bicubic) throw ValueError(message(op, ": interpolation must be nearest or bilinear, got bicubic"));
  for (double scale : {ranges.scale.first, ranges.scale.second})
    if (!(scale > 0)) throw ValueError(message(op, ": scale must be positive, got ", scale));
  for (const Interval& range : {ranges.degrees, ranges.scale, ranges.shear_x, ranges.shear_y,
                                Interval{ranges.translate[0], ranges.translate[1]}, Interval{ranges.center[0], ranges.center[1]}})
    if (!std::isfinite(range.first) || !std::isfinite(range.second))
      throw ValueError(message(op, ": a parameter is not a finite number"));
  const bool random = varies(ranges.degrees) || varies(ranges.scale) || varies(ranges.shear_x) || varies(ranges.shear_y) ||
                      (ranges.fractions && (ranges.translate[0] != 0 || ranges.translate[1] != 0));
  return image_step(random, [=](ImageProgram& program) {
    WarpRanges w = ranges;
    ImageExtents out = program.size;
    if (out.plane() >= INT32_MAX) throw ValueError(message(op, ": the image is too large"));
    if (w.expand) {
      if (random) {  // the size depends on the angle
        if (!program.random) throw ValueError(message(op, ": with expand the size of the result is random"));
        cuda::refuse_in_capture(op);
        const double degrees = ImageDraws(program.random->seed, program.random->calls, 0).uniform(w.degrees);
        w.degrees = {degrees, degrees};
      }
      out = expanded(w, program.size);
    }
    // Tensors of bytes go by way of floats, and are rounded.
    const DType filled = program.type == DType::uint8 && !w.pillow ? DType::float32 : program.type;
    ImageOp& record = program.add(ImageOp::Kind::warp, out, program.type);
    record.warp = w;
    record.bilinear = filter == Filter::bilinear;
    record.has_fill = fill.has_value();
    program.add_values(op, fill.value_or(Fill{}), filled);
  });
}

WarpRanges warp_ranges(const AffineRanges& r, bool pillow) {
  const Point2 center = r.center.value_or(Point2{});
  const bool rotation = false, expand = false;
  return {interval(r.degrees),
          interval(r.scale),
          interval(r.shear_x),
          interval(r.shear_y),
          {r.translate.first, r.translate.second},
          {center.first, center.second},
          r.fractions,
          r.center.has_value(),
          rotation,
          expand,
          pillow};
}

}  // namespace

ImageStepPtr rotation_step(const Range& degrees, Filter filter, bool expand, const std::optional<Point2>& center,
                           const std::optional<Fill>& fill, bool pillow) {
  AffineRanges ranges;
  ranges.degrees = degrees;
  ranges.center = center;
  WarpRanges w = warp_ranges(ranges, pillow);
  w.rotation = true;
  w.expand = expand;
  return warp_step("rotate", w, filter, fill);
}

ImageStepPtr affine_step(const AffineRanges& ranges, Filter filter, const std::optional<Fill>& fill, bool pillow) {
  return warp_step("affine", warp_ranges(ranges, pillow), filter, fill);
}

}  // namespace cnnx
