// Rotations and affine maps: parameters, then the matrix from output to input pixels, then the kernel. Compiled code of this file
// follows the arithmetic of torchvision's and Pillow's Python, so that matrices are theirs to the bit.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/step.h"
#include "kernels/table.h"

namespace cnnx {
namespace {

using Matrix = std::array<double, 6>;

double radians(double degrees) { return degrees * (std::numbers::pi / 180.0); }

// To 15 decimals, correctly rounded, as Python's round(value, 15).
double round15(double value) {
  const double product = value * 1e15, error = std::fma(value, 1e15, -product);
  double whole = std::nearbyint(product);
  const double rest = (product - whole) + error;
  if (rest > 0.5) whole += 1;
  else if (rest < -0.5) whole -= 1;
  return whole / 1e15;
}

void move(Matrix& m, double x, double y) {
  const double u = m[0] * x + m[1] * y + m[2], v = m[3] * x + m[4] * y + m[5];
  m[2] = u;
  m[5] = v;
}

struct Corners {
  double low_x, high_x, low_y, high_y;
};
Corners corners(const Matrix& m, double left, double top, double right, double bottom) {
  Corners box{HUGE_VAL, -HUGE_VAL, HUGE_VAL, -HUGE_VAL};
  for (double x : {left, right})
    for (double y : {top, bottom}) {
      const double u = m[0] * x + m[1] * y + m[2], v = m[3] * x + m[4] * y + m[5];
      box = {std::min(box.low_x, u), std::max(box.high_x, u), std::min(box.low_y, v), std::max(box.high_y, v)};
    }
  return box;
}

// torchvision's inverse matrix of translation, rotation (clockwise), scale and shear about a center.
Matrix inverse_affine(Point2 center, double degrees, Point2 translate, double scale, double shear_x, double shear_y) {
  const double rot = radians(degrees), sx = radians(shear_x), sy = radians(shear_y);
  const double a = std::cos(rot - sy) / std::cos(sy);
  const double b = -std::cos(rot - sy) * std::tan(sx) / std::cos(sy) - std::sin(rot);
  const double c = std::sin(rot - sy) / std::cos(sy);
  const double d = -std::sin(rot - sy) * std::tan(sx) / std::cos(sy) + std::cos(rot);
  Matrix m{d / scale, -b / scale, 0.0, -c / scale, a / scale, 0.0};
  m[2] += m[0] * (-center.first - translate.first) + m[1] * (-center.second - translate.second);
  m[5] += m[3] * (-center.first - translate.first) + m[4] * (-center.second - translate.second);
  m[2] += center.first;
  m[5] += center.second;
  return m;
}

class WarpStep : public ImageStep {
 public:
  WarpStep(const char* op, const AffineRanges& ranges, bool rotation, Filter filter, bool expand, const std::optional<Fill>& fill,
           bool pillow)
      : op_(op),
        ranges_(ranges),
        rotation_(rotation),
        bilinear_(filter == Filter::bilinear),
        expand_(expand),
        fill_(fill),
        pillow_(pillow) {
    if (filter == Filter::bicubic) throw ValueError(message(op, ": interpolation must be nearest or bilinear, got bicubic"));
    for (double scale : {ranges.scale.first, ranges.scale.second})
      if (!(scale > 0)) throw ValueError(message(op, ": scale must be positive, got ", scale));
    for (double value :
         {ranges.degrees.first, ranges.degrees.second, ranges.translate.first, ranges.translate.second, ranges.scale.first,
          ranges.scale.second, ranges.shear_x.first, ranges.shear_x.second, ranges.shear_y.first, ranges.shear_y.second,
          ranges.center ? ranges.center->first : 0, ranges.center ? ranges.center->second : 0})
      if (!std::isfinite(value)) throw ValueError(message(op, ": a parameter is not a finite number"));
  }

  bool random() const override {
    auto varies = [](const Range& r) { return r.first != r.second; };
    return varies(ranges_.degrees) || varies(ranges_.scale) || varies(ranges_.shear_x) || varies(ranges_.shear_y) ||
           (ranges_.fractions && (ranges_.translate.first != 0 || ranges_.translate.second != 0));
  }

  ImageSize output_size(const ImageSize& in) const override {
    check(in);
    if (!expand_) return in;
    if (random()) throw ValueError(message(op_, ": with expand the size of the result is random"));
    Draws none({}, 0);
    return map(in, none).second;
  }

  bool apply(const Pixels<uint8_t>& in, PixelBuffer<uint8_t>& out, Draws& draws) const override {
    if (pillow_) return warp(in, out, draws, kernels<float>().warp_u8);
    // Tensors of bytes go by way of floats, and are rounded.
    const std::vector<float> values(in.data, in.data + in.size.numel());
    PixelBuffer<float> result;
    warp(Pixels<float>{in.size, values.data()}, result, draws, kernels<float>().warp);
    out.reset(result.size);
    for (int64_t i = 0; i < out.size.numel(); ++i)
      out.data[static_cast<size_t>(i)] =
          static_cast<uint8_t>(std::clamp(std::nearbyint(result.data[static_cast<size_t>(i)]), 0.0f, 255.0f));
    return true;
  }
  bool apply(const Pixels<float>& in, PixelBuffer<float>& out, Draws& draws) const override {
    return warp(in, out, draws, kernels<float>().warp);
  }
  bool apply(const Pixels<double>& in, PixelBuffer<double>& out, Draws& draws) const override {
    return warp(in, out, draws, kernels<double>().warp);
  }

