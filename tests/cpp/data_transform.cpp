// Gradients of the transforms of images, against differences: every step is affine in the pixels, so these are exact.
#include "harness.h"

#include <cmath>
#include <random>

#include "cnnx/autograd.h"
#include "cnnx/data/transform.h"

namespace cnnx::test {
namespace {

Tensor random_doubles(const Dims& shape, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  Tensor t = Tensor::empty(shape, {DType::float64});
  for (int64_t i = 0; i < t.numel(); ++i) t.data<double>()[i] = normal(engine);
  return t;
}

double product(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.numel(); ++i) sum += a.data<double>()[i] * b.data<double>()[i];
  return sum;
}

void check_gradient(const char* name, const ImageStepPtr& step, int64_t channels = 3) {
  CAPTURE(name);
  const Dims shape{channels, 7, 9};
  for (uint64_t call = 0; call < 4; ++call) {
    const RandomState random{11, call};
    Tensor at = random_doubles(shape, 1), moved = random_doubles(shape, 2), direction = Tensor::empty(shape, {DType::float64});
    for (int64_t i = 0; i < at.numel(); ++i) direction.data<double>()[i] = moved.data<double>()[i] - at.data<double>()[i];
    at.set_requires_grad(true);
    const Tensor result = transform_image(at, *step, random), there = transform_image(moved, *step, random);
    REQUIRE(result.requires_grad());
    CHECK_FALSE(there.requires_grad());
    const Tensor upstream = random_doubles(result.shape(), 3);
    backward(result, upstream);
    const double change = product(upstream, there) - product(upstream, result.detach());
    CHECK(product(at.grad(), direction) == doctest::Approx(change).epsilon(1e-9));
  }
}

}  // namespace

TEST_CASE("transforms: gradients are those of differences, by the rules for tensors and by Pillow's") {
  for (bool pillow : {false, true}) {
    CAPTURE(pillow);
    for (Filter filter : {Filter::nearest, Filter::bilinear}) {
      check_gradient("rotate", rotation_step({-60, 60}, filter, false, {}, {}, pillow));
      check_gradient("rotate with a fill", rotation_step({-60, 60}, filter, true, Point2{2, 3}, Fill{1, 2, 3}, pillow));
      AffineRanges ranges;
      ranges.degrees = {-30, 30};
      ranges.translate = {0.2, 0.3};
      ranges.fractions = true;
      ranges.scale = {0.6, 1.5};
      ranges.shear_x = {-9, 9};
      check_gradient("affine", affine_step(ranges, filter, Fill{4}, pillow));
      AffineRanges turned;  // the coordinates of a map along the axes are counted in a way of their own
      turned.scale = {1.5, 1.5};
      check_gradient("scaled", affine_step(turned, filter, {}, pillow));
    }
    for (Filter filter : {Filter::nearest, Filter::bilinear, Filter::bicubic})
      for (bool antialias : {false, true}) {
        check_gradient("smaller", resize_step(3, 4, 0, filter, antialias, pillow));
        check_gradient("larger", resize_step(0, 15, 0, filter, antialias, pillow));
        check_gradient("one axis", resize_step(7, 20, 0, filter, antialias, pillow));
      }
    for (int64_t channels : {1, 3})
      for (int64_t output : {1, 3}) check_gradient("grey", grayscale_step(output, pillow), channels);
  }
}

TEST_CASE("transforms: gradients of what moves, erases and scales pixels") {
  for (bool horizontal : {false, true}) check_gradient("flip", flip_step(horizontal, 0.5));
  for (Padding mode : {Padding::constant, Padding::edge, Padding::reflect, Padding::symmetric}) {
    check_gradient("pad", pad_step({3, 2, 1, 4}, Fill{0.5}, mode));
    check_gradient("random_crop", random_crop_step(12, 8, {2, 1, 0, 1}, true, Fill{1, 2, 3}, mode));
  }
  check_gradient("crop", crop_step(-2, 3, 6, 9));
  check_gradient("center_crop", center_crop_step(4, 12));
  check_gradient("erase", erase_step(0.7, {0.1, 0.4}, {0.5, 2}, Fill{1, 2, 3}));
  check_gradient("normalize", normalize_step({1, 2, 3}, {0.5, 2, 4}));
  check_gradient("sometimes", sometimes_step({flip_step(true, 0.5), pad_step({1, 1, 1, 1}, {}, Padding::constant),
                                              rotation_step({-40, 40}, Filter::bilinear, false, {}, {}, false),
                                              random_crop_step(7, 9, {}, false, {}, Padding::constant)},
                                             0.8));
}

}  // namespace cnnx::test
