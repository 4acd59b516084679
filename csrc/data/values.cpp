// Transforms that change values: grey, erased rectangles, normalising; and steps that are done now and then.
#include <algorithm>
#include <cmath>

#include "data/step.h"

namespace cnnx {
namespace {

class GrayscaleStep : public StepOf<GrayscaleStep> {
 public:
  GrayscaleStep(int64_t channels, bool pillow) : channels_(channels), pillow_(pillow) {
    if (channels != 1 && channels != 3) throw ValueError(message("grayscale: output channels must be 1 or 3, got ", channels));
  }
  ImageSize output_size(const ImageSize& in) const override {
    if (in.channels != 1 && in.channels != 3)
      throw ValueError(message("grayscale: the image must have 1 or 3 channels, it has ", in.channels));
    return {channels_, in.height, in.width};
  }
  void compile(ImageProgram& program) const override {
    const ImageSize out = output_size(program.size);
    if (!(out == program.size && channels_ == 1)) program.add(ImageOp::Kind::grey, out).pillow = pillow_;
  }
  Transposed transposed(ImageSize& size, Draws&) const override {
    const bool mixes = size.channels == 3, sums = channels_ > 1;
    size = output_size(size);
    return [mixes, sums](const Tensor& grad_output) {
      const Tensor grey = sums ? summed_channels(grad_output) : grad_output;
      return mixes ? scaled_channels(grey, {0.2989, 0.587, 0.114}) : grey;
    };
  }

  template <class T>
  bool run(const Pixels<T>& in, PixelBuffer<T>& out, Draws&) const {
    const ImageSize size = output_size(in.size);
    if (size == in.size && channels_ == 1) return false;
    out.reset(size);
    const int64_t pixels = size.height * size.width, step = in.size.channels == 3 ? pixels : 0;
    for (int64_t i = 0; i < pixels; ++i) {
      const T red = in.data[i], green = in.data[step + i], blue = in.data[2 * step + i];
      T grey = red;
      if (step > 0) grey = mixed(red, green, blue);
      for (int64_t c = 0; c < channels_; ++c) out.data[static_cast<size_t>(c * pixels + i)] = grey;
    }
    return true;
  }

 private:
  template <class T>
  T mixed(T red, T green, T blue) const {
    if constexpr (std::is_same_v<T, uint8_t>)
      if (pillow_) return grey_pillow(red, green, blue);
    using F = std::conditional_t<std::is_same_v<T, double>, double, float>;
    return static_cast<T>(grey_tensor<F>(red, green, blue));
  }
  int64_t channels_;
  bool pillow_;
};

class EraseStep : public StepOf<EraseStep> {
 public:
  EraseStep(double p, const Range& scale, const Range& ratio, const Fill& value)
      : ranges_{p, {scale.first, scale.second}, {std::log(ratio.first), std::log(ratio.second)}}, value_(value) {
    if (!(p >= 0 && p <= 1)) throw ValueError(message("erase: p ", p, " is not between 0 and 1"));
    if (!(scale.first >= 0 && scale.second <= 1)) throw ValueError("erase: scale must lie between 0 and 1");
    if (!(ratio.first > 0 && ratio.second > 0)) throw ValueError("erase: ratio must be positive");
  }
  bool random() const override { return true; }
  ImageSize output_size(const ImageSize& in) const override {
    check_fill("erase", value_, in);
    return in;
  }
  void compile(ImageProgram& program) const override {
    program.add(ImageOp::Kind::erase, output_size(program.size)).erase = ranges_;
    program.add_fill(value_);
  }
  Transposed transposed(ImageSize& size, Draws& draws) const override {
    return [r = drawn_rectangle(ranges_, size.height, size.width, draws)](const Tensor& grad_output) {
      return r.height > 0 && r.width > 0 ? erased(grad_output, r.top, r.left, r.height, r.width) : grad_output;
    };
  }

  template <class T>
  bool run(const Pixels<T>& in, PixelBuffer<T>& out, Draws& draws) const {
    check_fill("erase", value_, in.size);
    const Rectangle r = drawn_rectangle(ranges_, in.size.height, in.size.width, draws);
    if (r.height < 0) return false;
    out.reset(in.size);
    std::copy(in.data, in.data + in.size.numel(), out.data.data());
    for (int64_t c = 0; c < in.size.channels; ++c)
      for (int64_t y = r.top; y < r.top + r.height; ++y)
        std::fill_n(out.plane(c) + y * in.size.width + r.left, r.width, fill_value<T>(value_, c));
    return true;
  }

