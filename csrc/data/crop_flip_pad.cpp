// Transforms that only move pixels: flips, padding and crops.
#include <algorithm>
#include <cmath>

#include "data/step.h"

namespace cnnx {
namespace {

// Padding and crops: the output's origin in the padded image, whose pixels follow from the borders and the mode.
struct Window {
  enum class Kind { pad, crop, center, random };
  const char* op;
  Kind kind;
  Borders borders;
  int64_t height, width;
  Fill fill;
  Padding mode;
  bool pad_if_needed = false;

  // One axis; `padded` becomes the extent that a window is drawn from.
  WindowAxis axis(int64_t extent, int64_t before, int64_t after, int64_t wanted, int64_t& padded) const {
    const int64_t first = before;  // of a window that is given
    if (kind == Kind::crop || kind == Kind::center) before = after = 0;
    const int64_t inner = checked_sum(checked_sum(extent, before), after);
    // What torchvision adds on both sides: as much as is missing on one.
    const int64_t extra = kind == Kind::random && pad_if_needed && inner < wanted ? wanted - inner : 0;
    padded = inner + 2 * extra;
    WindowAxis result{extent, before, inner, extra, 0, 1};
    if (kind == Kind::crop) result.offset = first;
    if (kind == Kind::center) {
      // Half of what is left over, a half rounded to even; a smaller image gets the smaller half of the padding before it.
      if (extent < wanted) result.offset = -((wanted - extent) / 2);
      else result.offset = static_cast<int64_t>(std::nearbyint(static_cast<double>(extent - wanted) / 2.0));
    }
    if (kind == Kind::random) result.choices = padded - wanted + 1;
    return result;
  }
  void check_reflection(const WindowAxis& axis) const {
    const int64_t after = axis.inner - axis.extent - axis.before;
    if (std::max(axis.before, after) >= axis.extent)
      throw ValueError(
          message(op, ": reflect pads less than the extent ", axis.extent, ", asked for ", axis.before, " and ", after));
    if (axis.extra >= axis.inner)
      throw ValueError(message(op, ": reflect pads less than the extent ", axis.inner, ", needed are ", axis.extra));
  }

  void operator()(ImageProgram& program) const {
    const ImageExtents in = program.size;
    ImageExtents padded = in;
    const WindowAxis rows = axis(in.height, borders.top, borders.bottom, height, padded.height);
    const WindowAxis columns = axis(in.width, borders.left, borders.right, width, padded.width);
    if (rows.inner <= 0 || columns.inner <= 0)
      throw ValueError(message(op, ": nothing is left of the image of (", in.height, ", ", in.width, ")"));
    if (kind == Kind::random && (padded.height < height || padded.width < width))
      throw ValueError(message(op, ": the crop of (", height, ", ", width, ") is larger than the image of (", padded.height, ", ",
                               padded.width, ")"));
    if (mode == Padding::reflect)
      for (const WindowAxis* axis : {&rows, &columns}) check_reflection(*axis);
    const ImageExtents out = kind == Kind::pad ? padded : ImageExtents{in.channels, height, width};
    ImageOp& record = program.add(ImageOp::Kind::window, out, program.type);
    record.mode = mode;
    record.rows = rows;
    record.columns = columns;
    program.add_values(op, fill);
  }
};

ImageStepPtr window_step(const Window& window) {
  if (window.kind != Window::Kind::pad && (window.height <= 0 || window.width <= 0))
    throw ValueError(message(window.op, ": the size must be positive, got (", window.height, ", ", window.width, ")"));
  return image_step(window.kind == Window::Kind::random, window);
}

}  // namespace

ImageStepPtr flip_step(bool horizontal, double p) {
  if (!(p >= 0 && p <= 1)) throw ValueError(message("flip: p ", p, " is not between 0 and 1"));
  return image_step(p > 0 && p < 1, [=](ImageProgram& program) {
    ImageOp& record = program.add(ImageOp::Kind::flip);
    record.p = p;
    record.horizontal = horizontal;
  });
}

ImageStepPtr pad_step(const Borders& borders, const Fill& fill, Padding mode) {
  return window_step({"pad", Window::Kind::pad, borders, 0, 0, fill, mode});
}

ImageStepPtr crop_step(int64_t top, int64_t left, int64_t height, int64_t width) {
  return window_step({"crop", Window::Kind::crop, {left, top, 0, 0}, height, width, {}, Padding::constant});
}

ImageStepPtr center_crop_step(int64_t height, int64_t width) {
  return window_step({"center_crop", Window::Kind::center, {}, height, width, {}, Padding::constant});
}

ImageStepPtr random_crop_step(int64_t height, int64_t width, const Borders& borders, bool pad_if_needed, const Fill& fill,
                              Padding mode) {
  return window_step({"random_crop", Window::Kind::random, borders, height, width, fill, mode, pad_if_needed});
}

}  // namespace cnnx