 private:
  void check(const ImageSize& in) const {
    if (fill_) check_fill(op_, *fill_, in);
    if (in.height * in.width >= INT32_MAX) throw ValueError(message(op_, ": the image is too large"));
  }

  template <class T, class Kernel>
  bool warp(const Pixels<T>& in, PixelBuffer<T>& out, Draws& draws, Kernel kernel) const {
    check(in.size);
    const auto [matrix, size] = map(in.size, draws);
    T few[4];
    std::vector<T> many;
    T* fill = few;
    if (in.size.channels > 4) {
      many.resize(static_cast<size_t>(in.size.channels));
      fill = many.data();
    }
    for (int64_t c = 0; c < in.size.channels; ++c) fill[c] = fill_ ? fill_value<T>(*fill_, c) : T(0);
    out.reset(size);
    const WarpShape shape{in.size.channels, in.size.height, in.size.width,
                          size.height,      size.width,     pillow_ ? WarpRules::pillow : WarpRules::tensor,
                          bilinear_};
    kernel(shape, matrix.data(), fill_ ? fill : nullptr, in.data, out.data.data());
    return true;
  }

  std::pair<Matrix, ImageSize> map(const ImageSize& in, Draws& draws) const {
    const double w = static_cast<double>(in.width), h = static_cast<double>(in.height);
    const double degrees = draws.uniform(ranges_.degrees);
    // Counted from the top left corner for Pillow, from the image's center for tensors.
    Point2 center = pillow_ ? Point2{w * 0.5, h * 0.5} : Point2{0, 0};
    if (ranges_.center)
      center = pillow_ ? *ranges_.center : Point2{ranges_.center->first - w * 0.5, ranges_.center->second - h * 0.5};
    if (rotation_) return pillow_ ? pillow_rotation(in, degrees, center) : tensor_rotation(in, degrees, center);
    Point2 translate = ranges_.translate;
    if (ranges_.fractions) {
      const double x = translate.first * w, y = translate.second * h;
      translate = {std::nearbyint(draws.uniform({-x, x})), std::nearbyint(draws.uniform({-y, y}))};
    }
    const double scale = draws.uniform(ranges_.scale), shear_x = draws.uniform(ranges_.shear_x);
    return {inverse_affine(center, degrees, translate, scale, shear_x, draws.uniform(ranges_.shear_y)), in};
  }

  // Image.rotate.
  std::pair<Matrix, ImageSize> pillow_rotation(const ImageSize& in, double degrees, Point2 center) const {
    double turned = std::fmod(degrees, 360.0);
    if (turned < 0) turned += 360.0;
    const double angle = -radians(turned), cosine = round15(std::cos(angle)), sine = round15(std::sin(angle));
    Matrix m{cosine, sine, 0.0, -sine, cosine, 0.0};
    move(m, -center.first, -center.second);
    m[2] += center.first;
    m[5] += center.second;
    if (!expand_) return {m, in};
    const double w = static_cast<double>(in.width), h = static_cast<double>(in.height);
    const Corners box = corners(m, 0, 0, w, h);
    double width = std::ceil(box.high_x) - std::floor(box.low_x), height = std::ceil(box.high_y) - std::floor(box.low_y);
    if (!ranges_.center && (turned == 90.0 || turned == 270.0)) {  // Pillow transposes; half pixels would make it larger
      width = h;
      height = w;
    }
    move(m, -(width - w) / 2.0, -(height - h) / 2.0);
    return {m, {in.channels, static_cast<int64_t>(height), static_cast<int64_t>(width)}};
  }

  std::pair<Matrix, ImageSize> tensor_rotation(const ImageSize& in, double degrees, Point2 center) const {
    const Matrix m = inverse_affine(center, -degrees, {0, 0}, 1.0, 0.0, 0.0);
    if (!expand_) return {m, in};
    const double w = static_cast<double>(in.width), h = static_cast<double>(in.height);
    const Corners box = corners(m, -0.5 * w, -0.5 * h, 0.5 * w, 0.5 * h);
    // Cut to four decimals, so that a rounding error does not cost a pixel.
    auto extent = [](double low, double high, double size) {
      auto cut = [](double v) {
        return static_cast<double>(static_cast<float>(std::trunc(static_cast<float>(v) / 1e-4f) * 1e-4f));
      };
      return static_cast<int64_t>(std::ceil(cut(high + 0.5 * size)) - std::floor(cut(low + 0.5 * size)));
    };
    return {m, {in.channels, extent(box.low_y, box.high_y, h), extent(box.low_x, box.high_x, w)}};
  }

  const char* op_;
  AffineRanges ranges_;
  bool rotation_, bilinear_, expand_;
  std::optional<Fill> fill_;
  bool pillow_;
};

}  // namespace

ImageStepPtr rotation_step(const Range& degrees, Filter filter, bool expand, const std::optional<Point2>& center,
                           const std::optional<Fill>& fill, bool pillow) {
  AffineRanges ranges;
  ranges.degrees = degrees;
  ranges.center = center;
  return std::make_shared<WarpStep>("rotate", ranges, true, filter, expand, fill, pillow);
}

ImageStepPtr affine_step(const AffineRanges& ranges, Filter filter, const std::optional<Fill>& fill, bool pillow) {
  return std::make_shared<WarpStep>("affine", ranges, false, filter, false, fill, pillow);
}

}  // namespace cnnx
