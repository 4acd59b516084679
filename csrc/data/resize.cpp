// Resizing. Columns first, then rows, each a weighted sum over a few input pixels. With antialias the filter is stretched to
// cover all pixels that fall on an output pixel, as Pillow always does; bytes are summed in 22-bit fixed point, as Pillow does.
#include <algorithm>
#include <cmath>

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

// Output position i sums weights[i * taps + k] * input[first[i] + k] for k < count[i].
struct Weights {
  int64_t taps = 0;
  std::vector<int64_t> first, count;
  std::vector<double> weights;
};

Weights antialiased(int64_t in, int64_t out, Filter filter) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), stretch = std::max(scale, 1.0);
  const double support = (filter == Filter::bicubic ? 2.0 : 1.0) * stretch, per_pixel = 1.0 / stretch;
  Weights w;
  w.taps = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  w.weights.resize(static_cast<size_t>(out * w.taps));
  for (int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const int64_t count = std::min(in, static_cast<int64_t>(center + support + 0.5)) - first;
    double *k = w.weights.data() + i * w.taps, total = 0;
    for (int64_t j = 0; j < count; ++j) {
      const double x = (static_cast<double>(j + first) - center + 0.5) * per_pixel;
      k[j] = filter == Filter::bicubic ? cubic(x, -0.5) : triangle(x);
      total += k[j];
    }
    for (int64_t j = 0; j < count && total != 0.0; ++j) k[j] /= total;
    w.first.push_back(first);
    w.count.push_back(count);
  }
  return w;
}

// F.interpolate without align_corners: the two or four neighbours, those outside repeat the rim.
Weights interpolated(int64_t in, int64_t out, Filter filter) {
  const bool bicubic = filter == Filter::bicubic;
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  Weights w;
  w.taps = bicubic ? 4 : 2;
  w.weights.resize(static_cast<size_t>(out * w.taps));
  for (int64_t i = 0; i < out; ++i) {
    double at = (static_cast<double>(i) + 0.5) * scale - 0.5;
    if (!bicubic) at = std::max(at, 0.0);
    const int64_t base = static_cast<int64_t>(std::floor(at)) - (bicubic ? 1 : 0);
    const int64_t first = std::clamp<int64_t>(base, 0, in - 1);
    const int64_t count = std::clamp<int64_t>(base + w.taps - 1, 0, in - 1) - first + 1;
    for (int64_t j = base; j < base + w.taps; ++j) {
      const double x = at - static_cast<double>(j);
      w.weights[static_cast<size_t>(i * w.taps + std::clamp<int64_t>(j, 0, in - 1) - first)] +=
          bicubic ? cubic(x, -0.75) : triangle(x);
    }
    w.first.push_back(first);
    w.count.push_back(count);
  }
  return w;
}

// out[i * out_step] for one line of pixels that are in_step apart.
struct ByteSum {
  std::vector<int32_t> weights;
  explicit ByteSum(const Weights& w) {
    for (double k : w.weights) weights.push_back(static_cast<int32_t>(k * (1 << kFixedBits) + (k < 0 ? -0.5 : 0.5)));
  }
  uint8_t operator()(const uint8_t* in, int64_t step, int64_t at, int64_t count) const {
    return sum_bytes(in, step, weights.data() + at, count);
  }
};
template <class T>
struct FloatSum {
  const std::vector<double>& weights;
  explicit FloatSum(const Weights& w) : weights(w.weights) {}
  T operator()(const T* in, int64_t step, int64_t at, int64_t count) const {
    return static_cast<T>(sum_values(in, step, weights.data() + at, count));
  }
};
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, uint8_t>, ByteSum, FloatSum<T>>;

// (outer, in, inner) -> (outer, out, inner) along the middle extent.
template <class T>
void resample(const Weights& w, int64_t outer, int64_t in, int64_t inner, const T* from, T* to) {
  const Sum<T> sum(w);
  const int64_t out = static_cast<int64_t>(w.first.size());
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < out; ++i)
      for (int64_t k = 0; k < inner; ++k)
        to[(o * out + i) * inner + k] = sum(from + (o * in + w.first[static_cast<size_t>(i)]) * inner + k, inner, i * w.taps,
                                            w.count[static_cast<size_t>(i)]);
}

class ResizeStep : public StepOf<ResizeStep> {
 public:
  ResizeStep(int64_t height, int64_t width, int64_t max_size, Filter filter, bool antialias, bool pillow)
      : height_(height), width_(width), max_size_(max_size), filter_(filter), antialias_(antialias || pillow), pillow_(pillow) {
    if (width <= 0 || height < 0 || max_size < 0)
      throw ValueError(message("resize: the size must be positive, got (", height, ", ", width, ")"));
    if (max_size > 0 && height == 0 && max_size <= width)
      throw ValueError(message("resize: max_size ", max_size, " must be larger than the size ", width, " of the shorter edge"));
  }

  ImageSize output_size(const ImageSize& in) const override {
    if (in.height == 0 || in.width == 0) throw ValueError("resize: the image has no pixels");
    if (height_ > 0) return {in.channels, height_, width_};
    const double shorter = static_cast<double>(std::min(in.height, in.width)),
                 longer = static_cast<double>(std::max(in.height, in.width));
    int64_t small = width_, large = static_cast<int64_t>(static_cast<double>(width_) * longer / shorter);
    if (max_size_ > 0 && large > max_size_) {
      small = static_cast<int64_t>(static_cast<double>(max_size_ * small) / static_cast<double>(large));
      large = max_size_;
    }
    small = std::max<int64_t>(small, 1);
    return in.width <= in.height ? ImageSize{in.channels, large, small} : ImageSize{in.channels, small, large};
  }

