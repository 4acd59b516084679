// What a transform is inside: a function of one image, for each element type, with a stream of random numbers.
#pragma once

#include <type_traits>
#include <vector>

#include "cnnx/data/transform.h"
#include "kernels/philox.h"

namespace cnnx {

// Random numbers of one image: words of the Philox counters (call, key * 256 ...).
class Draws {
 public:
  Draws(const RandomState& state, uint64_t key) : state_(state), counter_(key << 8) {}

  double uniform() {  // [0, 1), 32 bits
    if (used_ == 4) {
      philox4x32(state_.seed, state_.calls, counter_++, words_);
      used_ = 0;
    }
    return words_[used_++] * 0x1p-32;
  }
  double uniform(const Range& range) {
    return range.first == range.second ? range.first : range.first + (range.second - range.first) * uniform();
  }
  int64_t integer(int64_t count) { return static_cast<int64_t>(uniform() * static_cast<double>(count)); }  // 0 ... count - 1

 private:
  RandomState state_;
  uint64_t counter_;
  uint32_t words_[4];
  int used_ = 4;
};

template <class T>
struct Pixels {
  ImageSize size;
  const T* data;
  const T* plane(int64_t c) const { return data + c * size.height * size.width; }
};

// Room for an image that is used again and again.
template <class T>
struct PixelBuffer {
  ImageSize size{};
  std::vector<T> data;
  void reset(const ImageSize& wanted) {
    size = wanted;
    if (data.size() < static_cast<size_t>(wanted.numel())) data.resize(static_cast<size_t>(wanted.numel()));
  }
  T* plane(int64_t c) { return data.data() + c * size.height * size.width; }
};

class ImageStep {
 public:
  virtual ~ImageStep() = default;
  virtual bool random() const { return false; }
  // Of the result; throws where the image does not suit the step, or where the size is drawn too.
  virtual ImageSize output_size(const ImageSize& in) const { return in; }
  // Writes the result to `out` and returns true, or returns false if the image stays as it is.
  virtual bool apply(const Pixels<uint8_t>& in, PixelBuffer<uint8_t>& out, Draws& draws) const = 0;
  virtual bool apply(const Pixels<float>& in, PixelBuffer<float>& out, Draws& draws) const = 0;
  virtual bool apply(const Pixels<double>& in, PixelBuffer<double>& out, Draws& draws) const = 0;
};

// The three element types by one template `run` of the derived class.
template <class Derived>
class StepOf : public ImageStep {
 public:
  bool apply(const Pixels<uint8_t>& in, PixelBuffer<uint8_t>& out, Draws& draws) const override {
    return self().run(in, out, draws);
  }
  bool apply(const Pixels<float>& in, PixelBuffer<float>& out, Draws& draws) const override { return self().run(in, out, draws); }
  bool apply(const Pixels<double>& in, PixelBuffer<double>& out, Draws& draws) const override {
    return self().run(in, out, draws);
  }

 private:
  const Derived& self() const { return static_cast<const Derived&>(*this); }
};

// The value for channel c; bytes without the fraction and limited to their range, as Pillow does it.
template <class T>
T fill_value(const Fill& fill, int64_t c) {
  const double value = fill.empty() ? 0.0 : fill[fill.size() == 1 ? 0 : static_cast<size_t>(c)];
  if constexpr (std::is_same_v<T, uint8_t>) return value >= 255 ? T(255) : value > 0 ? static_cast<T>(value) : T(0);
  else return static_cast<T>(value);
}
// Throws unless there is one value, or one for each channel.
void check_fill(const char* op, const Fill& fill, const ImageSize& size);

// Runs steps one after the other between two buffers; the result is in one of them, or the input itself.
template <class T>
Pixels<T> run_steps(const std::vector<ImageStepPtr>& steps, Pixels<T> image, PixelBuffer<T> (&buffers)[2], Draws& draws) {
  int next = 0;
  for (const ImageStepPtr& step : steps)
    if (step->apply(image, buffers[next], draws)) {
      image = {buffers[next].size, buffers[next].data.data()};
      next = 1 - next;
    }
  return image;
}

}  // namespace cnnx
