#include "onnx/resize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/linear.h"
#include "cnnx/ops/resample.h"
#include "cnnx/ops/view.h"
#include "onnx/indices.h"

namespace cnnx::onnx {
namespace {

// Where position i of the result lies in the input.
double coordinate(const ResizeAxis& a, const std::string& rule, int64_t i) {
  const double x = static_cast<double>(i), n = static_cast<double>(a.in), scaled = n * a.scale;
  if (rule == "asymmetric") return x / a.scale;
  if (rule == "align_corners") return scaled <= 1 || a.out == 1 ? 0 : x * (n - 1) / (scaled - 1);
  if (rule == "tf_crop_and_resize")
    return a.out > 1 ? a.begin * (n - 1) + x * (a.end - a.begin) * (n - 1) / static_cast<double>(a.out - 1)
                     : 0.5 * (a.begin + a.end) * (n - 1);
  if (rule == "pytorch_half_pixel" && a.out <= 1) return -0.5;
  const double centre = (x + 0.5) / a.scale - 0.5;
  if (rule == "half_pixel_symmetric") return centre + n / 2 * (1 - static_cast<double>(a.out) / scaled);
  return centre;
}

int64_t nearest(double x, const std::string& rule) {
  if (rule == "floor") return static_cast<int64_t>(std::floor(x));
  if (rule == "ceil") return static_cast<int64_t>(std::ceil(x));
  const bool up = rule == "round_prefer_ceil";
  return static_cast<int64_t>(up ? std::floor(x + 0.5) : std::ceil(x - 0.5));
}

double weight_at(double distance, const ResizeRule& rule) {
  const double d = std::abs(distance), a = rule.cubic;
  if (rule.mode == "linear") return std::max(0.0, 1 - d);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((d - 5) * d + 8) * d * a - 4 * a : 0;
}

// Row i: what of the input makes element i of the result.
Tensor weight_matrix(const ResizeAxis& a, const ResizeRule& rule, DType dtype) {
  const Tensor result = Tensor::zeros({a.out, a.in}, {DType::float64});
  const double shrink = rule.antialias ? std::min(a.scale, 1.0) : 1;
  const double reach = (rule.mode == "linear" ? 1 : 2) / shrink;
  for (int64_t i = 0; i < a.out; ++i) {
    double* row = result.pointer<double>() + i * a.in;
    const double x = coordinate(a, rule.coordinates, i);
    double sum = 0;
    for (auto j = static_cast<int64_t>(std::floor(x - reach)); static_cast<double>(j) <= x + reach; ++j) {
      if (rule.exclude_outside && (j < 0 || j >= a.in)) continue;
      const double w = weight_at((static_cast<double>(j) - x) * shrink, rule);
      row[std::clamp<int64_t>(j, 0, a.in - 1)] += w;
      sum += w;
    }
    for (int64_t j = 0; sum != 0 && j < a.in; ++j) row[j] /= sum;
  }
  return to(result, dtype);
}

Tensor along(NodeRun& run, const Tensor& x, const ResizeAxis& a, const ResizeRule& rule) {
  if (rule.mode == "nearest") {
    return taken(x, a.axis, run.once([&] {
      const Tensor places = Tensor::empty({a.out}, {DType::int64});
      for (int64_t i = 0; i < a.out; ++i)
        places.pointer<int64_t>()[i] =
            std::clamp<int64_t>(nearest(coordinate(a, rule.coordinates, i), rule.rounding), 0, a.in - 1);
      return places;
    }));
  }
  const Tensor matrix = run.once([&] { return weight_matrix(a, rule, x.dtype()); });
  return transpose(matmul(transpose(x, a.axis, -1), transpose(matrix, 0, 1)), a.axis, -1);
}

// The library's own resizing of images, where the rule is one that it has.
std::optional<Tensor> as_images(const Tensor& x, const std::vector<ResizeAxis>& axes, const ResizeRule& rule) {
  if (!is_floating_point(x.dtype()) || x.ndim() < 3 || x.ndim() > 4) return {};
  ResampleOptions options{.antialias = rule.antialias};
  const bool is_half = rule.coordinates == "half_pixel" || rule.coordinates == "pytorch_half_pixel";
  if (rule.mode == "nearest") {
    if (rule.coordinates == "asymmetric" && rule.rounding == "floor") options.mode = ResampleMode::nearest;
    else if (is_half && rule.rounding == "round_prefer_ceil") options.mode = ResampleMode::nearest_exact;
    else return {};
  } else {
    options.align_corners = rule.coordinates == "align_corners";
    options.mode = rule.mode == "linear" ? ResampleMode::linear : ResampleMode::cubic;
    if ((!is_half && !options.align_corners) || rule.exclude_outside != rule.antialias) return {};
    if (rule.mode == "cubic" && rule.cubic != (rule.antialias ? -0.5 : -0.75)) return {};
  }
  std::vector<int64_t> size(x.shape().begin() + 2, x.shape().end());
  std::vector<double> factors(size.size(), 1);
  bool is_scaled = false;
  for (const ResizeAxis& a : axes) {
    if (a.axis < 2 || (rule.coordinates == "pytorch_half_pixel" && a.out <= 1)) return {};
    size[static_cast<size_t>(a.axis - 2)] = a.out;
    factors[static_cast<size_t>(a.axis - 2)] = a.scale;
    is_scaled = is_scaled || a.is_scaled;
    const bool is_whole = a.scale * static_cast<double>(a.in) == static_cast<double>(a.out);
    if (options.align_corners && !is_whole && a.is_scaled) return {};
  }
  if (is_scaled && !options.align_corners) options.factors = factors;
  return resample(x, size, options);
}

// float64 as integers, those out of range as the next that there is: a cubic's curve goes beyond its points.
Tensor rounded(const Tensor& x, DType dtype) {
  double low = 0, high = 1;
  dispatch(dtype, [&]<class T>(T) {
    low = static_cast<double>(std::numeric_limits<T>::min());
    high = static_cast<double>(std::numeric_limits<T>::max());
  });
  if (dtype == DType::int64) high = std::nextafter(high, 0);  // 2^63 is none of them
  return to(clamp(round(x), low, high), dtype);
}

}  // namespace

Tensor resize(NodeRun& run, const Tensor& x, const std::vector<ResizeAxis>& axes, const ResizeRule& rule) {
  if (auto found = as_images(x, axes, rule)) return *found;
  const bool is_real = is_floating_point(x.dtype());
  Tensor y = is_real || rule.mode == "nearest" ? x : to(x, DType::float64);
  for (const ResizeAxis& a : axes) y = along(run, y, a, rule);
  if (rule.coordinates == "tf_crop_and_resize") {
    for (const ResizeAxis& a : axes) {
      const Tensor outside = run.once([&] {
        const Tensor result = Tensor::empty({a.out}, {DType::boolean});
        for (int64_t i = 0; i < a.out; ++i) {
          const double at = coordinate(a, rule.coordinates, i);
          result.pointer<bool>()[i] = at < 0 || at > static_cast<double>(a.in - 1);
        }
        return result;
      });
      Dims shape = Dims::filled(y.ndim(), 1);
      shape[a.axis] = a.out;
      y = where(reshape(outside, shape), rule.extrapolation, y);
    }
  }
  return is_real || rule.mode == "nearest" ? to(y, x.dtype()) : rounded(y, x.dtype());
}

}  // namespace cnnx::onnx