  void compile(ImageProgram& program) const override {
    const ImageSize in = program.size, out = output_size(in);
    if (out == in) return;
    if (filter_ == Filter::nearest) {
      program.add(ImageOp::Kind::pick, out);
      for (const auto& places : {nearest(in.height, out.height), nearest(in.width, out.width)})
        program.table.insert(program.table.end(), places.begin(), places.end());
      return;
    }
    // Tensors of bytes are rounded once, at the end.
    const PixelType type = program.type, middle = type == PixelType::bytes && !pillow_ ? PixelType::floats : type;
    const bool both = out.width != in.width && out.height != in.height;
    if (out.width != in.width) add_resample(program, true, in.width, {in.channels, in.height, out.width}, both ? middle : type);
    if (out.height != in.height) add_resample(program, false, in.height, out, type);
  }

  Transposed transposed(ImageSize& size, Draws&) const override {
    const ImageSize in = size;
    size = output_size(in);
    return [in, rows = entries(in.height, size.height), columns = entries(in.width, size.width)](const Tensor& grad_output) {
      return transposed_along(transposed_along(grad_output, 2, in.width, columns), 1, in.height, rows);
    };
  }

  template <class T>
  bool run(const Pixels<T>& in, PixelBuffer<T>& out, Draws&) const {
    const ImageSize size = output_size(in.size);
    if (size == in.size) return false;
    out.reset(size);
    if (filter_ == Filter::nearest) {
      const std::vector<int64_t> rows = nearest(in.size.height, size.height), columns = nearest(in.size.width, size.width);
      T* to = out.data.data();
      for (int64_t c = 0; c < size.channels; ++c)
        for (int64_t row : rows) {
          const T* line = in.plane(c) + row * in.size.width;
          for (int64_t column : columns) *to++ = line[column];
        }
      return true;
    }
    if constexpr (std::is_same_v<T, uint8_t>)
      if (!pillow_) return by_floats(in, out);
    const T* from = in.data;
    std::vector<T> wide;
    if (size.width != in.size.width) {
      T* to = out.data.data();
      if (size.height != in.size.height) {
        wide.resize(static_cast<size_t>(size.channels * in.size.height * size.width));
        to = wide.data();
      }
      resample(weights(in.size.width, size.width), size.channels * in.size.height, in.size.width, 1, from, to);
      from = to;
    }
    if (size.height != in.size.height)
      resample(weights(in.size.height, size.height), size.channels, in.size.height, size.width, from, out.data.data());
    return true;
  }

 private:
  // Tensors of bytes are rounded once, at the end.
  bool by_floats(const Pixels<uint8_t>& in, PixelBuffer<uint8_t>& out) const {
    const std::vector<float> values(in.data, in.data + in.size.numel());
    PixelBuffer<float> result;
    Draws none(0, 0, 0);
    run(Pixels<float>{in.size, values.data()}, result, none);
    for (size_t i = 0; i < static_cast<size_t>(result.size.numel()); ++i)
      out.data[i] = static_cast<uint8_t>(std::clamp(std::nearbyint(result.data[i]), 0.0f, 255.0f));
    return true;
  }

  void add_resample(ImageProgram& program, bool columns, int64_t in, const ImageSize& out, PixelType type) const {
    const Weights w = weights(in, columns ? out.width : out.height);
    const bool as_bytes = program.type == PixelType::bytes && pillow_;
    ImageOp& op = program.add(ImageOp::Kind::resample, out, type);
    op.horizontal = columns;
    op.pillow = pillow_;
    op.taps = static_cast<int32_t>(w.taps);
    const ByteSum fixed(w);
    for (size_t i = 0; i < w.first.size(); ++i) {
      program.table.push_back(static_cast<double>(w.first[i]));
      program.table.push_back(static_cast<double>(w.count[i]));
      for (size_t k = i * static_cast<size_t>(w.taps); k < (i + 1) * static_cast<size_t>(w.taps); ++k)
        program.table.push_back(as_bytes ? fixed.weights[k] : w.weights[k]);
    }
  }

  // An axis of its own extent stays as it is.
  Entries entries(int64_t in, int64_t out) const {
    Entries result;
    if (in == out || filter_ == Filter::nearest) {
      const std::vector<int64_t> places = nearest(in, out);
      for (size_t i = 0; i < places.size(); ++i) result.add(static_cast<int64_t>(i), places[i]);
      return result;
    }
    const Weights w = weights(in, out);
    for (size_t i = 0; i < w.first.size(); ++i)
      for (int64_t k = 0; k < w.count[i]; ++k)
        result.add(static_cast<int64_t>(i), w.first[i] + k, w.weights[i * static_cast<size_t>(w.taps) + static_cast<size_t>(k)]);
    return result;
  }

  Weights weights(int64_t in, int64_t out) const {
    return antialias_ ? antialiased(in, out, filter_) : interpolated(in, out, filter_);
  }

  // Pillow takes the pixel under each center, F.interpolate the one under each upper left corner.
  std::vector<int64_t> nearest(int64_t in, int64_t out) const {
    std::vector<int64_t> at;
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    double center = scale * 0.5;
    for (int64_t i = 0; i < out; ++i, center += scale) {
      const float corner = static_cast<float>(i) * (static_cast<float>(in) / static_cast<float>(out));
      at.push_back(std::min(in - 1, static_cast<int64_t>(pillow_ ? center : static_cast<double>(corner))));
    }
    return at;
  }

  int64_t height_, width_, max_size_;
  Filter filter_;
  bool antialias_, pillow_;
};

}  // namespace

ImageStepPtr resize_step(int64_t height, int64_t width, int64_t max_size, Filter filter, bool antialias, bool pillow) {
  return std::make_shared<ResizeStep>(height, width, max_size, filter, antialias, pillow);
}

}  // namespace cnnx
