// Transforms that change values: grey, erased rectangles, normalising; and steps that are done now and then.
#include <cmath>

#include "data/step.h"

namespace cnnx {

ImageStepPtr grayscale_step(int64_t channels, bool pillow) {
  if (channels != 1 && channels != 3) throw ValueError(message("grayscale: output channels must be 1 or 3, got ", channels));
  return image_step(false, [=](ImageProgram& program) {
    const ImageExtents in = program.size;
    if (in.channels != 1 && in.channels != 3)
      throw ValueError(message("grayscale: the image must have 1 or 3 channels, it has ", in.channels));
    if (in.channels > 1 || channels > 1)
      program.add(ImageOp::Kind::grey, {channels, in.height, in.width}, program.type).pillow = pillow;
  });
}

ImageStepPtr erase_step(double p, const Range& scale, const Range& ratio, const Fill& value) {
  if (!(p >= 0 && p <= 1)) throw ValueError(message("erase: p ", p, " is not between 0 and 1"));
  if (!(scale.first >= 0 && scale.second <= 1)) throw ValueError("erase: scale must lie between 0 and 1");
  if (!(ratio.first > 0 && ratio.second > 0)) throw ValueError("erase: ratio must be positive");
  const EraseRanges ranges{p, {scale.first, scale.second}, {std::log(ratio.first), std::log(ratio.second)}};
  return image_step(true, [=](ImageProgram& program) {
    program.add(ImageOp::Kind::erase).erase = ranges;
    program.add_values("erase", value);
  });
}

ImageStepPtr normalize_step(const std::vector<double>& mean, const std::vector<double>& stddev) {
  if (mean.empty() || stddev.empty()) throw ValueError("normalize: mean and std must not be empty");
  for (double value : stddev)
    if (static_cast<float>(value) == 0.0f) throw ValueError("normalize: std must not be zero");
  return image_step(false, [=](ImageProgram& program) {
    if (program.type == DType::uint8) throw TypeError("normalize: needs a floating-point image, got uint8");
    program.add(ImageOp::Kind::normalise);
    program.add_values("normalize", mean);
    program.add_values("normalize", stddev);
  });
}

ImageStepPtr sometimes_step(std::vector<ImageStepPtr> steps, double p) {
  return image_step(true, [=, steps = std::move(steps)](ImageProgram& program) {
    const ImageExtents size = program.size;
    program.add(ImageOp::Kind::sometimes).p = p;
    const size_t at = program.ops.size();
    for (const ImageStepPtr& step : steps) step->compile(program);
    if (!(program.size == size)) throw ValueError("random_apply: steps that change the size give images of different sizes");
    program.ops[at - 1].span = static_cast<int32_t>(program.ops.size() - at);
  });
}

}  // namespace cnnx
