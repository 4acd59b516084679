// What a transform is inside: a function of one image, for each element type, with a stream of random numbers.
#pragma once

#include <type_traits>
#include <vector>

#include "cnnx/data/transform.h"
#include "data/transposed.h"
#include "kernels/image_steps.h"

namespace cnnx {

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

// Steps as the records that a device reads, while they are put together for images of one size.
struct ImageProgram {
  std::vector<ImageOp> ops;
  std::vector<double> table;
  ImageSize size;  // after the steps so far
  PixelType type;
  int64_t room = 0;  // bytes of the largest image between two steps

  // A new record from the size and type so far to those.
  ImageOp& add(ImageOp::Kind kind, const ImageSize& out, PixelType out_type);
  ImageOp& add(ImageOp::Kind kind, const ImageSize& out) { return add(kind, out, type); }
  void add_fill(const Fill& fill, PixelType as);  // a value per channel, into the table of the record added last
  void add_fill(const Fill& fill) { add_fill(fill, type); }
};

class ImageStep {
 public:
  virtual ~ImageStep() = default;
  virtual bool random() const { return false; }
  // Of the result; throws where the image does not suit the step, or where the size is drawn too.
  virtual ImageSize output_size(const ImageSize& in) const { return in; }
  // Adds the step's records, checked as by output_size.
  virtual void compile(ImageProgram& program) const = 0;
  // With the parameters that `draws` gives, of which it takes as many as apply does; `size` becomes the result's.
  virtual Transposed transposed(ImageSize& size, Draws& draws) const = 0;
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

// The images at `positions` of `source` into `batch`; all tensors lie on one device, and are checked.
void transform_on_device(const Tensor& source, const Tensor& positions, const Tensor& keys, const BatchTransform& transform,
                         const RandomState& random, const Tensor& batch);
// The same for one image (C, H, W), contiguous.
Tensor transform_on_device(const Tensor& image, const ImageStep& step, const RandomState& random);

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
