// Transforms of images, one by one and in batches: flips, crops, padding, affine maps, resizing, erasing. Uint8 images follow
// Pillow's arithmetic to the bit (WarpRules and Filter below say where tensors differ). A single image of floats carries a
// gradient; batches record no history.
//
// Random parameters are drawn per image from a Philox stream keyed by (seed, call, key): in a batch the call belongs to the pass
// over the data and the key to the image, so neither threads, nor batch size, nor order change what an image gets.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/data/gather.h"
#include "cnnx/data/padding.h"
#include "cnnx/random.h"

namespace cnnx CNNX_API {

// One transform with its parameters or their ranges. Immutable, so that threads can share it.
struct ImageStep;
using ImageStepPtr = std::shared_ptr<const ImageStep>;

using Range = std::pair<double, double>;
using Point2 = std::pair<double, double>;  // x, y
enum class Filter { nearest, bilinear, bicubic };
struct Borders {
  int64_t left = 0, top = 0, right = 0, bottom = 0;
};
// A value per channel, or one for all.
using Fill = std::vector<double>;

ImageStepPtr flip_step(bool horizontal, double p);
ImageStepPtr pad_step(const Borders& borders, const Fill& fill, Padding mode);
ImageStepPtr crop_step(int64_t top, int64_t left, int64_t height, int64_t width);  // zeros outside the image
ImageStepPtr center_crop_step(int64_t height, int64_t width);
ImageStepPtr random_crop_step(int64_t height, int64_t width, const Borders& borders, bool pad_if_needed, const Fill& fill,
                              Padding mode);

// The parameters of a rotation or an affine map, each drawn from its range; degrees as torchvision counts them: rotations
// counter-clockwise, affine maps clockwise. `center` is counted from the top left corner; by default it is the image's.
struct AffineRanges {
  Range degrees{0, 0};
  Point2 translate{0, 0};  // drawn from -t to t in pixels, as fractions of width and height if `fractions`
  bool fractions = false;  // fractions are drawn and rounded to pixels; else (x, y) pixels are taken as they are
  Range scale{1, 1}, shear_x{0, 0}, shear_y{0, 0};
  std::optional<Point2> center;
};
// `pillow`: the rules for PIL images, else those for tensors. No fill: zeros.
ImageStepPtr rotation_step(const Range& degrees, Filter filter, bool expand, const std::optional<Point2>& center,
                           const std::optional<Fill>& fill, bool pillow);
ImageStepPtr affine_step(const AffineRanges& ranges, Filter filter, const std::optional<Fill>& fill, bool pillow);

// height 0: `width` is wanted for the shorter edge, and at most `max_size` (0: no limit) for the longer one.
ImageStepPtr resize_step(int64_t height, int64_t width, int64_t max_size, Filter filter, bool antialias, bool pillow);

ImageStepPtr grayscale_step(int64_t output_channels, bool pillow);
ImageStepPtr erase_step(double p, const Range& scale, const Range& ratio, const Fill& value);
ImageStepPtr normalize_step(const std::vector<double>& mean, const std::vector<double>& stddev);
// The steps with probability p, else none.
ImageStepPtr sometimes_step(std::vector<ImageStepPtr> steps, double p);

bool is_random(const ImageStep& step);

// One image (C, H, W), uint8, float32 or float64. `random` is asked for only if the step is random.
Tensor transform_image(const Tensor& image, const ImageStep& step, const RandomState& random);

// A transform as the kernels read it.
struct CompiledTransform;

// What becomes of an image of the data set: steps on bytes, then floats as in gather_images, then steps on floats.
struct BatchTransform {
  std::vector<ImageStepPtr> bytes;
  PixelScale scale;
  std::vector<ImageStepPtr> floats;
  // For images of the size and the device that were last seen.
  mutable std::shared_ptr<const CompiledTransform> compiled = nullptr;
};

// Images source[index[start + i]] for i < count, transformed, as float32 (count, C, H, W); see gather_images. keys (int64, as
// long as index) gives each position its key. Where `source` is on a device all is done there, without a wait if index and keys
// are there too, and with the CPU's results to the bit.
Tensor transform_images(const Tensor& source, const Tensor& index, int64_t start, int64_t count, const BatchTransform& transform,
                        const RandomState& random, const Tensor& keys);

}  // namespace cnnx CNNX_API
