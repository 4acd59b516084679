// Transforms of images. A step is an opaque object; Python's transforms make one with their parameters and hand it back in.
#include "cnnx/data/transform.h"

#include <algorithm>

#include "bindings.h"

namespace cnnx::bindings {
namespace {

Filter filter_named(const std::string& name) {
  if (name == "nearest") return Filter::nearest;
  if (name == "bilinear") return Filter::bilinear;
  if (name == "bicubic") return Filter::bicubic;
  throw ValueError(message("interpolation must be nearest, bilinear or bicubic, got '", name, "'"));
}

Padding padding_named(const std::string& name) {
  if (name == "constant") return Padding::constant;
  if (name == "edge") return Padding::edge;
  if (name == "reflect") return Padding::reflect;
  if (name == "symmetric") return Padding::symmetric;
  throw ValueError(message("padding_mode must be constant, edge, reflect or symmetric, got '", name, "'"));
}

Borders borders(const std::array<int64_t, 4>& values) { return {values[0], values[1], values[2], values[3]}; }

// pybind11 wants complete types and holders without const.
struct Step {
  ImageStepPtr step;
};
std::vector<ImageStepPtr> unwrapped(const std::vector<Step>& steps) {
  std::vector<ImageStepPtr> result;
  for (const Step& held : steps) result.push_back(held.step);
  return result;
}

}  // namespace

void register_transform(py::module_& m) {
  py::class_<Step>(m, "ImageStep").def_property_readonly("random", [](const Step& held) { return is_random(*held.step); });
  using Steps = std::vector<Step>;
  m.def(
      "flip_step", [](bool horizontal, double p) { return Step{flip_step(horizontal, p)}; }, py::arg("horizontal"), py::arg("p"));
  m.def(
      "pad_step",
      [](const std::array<int64_t, 4>& ltrb, const Fill& fill, const std::string& mode) {
        return Step{pad_step(borders(ltrb), fill, padding_named(mode))};
      },
      py::arg("borders"), py::arg("fill"), py::arg("padding_mode"));
  m.def(
      "crop_step",
      [](int64_t top, int64_t left, int64_t height, int64_t width) { return Step{crop_step(top, left, height, width)}; },
      py::arg("top"), py::arg("left"), py::arg("height"), py::arg("width"));
  m.def(
      "center_crop_step", [](int64_t height, int64_t width) { return Step{center_crop_step(height, width)}; }, py::arg("height"),
      py::arg("width"));
  m.def(
      "random_crop_step",
      [](int64_t height, int64_t width, const std::array<int64_t, 4>& ltrb, bool pad_if_needed, const Fill& fill,
         const std::string& mode) {
        return Step{random_crop_step(height, width, borders(ltrb), pad_if_needed, fill, padding_named(mode))};
      },
      py::arg("height"), py::arg("width"), py::arg("borders"), py::arg("pad_if_needed"), py::arg("fill"),
      py::arg("padding_mode"));
  m.def(
      "rotation_step",
      [](const Range& degrees, const std::string& interpolation, bool expand, const std::optional<Point2>& center,
         const std::optional<Fill>& fill,
         bool pillow) { return Step{rotation_step(degrees, filter_named(interpolation), expand, center, fill, pillow)}; },
      py::arg("degrees"), py::arg("interpolation"), py::arg("expand"), py::arg("center"), py::arg("fill"), py::arg("pillow"));
  m.def(
      "affine_step",
      [](const Range& degrees, const Point2& translate, bool fractions, const Range& scale, const Range& shear_x,
         const Range& shear_y, const std::string& interpolation, const std::optional<Point2>& center,
         const std::optional<Fill>& fill, bool pillow) {
        const AffineRanges ranges{degrees, translate, fractions, scale, shear_x, shear_y, center};
        return Step{affine_step(ranges, filter_named(interpolation), fill, pillow)};
      },
      py::arg("degrees"), py::arg("translate"), py::arg("fractions"), py::arg("scale"), py::arg("shear_x"), py::arg("shear_y"),
      py::arg("interpolation"), py::arg("center"), py::arg("fill"), py::arg("pillow"));
  m.def(
      "resize_step",
      [](int64_t height, int64_t width, int64_t max_size, const std::string& interpolation, bool antialias, bool pillow) {
        return Step{resize_step(height, width, max_size, filter_named(interpolation), antialias, pillow)};
      },
      py::arg("height"), py::arg("width"), py::arg("max_size"), py::arg("interpolation"), py::arg("antialias"),
      py::arg("pillow"));
  m.def(
      "grayscale_step", [](int64_t channels, bool pillow) { return Step{grayscale_step(channels, pillow)}; },
      py::arg("output_channels"), py::arg("pillow"));
  m.def(
      "erase_step",
      [](double p, const Range& scale, const Range& ratio, const Fill& value) {
        return Step{erase_step(p, scale, ratio, value)};
      },
      py::arg("p"), py::arg("scale"), py::arg("ratio"), py::arg("value"));
  m.def(
      "normalize_step",
      [](const std::vector<double>& mean, const std::vector<double>& std) { return Step{normalize_step(mean, std)}; },
      py::arg("mean"), py::arg("std"));
  m.def(
      "sometimes_step", [](const Steps& steps, double p) { return Step{sometimes_step(unwrapped(steps), p)}; }, py::arg("steps"),
      py::arg("p"));
  m.def(
      "transform_image",
      [](const Tensor& image, const Step& held, std::optional<std::pair<uint64_t, uint64_t>> random) {
        RandomState state;
        if (random) state = {random->first, random->second};
        else if (is_random(*held.step)) state = next_random_call();
        return transform_image(image, *held.step, state);
      },
      ReleaseGil(), given("image"), py::arg("step"), py::arg("random") = std::nullopt);

  py::class_<BatchTransform>(m, "BatchTransform")
      .def(py::init(
               [](const Steps& bytes, double divisor, std::vector<double> mean, std::vector<double> std, const Steps& floats) {
                 PixelScale scale{divisor, std::move(mean), std::move(std)};
                 return BatchTransform{unwrapped(bytes), std::move(scale), unwrapped(floats)};
               }),
           py::arg("bytes"), py::arg("divisor"), py::arg("mean"), py::arg("std"), py::arg("floats"))
      .def_property_readonly("random", [](const BatchTransform& t) {
        auto random = [](const ImageStepPtr& step) { return is_random(*step); };
        return std::any_of(t.bytes.begin(), t.bytes.end(), random) || std::any_of(t.floats.begin(), t.floats.end(), random);
      });
  m.def(
      "transform_images",
      [](const Tensor& source, const Tensor& index, int64_t start, int64_t count, const BatchTransform& transform,
         std::pair<uint64_t, uint64_t> random, const Tensor& keys) {
        return transform_images(source, index, start, count, transform, {random.first, random.second}, keys);
      },
      ReleaseGil(), given("source"), given("index"), py::arg("start"), py::arg("count"), py::arg("transform"), py::arg("random"),
      given("keys"));
}

}  // namespace cnnx::bindings