 private:
  EraseRanges ranges_;
  Fill value_;
};

class NormalizeStep : public StepOf<NormalizeStep> {
 public:
  NormalizeStep(const std::vector<double>& mean, const std::vector<double>& stddev) : mean_(mean), stddev_(stddev) {
    if (mean.empty() || stddev.empty()) throw ValueError("normalize: mean and std must not be empty");
    for (double value : stddev)
      if (static_cast<float>(value) == 0.0f) throw ValueError("normalize: std must not be zero");
  }
  ImageSize output_size(const ImageSize& in) const override {
    check_fill("normalize", mean_, in);
    check_fill("normalize", stddev_, in);
    return in;
  }
  void compile(ImageProgram& program) const override {
    if (program.type == PixelType::bytes) throw TypeError("normalize: needs a floating-point image, got uint8");
    program.add(ImageOp::Kind::normalise, output_size(program.size));
    program.add_fill(mean_);
    program.add_fill(stddev_);
  }
  Transposed transposed(ImageSize&, Draws&) const override {
    std::vector<double> factors;
    for (double value : stddev_) factors.push_back(1.0 / value);
    return [factors](const Tensor& grad_output) { return scaled_channels(grad_output, factors); };
  }

  template <class T>
  bool run(const Pixels<T>& in, PixelBuffer<T>& out, Draws&) const {
    if constexpr (std::is_same_v<T, uint8_t>) throw TypeError("normalize: needs a floating-point image, got uint8");
    out.reset(output_size(in.size));
    const int64_t pixels = in.size.height * in.size.width;
    for (int64_t c = 0; c < in.size.channels; ++c) {
      const T mean = fill_value<T>(mean_, c), stddev = fill_value<T>(stddev_, c);
      for (int64_t i = 0; i < pixels; ++i) out.plane(c)[i] = (in.plane(c)[i] - mean) / stddev;
    }
    return true;
  }

 private:
  std::vector<double> mean_, stddev_;
};

class SometimesStep : public StepOf<SometimesStep> {
 public:
  SometimesStep(std::vector<ImageStepPtr> steps, double p) : steps_(std::move(steps)), p_(p) {}
  bool random() const override { return true; }
  ImageSize output_size(const ImageSize& in) const override {
    ImageSize size = in;
    for (const ImageStepPtr& step : steps_) size = step->output_size(size);
    if (!(size == in)) throw ValueError("random_apply: steps that change the size give images of different sizes");
    return size;
  }
  void compile(ImageProgram& program) const override {
    program.add(ImageOp::Kind::sometimes, output_size(program.size)).p = p_;
    const size_t at = program.ops.size();
    for (const ImageStepPtr& step : steps_) step->compile(program);
    program.ops[at - 1].span = static_cast<int32_t>(program.ops.size() - at);
  }
  Transposed transposed(ImageSize& size, Draws& draws) const override {
    if (p_ < draws.uniform()) return [](const Tensor& grad_output) { return grad_output; };
    std::vector<Transposed> chain;
    for (const ImageStepPtr& step : steps_) chain.push_back(step->transposed(size, draws));
    return [chain = std::move(chain)](Tensor grad) {
      for (auto step = chain.rbegin(); step != chain.rend(); ++step) grad = (*step)(grad);
      return grad;
    };
  }

  template <class T>
  bool run(const Pixels<T>& in, PixelBuffer<T>& out, Draws& draws) const {
    if (p_ < draws.uniform()) return false;
    PixelBuffer<T> buffers[2];
    const Pixels<T> result = run_steps(steps_, in, buffers, draws);
    out.reset(result.size);
    std::copy(result.data, result.data + result.size.numel(), out.data.data());
    return true;
  }

 private:
  std::vector<ImageStepPtr> steps_;
  double p_;
};

}  // namespace

ImageStepPtr grayscale_step(int64_t output_channels, bool pillow) {
  return std::make_shared<GrayscaleStep>(output_channels, pillow);
}

ImageStepPtr erase_step(double p, const Range& scale, const Range& ratio, const Fill& value) {
  return std::make_shared<EraseStep>(p, scale, ratio, value);
}

ImageStepPtr normalize_step(const std::vector<double>& mean, const std::vector<double>& stddev) {
  return std::make_shared<NormalizeStep>(mean, stddev);
}

ImageStepPtr sometimes_step(std::vector<ImageStepPtr> steps, double p) {
  return std::make_shared<SometimesStep>(std::move(steps), p);
}

}  // namespace cnnx
