// Transforms that only move pixels: flips, padding and crops. Each is a pair of maps, from output rows to input rows and from
// output columns to input columns; -1 stands for the fill.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cnnx/ops/view.h"
#include "data/step.h"

namespace cnnx {

void check_fill(const char* op, const Fill& fill, const ImageSize& size) {
  if (fill.size() > 1 && static_cast<int64_t>(fill.size()) != size.channels)
    throw ValueError(message(op, ": fill has ", fill.size(), " values, the image has ", size.channels, " channels"));
}

namespace {

using Map = std::vector<int32_t>;

// Maps of this thread, kept because an image of 28 x 28 is done in less time than they take to allocate.
struct Maps {
  Map rows, columns;
};
Maps& thread_maps() {
  thread_local Maps maps;
  return maps;
}

template <class T>
void remap(const Pixels<T>& in, const Maps& maps, const Fill& fill, PixelBuffer<T>& out) {
  const int64_t height = static_cast<int64_t>(maps.rows.size()), width = static_cast<int64_t>(maps.columns.size());
  out.reset({in.size.channels, height, width});
  // Columns in the middle that follow each other, forwards or backwards, are copied as a run.
  int64_t first = 0, last = width;
  while (first < last && maps.columns[static_cast<size_t>(first)] < 0) ++first;
  while (last > first && maps.columns[static_cast<size_t>(last - 1)] < 0) --last;
  const int32_t* columns = maps.columns.data();
  bool forwards = true, backwards = true;
  for (int64_t x = first + 1; x < last; ++x) {
    forwards = forwards && columns[x] == columns[x - 1] + 1;
    backwards = backwards && columns[x] == columns[x - 1] - 1;
  }
  for (int64_t c = 0; c < in.size.channels; ++c) {
    const T* from = in.plane(c);
    T* to = out.plane(c);
    const T outside = fill_value<T>(fill, c);
    for (int64_t y = 0; y < height; ++y, to += width) {
      const int32_t row = maps.rows[static_cast<size_t>(y)];
      if (row < 0 || first == last) {
        std::fill(to, to + width, outside);
        continue;
      }
      const T* line = from + row * in.size.width;
      std::fill(to, to + first, outside);
      std::fill(to + last, to + width, outside);
      if (forwards) std::memcpy(to + first, line + columns[first], static_cast<size_t>(last - first) * sizeof(T));
      else if (backwards) std::reverse_copy(line + columns[last - 1], line + columns[first] + 1, to + first);
      else
        for (int64_t x = first; x < last; ++x) to[x] = columns[x] < 0 ? outside : line[columns[x]];
    }
  }
}

class FlipStep : public StepOf<FlipStep> {
 public:
  FlipStep(bool horizontal, double p) : horizontal_(horizontal), p_(p) {
    if (!(p >= 0 && p <= 1)) throw ValueError(message("flip: p ", p, " is not between 0 and 1"));
  }
  bool random() const override { return p_ > 0 && p_ < 1; }
  void compile(ImageProgram& program) const override {
    ImageOp& op = program.add(ImageOp::Kind::flip, program.size);
    op.p = p_;
    op.horizontal = horizontal_;
  }

  Transposed transposed(ImageSize&, Draws& draws) const override {
    return [flipped = drawn_flip(p_, draws), dim = horizontal_ ? 2 : 1](const Tensor& grad_output) {
      return flipped ? flip(grad_output, {dim}) : grad_output;
    };
  }

  template <class T>
  bool run(const Pixels<T>& in, PixelBuffer<T>& out, Draws& draws) const {
    if (!drawn_flip(p_, draws)) return false;
    out.reset(in.size);
    const int64_t width = in.size.width, height = in.size.height;
    for (int64_t c = 0; c < in.size.channels; ++c)
      for (int64_t y = 0; y < height; ++y) {
        const T* line = in.plane(c) + y * width;
        if (horizontal_) std::reverse_copy(line, line + width, out.plane(c) + y * width);
        else std::copy(line, line + width, out.plane(c) + (height - 1 - y) * width);
      }
    return true;
  }

 private:
  bool horizontal_;
  double p_;
};

// Padding and crops: the output's origin in the padded image, whose pixels follow from the borders and the mode.
class WindowStep : public StepOf<WindowStep> {
 public:
  enum class Kind { pad, crop, center, random };

  WindowStep(const char* op, Kind kind, const Borders& borders, int64_t height, int64_t width, const Fill& fill, Padding mode,
             bool pad_if_needed = false)
      : op_(op),
        kind_(kind),
        borders_(borders),
        height_(height),
        width_(width),
        fill_(fill),
        mode_(mode),
        pad_if_needed_(pad_if_needed) {
    if (kind != Kind::pad && (height <= 0 || width <= 0))
      throw ValueError(message(op, ": the size must be positive, got (", height, ", ", width, ")"));
  }

  bool random() const override { return kind_ == Kind::random; }

  ImageSize output_size(const ImageSize& in) const override {
    check_fill(op_, fill_, in);
    const ImageSize padded = padded_size(in);
    if (kind_ == Kind::pad) return padded;
    if (kind_ == Kind::random && (padded.height < height_ || padded.width < width_))
      throw ValueError(message(op_, ": the crop of (", height_, ", ", width_, ") is larger than the image of (", padded.height,
                               ", ", padded.width, ")"));
    return {in.channels, height_, width_};
  }

  void compile(ImageProgram& program) const override {
    const ImageSize in = program.size, out = output_size(in);
    ImageOp& op = program.add(ImageOp::Kind::window, out);
    op.mode = mode_;
    op.rows = rows(in);
    op.columns = columns(in);
    program.add_fill(fill_);
  }

