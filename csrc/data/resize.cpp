// Resizing. Columns first, then rows, each a weighted sum over a few input pixels. With antialias the filter is stretched to
// cover all pixels that fall on an output pixel, as Pillow always does; bytes are summed in 22-bit fixed point, as Pillow does.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/step.h"

namespace cnnx {
namespace {

double triangle(double x) { return std::max(0.0, 1.0 - std::fabs(x)); }

double cubic(double x, double a) {
  x = std::fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

// Output position i sums weights[i * taps + k] * input[at[i].first + k] for k < at[i].count.
struct Weights {
  int64_t taps;
  std::vector<Taps> at;
  std::vector<double> weights;
  Weights(int64_t most, int64_t out) : taps(most), at(static_cast<size_t>(out)), weights(static_cast<size_t>(out * most)) {}
  // The weights of position i, `count` input pixels from `first` on.
  double* set(int64_t i, int64_t first, int64_t count) {
    at[static_cast<size_t>(i)] = {static_cast<int32_t>(first), static_cast<int32_t>(count)};
    return weights.data() + i * taps;
  }
};

Weights antialiased(int64_t in, int64_t out, Filter filter) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), stretch = std::max(scale, 1.0);
  const double support = (filter == Filter::bicubic ? 2.0 : 1.0) * stretch, per_pixel = 1.0 / stretch;
  Weights w(static_cast<int64_t>(std::ceil(support)) * 2 + 1, out);
  for (int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const int64_t count = std::min(in, static_cast<int64_t>(center + support + 0.5)) - first;
    double *k = w.set(i, first, count), total = 0;
    for (int64_t j = 0; j < count; ++j) {
      const double x = (static_cast<double>(j + first) - center + 0.5) * per_pixel;
      k[j] = filter == Filter::bicubic ? cubic(x, -0.5) : triangle(x);
      total += k[j];
    }
    for (int64_t j = 0; j < count && total != 0.0; ++j) k[j] /= total;
  }
  return w;
}

// F.interpolate without align_corners: the two or four neighbours, those outside repeat the rim.
Weights interpolated(int64_t in, int64_t out, Filter filter) {
  const bool bicubic = filter == Filter::bicubic;
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  Weights w(bicubic ? 4 : 2, out);
  for (int64_t i = 0; i < out; ++i) {
    double at = (static_cast<double>(i) + 0.5) * scale - 0.5;
    if (!bicubic) at = std::max(at, 0.0);
    const int64_t base = static_cast<int64_t>(std::floor(at)) - (bicubic ? 1 : 0);
    const int64_t first = std::clamp<int64_t>(base, 0, in - 1);
    const int64_t count = std::clamp<int64_t>(base + w.taps - 1, 0, in - 1) - first + 1;
    double* k = w.set(i, first, count);
    for (int64_t j = base; j < base + w.taps; ++j) {
      const double x = at - static_cast<double>(j);
      k[std::clamp<int64_t>(j, 0, in - 1) - first] += bicubic ? cubic(x, -0.75) : triangle(x);
    }
  }
  return w;
}

struct Resize {
  int64_t height, width, max_size;
  Filter filter;
  bool antialias, pillow;

  ImageExtents output_size(const ImageExtents& in) const {
    if (height > 0) return {in.channels, height, width};
    const double shorter = static_cast<double>(std::min(in.height, in.width)),
                 longer = static_cast<double>(std::max(in.height, in.width));
    int64_t small = width, large = static_cast<int64_t>(static_cast<double>(width) * longer / shorter);
    if (max_size > 0 && large > max_size) {
      small = static_cast<int64_t>(static_cast<double>(max_size * small) / static_cast<double>(large));
      large = max_size;
    }
    small = std::max<int64_t>(small, 1);
    return in.width <= in.height ? ImageExtents{in.channels, large, small} : ImageExtents{in.channels, small, large};
  }

  // Pillow takes the pixel under each center, F.interpolate the one under each upper left corner.
  void add_nearest(std::vector<double>& table, int64_t in, int64_t out) const {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    double center = scale * 0.5;
    for (int64_t i = 0; i < out; ++i, center += scale) {
      const float corner = static_cast<float>(i) * (static_cast<float>(in) / static_cast<float>(out));
      const int64_t at = static_cast<int64_t>(pillow ? center : static_cast<double>(corner));
      table.push_back(static_cast<double>(std::min(in - 1, at)));
    }
  }

  // Along one axis, from the size and type so far.
  void add_resample(ImageProgram& program, bool columns, int64_t in, const ImageExtents& out, DType type) const {
    const int64_t extent = columns ? out.width : out.height;
    const Weights w = antialias ? antialiased(in, extent, filter) : interpolated(in, extent, filter);
    ImageOp& record = program.add(ImageOp::Kind::resample, out, type);
    record.horizontal = columns;
    record.fixed_point = record.in_type == DType::uint8 && pillow;
    std::vector<int32_t> fixed;
    for (double k : w.weights) fixed.push_back(static_cast<int32_t>(k * (1 << kFixedBits) + (k < 0 ? -0.5 : 0.5)));
    record.taps = static_cast<int32_t>(1 + (record.fixed_point ? (w.taps + 1) / 2 : w.taps));
    program.table.resize(program.table.size() + w.at.size() * static_cast<size_t>(record.taps));
    double* entry = program.table.data() + record.table;
    for (size_t i = 0, at = 0; i < w.at.size(); ++i, at += static_cast<size_t>(w.taps), entry += record.taps) {
      const size_t count = static_cast<size_t>(w.at[i].count);
      std::memcpy(entry, &w.at[i], sizeof(Taps));
      if (record.fixed_point) std::memcpy(entry + 1, &fixed[at], count * sizeof(int32_t));
      else std::memcpy(entry + 1, &w.weights[at], count * sizeof(double));
    }
  }

  void operator()(ImageProgram& program) const {
    const ImageExtents in = program.size, out = output_size(in);
    if (out == in) return;
    if (filter == Filter::nearest) {
      program.add(ImageOp::Kind::pick, out, program.type);
      add_nearest(program.table, in.height, out.height);
      add_nearest(program.table, in.width, out.width);
      return;
    }
    // Tensors of bytes are rounded once, at the end.
    const DType type = program.type, middle = type == DType::uint8 && !pillow ? DType::float32 : type;
    if (out.width != in.width)
      add_resample(program, true, in.width, {in.channels, in.height, out.width}, out.height != in.height ? middle : type);
    if (out.height != in.height) add_resample(program, false, in.height, out, type);
  }
};

}  // namespace

ImageStepPtr resize_step(int64_t height, int64_t width, int64_t max_size, Filter filter, bool antialias, bool pillow) {
  if (width <= 0 || height < 0 || max_size < 0)
    throw ValueError(message("resize: the size must be positive, got (", height, ", ", width, ")"));
  if (max_size > 0 && height == 0 && max_size <= width)
    throw ValueError(message("resize: max_size ", max_size, " must be larger than the size ", width, " of the shorter edge"));
  return image_step(false, Resize{height, width, max_size, filter, antialias || pillow, pillow});
}

}  // namespace cnnx
