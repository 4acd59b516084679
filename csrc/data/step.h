// What a transform is inside: something that adds its records for images of one size.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "cnnx/data/transform.h"
#include "kernels/transform.h"

namespace cnnx {

// The records of steps, while they are put together for images of one size.
struct ImageProgram {
  ImageExtents size;  // after the steps so far
  DType type;
  // Of a single image: its random numbers, for steps whose size depends on them.
  std::optional<RandomState> random = {};
  std::vector<ImageOp> ops = {};
  std::vector<double> table = {};
  int64_t room = 0, largest = 0;  // see ImageBatch

  // A new record from the size and type so far to those.
  ImageOp& add(ImageOp::Kind kind, const ImageExtents& out, DType out_type);
  ImageOp& add(ImageOp::Kind kind) { return add(kind, size, type); }
  // A value per channel into the table of the record added last, as pixels of a type; bytes without the fraction and limited to
  // their range, as Pillow does it. Throws unless there is one value, or one for each channel.
  void add_values(const char* op, const Fill& values, DType as);
  void add_values(const char* op, const Fill& values) { add_values(op, values, type); }
};

struct ImageStep {
  bool random;
  std::function<void(ImageProgram& program)> compile;  // throws where the images do not suit the step
};
inline ImageStepPtr image_step(bool random, std::function<void(ImageProgram&)> compile) {
  return std::make_shared<ImageStep>(ImageStep{random, std::move(compile)});
}

}  // namespace cnnx