  Transposed transposed(ImageSize& size, Draws& draws) const override {
    Maps maps;
    const ImageSize in = size;
    size = draw(in, draws, maps);
    return [in, maps](const Tensor& grad_output) {
      const Tensor tall = transposed_along(grad_output, 2, in.width, entries(maps.columns));
      return transposed_along(tall, 1, in.height, entries(maps.rows));
    };
  }

  template <class T>
  bool run(const Pixels<T>& in, PixelBuffer<T>& out, Draws& draws) const {
    out.reset(output_size(in.size));  // what is too large has no maps
    Maps& maps = thread_maps();
    draw(in.size, draws, maps);
    remap(in, maps, fill_, out);
    return true;
  }

 private:
  // Fills the maps, and returns the size of the result.
  ImageSize draw(const ImageSize& in, Draws& draws, Maps& maps) const {
    const ImageSize result = output_size(in);
    const WindowAxis vertical = rows(in), horizontal = columns(in);
    const bool drawn = vertical.choices > 1 || horizontal.choices > 1;
    const int64_t top = drawn ? draws.integer(vertical.choices) : vertical.offset;
    const int64_t left = drawn ? draws.integer(horizontal.choices) : horizontal.offset;
    fill_map(maps.rows, result.height, top, vertical);
    fill_map(maps.columns, result.width, left, horizontal);
    return result;
  }
  static Entries entries(const Map& map) {
    Entries result;
    for (size_t i = 0; i < map.size(); ++i)
      if (map[i] >= 0) result.add(static_cast<int64_t>(i), map[i]);
    return result;
  }
  // What torchvision adds on both sides: as much as is missing on one.
  int64_t missing(int64_t extent, int64_t wanted) const {
    return kind_ == Kind::random && pad_if_needed_ && extent < wanted ? wanted - extent : 0;
  }
  ImageSize padded_size(const ImageSize& in) const {
    if (kind_ != Kind::pad && kind_ != Kind::random) return in;
    ImageSize size{in.channels, checked_sum(checked_sum(in.height, borders_.top), borders_.bottom),
                   checked_sum(checked_sum(in.width, borders_.left), borders_.right)};
    if (size.height <= 0 || size.width <= 0)
      throw ValueError(message(op_, ": nothing is left of the image of (", in.height, ", ", in.width, ")"));
    size.height += 2 * missing(size.height, height_);
    size.width += 2 * missing(size.width, width_);
    return size;
  }
  // Half of what is left over, a half rounded to even; a smaller image gets the smaller half of the padding before it.
  static int64_t centered(int64_t extent, int64_t wanted) {
    if (extent < wanted) return -((wanted - extent) / 2);
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(extent - wanted) / 2.0));
  }
  WindowAxis rows(const ImageSize& in) const {
    return axis(in.height, borders_.top, borders_.bottom, height_, borders_.top, padded_size(in).height);
  }
  WindowAxis columns(const ImageSize& in) const {
    return axis(in.width, borders_.left, borders_.right, width_, borders_.left, padded_size(in).width);
  }
  // `first`: where a window begins that is given; `padded`: the extent that a window is drawn from.
  WindowAxis axis(int64_t extent, int64_t before, int64_t after, int64_t wanted, int64_t first, int64_t padded) const {
    const bool pads = kind_ == Kind::pad || kind_ == Kind::random;
    if (!pads) before = after = 0;
    if (mode_ == Padding::reflect && std::max(before, after) >= extent)
      throw ValueError(message(op_, ": reflect pads less than the extent ", extent, ", asked for ", before, " and ", after));
    const int64_t inner = extent + before + after, extra = missing(inner, wanted);
    if (mode_ == Padding::reflect && extra >= inner)
      throw ValueError(message(op_, ": reflect pads less than the extent ", inner, ", needed are ", extra));
    WindowAxis result{extent, before, inner, extra, 0, 1};
    if (kind_ == Kind::crop) result.offset = first;
    if (kind_ == Kind::center) result.offset = centered(extent, wanted);
    if (kind_ == Kind::random) result.choices = padded - wanted + 1;
    return result;
  }
  void fill_map(Map& map, int64_t count, int64_t from, const WindowAxis& axis) const {
    map.resize(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) map[static_cast<size_t>(i)] = static_cast<int32_t>(axis.position(i, from, mode_));
  }

  const char* op_;
  Kind kind_;
  Borders borders_;
  int64_t height_, width_;
  Fill fill_;
  Padding mode_;
  bool pad_if_needed_;
};

}  // namespace

ImageStepPtr flip_step(bool horizontal, double p) { return std::make_shared<FlipStep>(horizontal, p); }

ImageStepPtr pad_step(const Borders& borders, const Fill& fill, Padding mode) {
  return std::make_shared<WindowStep>("pad", WindowStep::Kind::pad, borders, 0, 0, fill, mode);
}

ImageStepPtr crop_step(int64_t top, int64_t left, int64_t height, int64_t width) {
  return std::make_shared<WindowStep>("crop", WindowStep::Kind::crop, Borders{left, top, 0, 0}, height, width, Fill{},
                                      Padding::constant);
}

ImageStepPtr center_crop_step(int64_t height, int64_t width) {
  return std::make_shared<WindowStep>("center_crop", WindowStep::Kind::center, Borders{}, height, width, Fill{},
                                      Padding::constant);
}

ImageStepPtr random_crop_step(int64_t height, int64_t width, const Borders& borders, bool pad_if_needed, const Fill& fill,
                              Padding mode) {
  return std::make_shared<WindowStep>("random_crop", WindowStep::Kind::random, borders, height, width, fill, mode, pad_if_needed);
}

}  // namespace cnnx
