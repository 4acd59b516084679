// Rotations and affine maps: parameters, then the matrix from output to input pixels, then the kernel. The matrix follows the
// arithmetic of torchvision's and Pillow's Python; sines and cosines are those of kernels/elementary.h, the same on every device.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "cnnx/ops/view.h"
#include "data/step.h"
#include "kernels/table.h"

namespace cnnx {
namespace {

using Matrix = std::array<double, 6>;

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

// Which pixel each pixel of the result is: what the kernel makes of an image of its own positions.
Entries nearest_entries(const WarpShape& shape, const Matrix& matrix) {
  WarpShape plane = shape;
  plane.channels = 1;
  std::vector<double> positions(static_cast<size_t>(shape.in_height * shape.in_width));
  std::iota(positions.begin(), positions.end(), 0.0);
  std::vector<double> found(static_cast<size_t>(shape.out_height * shape.out_width));
  const double outside = -1;
  kernels<double>().warp(kHost, plane, matrix.data(), &outside, positions.data(), found.data());
  Entries entries;
  for (size_t i = 0; i < found.size(); ++i)
    if (found[i] >= 0) entries.add(static_cast<int64_t>(i), static_cast<int64_t>(found[i]));
  return entries;
}

// The weights of bilinear_pillow and bilinear_tensor.
Entries bilinear_entries(const WarpShape& s, const Matrix& matrix, bool has_fill) {
  Entries entries;
  for (int64_t y = 0; y < s.out_height; ++y)
    for (int64_t x = 0; x < s.out_width; ++x) {
      const SourcePoint p = source_point(s, matrix.data(), x, y);
      const bool pillow = s.rules == WarpRules::pillow;
      if (pillow && !(within(p.x, s.in_width) && within(p.y, s.in_height))) continue;
      const double left = std::floor(p.x - 0.5), top = std::floor(p.y - 0.5), dx = p.x - 0.5 - left, dy = p.y - 0.5 - top;
      double weights[4], inside = 0;
      for (int k = 0; k < 4; ++k) {
        const bool there = pillow || (within(left + k % 2, s.in_width) && within(top + k / 2, s.in_height));
        weights[k] = there ? (k % 2 == 0 ? 1 - dx : dx) * (k / 2 == 0 ? 1 - dy : dy) : 0;
        inside += weights[k];
      }
      for (int k = 0; k < 4; ++k) {
        if (weights[k] == 0) continue;
        const int64_t column = clamped(static_cast<int64_t>(left) + k % 2, s.in_width);
        const int64_t line = clamped(static_cast<int64_t>(top) + k / 2, s.in_height);
        entries.add(y * s.out_width + x, line * s.in_width + column, !pillow && has_fill ? weights[k] * inside : weights[k]);
      }
    }
  return entries;
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
    Draws none(0, 0, 0);
    return map(in, none).second;
  }
  void compile(ImageProgram& program) const override {
    const ImageSize out = output_size(program.size);
    if (expand_ && pillow_) throw NotImplementedError(message(op_, ": with expand by Pillow's rules there is no CUDA kernel"));
    ImageOp& op = program.add(ImageOp::Kind::warp, out);
    op.warp = warp_ranges();
    op.bilinear = bilinear_;
    op.has_fill = fill_.has_value();
    // Tensors of bytes go by way of floats, and are rounded.
    program.add_fill(fill_.value_or(Fill{}), program.type == PixelType::bytes && !pillow_ ? PixelType::floats : program.type);
  }

  Transposed transposed(ImageSize& size, Draws& draws) const override {
    const ImageSize in = size;
    const auto [matrix, result] = map(in, draws);
    const WarpShape shape = warp_shape(in, result);
    size = result;
    return [in, shape, matrix = matrix, has_fill = fill_.has_value()](const Tensor& grad_output) {
      const Tensor flat = reshape(grad_output, {in.channels, shape.out_height * shape.out_width});
      const Entries entries = shape.bilinear ? bilinear_entries(shape, matrix, has_fill) : nearest_entries(shape, matrix);
      return reshape(transposed_along(flat, 1, in.height * in.width, entries), {in.channels, in.height, in.width});
    };
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
    kernel(kHost, warp_shape(in.size, size), matrix.data(), fill_ ? fill : nullptr, in.data, out.data.data());
    return true;
  }

  WarpShape warp_shape(const ImageSize& in, const ImageSize& out) const {
    const WarpRules rules = pillow_ ? WarpRules::pillow : WarpRules::tensor;
    return {in.channels, in.height, in.width, out.height, out.width, rules, bilinear_};
  }

  WarpRanges warp_ranges() const {
    const auto interval = [](const Range& r) { return Interval{r.first, r.second}; };
    const Point2 center = ranges_.center.value_or(Point2{});
    return {interval(ranges_.degrees),
            interval(ranges_.scale),
            interval(ranges_.shear_x),
            interval(ranges_.shear_y),
            {ranges_.translate.first, ranges_.translate.second},
            {center.first, center.second},
            ranges_.fractions,
            ranges_.center.has_value(),
            rotation_,
            pillow_};
  }

  std::pair<Matrix, ImageSize> map(const ImageSize& in, Draws& draws) const {
    Matrix m;
    const double degrees = drawn_matrix(warp_ranges(), in.height, in.width, draws, m.data());
    if (!expand_) return {m, in};
    const double w = static_cast<double>(in.width), h = static_cast<double>(in.height);
    if (!pillow_) {
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
    const Corners box = corners(m, 0, 0, w, h);
    double width = std::ceil(box.high_x) - std::floor(box.low_x), height = std::ceil(box.high_y) - std::floor(box.low_y);
    const double turned = pillow_degrees(degrees);
    if (!ranges_.center && (turned == 90.0 || turned == 270.0)) {  // Pillow transposes; half pixels would make it larger
      width = h;
      height = w;
    }
    move_before(m.data(), -(width - w) / 2.0, -(height - h) / 2.0);
    return {m, {in.channels, static_cast<int64_t>(height), static_cast<int64_t>(width)}};
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
