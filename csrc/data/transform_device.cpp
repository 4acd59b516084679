// Transforms on a device: the steps become records there, for a batch once for each size of image, and one kernel runs them.
#include <algorithm>
#include <cstring>
#include <mutex>

#include "core/copy.h"
#include "cuda/graph.h"
#include "data/checks.h"
#include "data/step.h"
#include "kernels/table.h"

namespace cnnx {

struct DeviceTransform {
  ImageSize in, out;
  PixelType in_type, out_type;
  int64_t room, op_count;
  Tensor memory;  // the records, then the table
};

namespace {

ImageExtents extents(const ImageSize& s) {
  return {static_cast<int32_t>(s.channels), static_cast<int32_t>(s.height), static_cast<int32_t>(s.width)};
}

PixelType pixel_type(const char* op, DType dtype) {
  switch (dtype) {
    case DType::uint8: return PixelType::bytes;
    case DType::float32: return PixelType::floats;
    case DType::float64: return PixelType::doubles;
    default: throw TypeError(message(op, ": needs uint8, float32 or float64, got ", name(dtype)));
  }
}
DType dtype_of(PixelType type) {
  return type == PixelType::bytes ? DType::uint8 : type == PixelType::floats ? DType::float32 : DType::float64;
}

}  // namespace

ImageOp& ImageProgram::add(ImageOp::Kind kind, const ImageSize& out, PixelType out_type) {
  for (const ImageSize& image : {size, out})
    if (image.numel() >= INT32_MAX || image.numel() == 0)
      throw ValueError(message("transform_images: images of (", image.channels, ", ", image.height, ", ", image.width,
                               ") are too large or too small for a device"));
  if (!ops.empty()) room = std::max(room, size.numel() * static_cast<int64_t>(itemsize(dtype_of(type))));
  ImageOp& op = ops.emplace_back();
  std::memset(static_cast<void*>(&op), 0, sizeof op);
  op.kind = kind;
  op.in = extents(size);
  op.out = extents(out);
  op.in_type = type;
  op.out_type = out_type;
  op.table = static_cast<int32_t>(table.size());
  size = out;
  type = out_type;
  return op;
}

void ImageProgram::add_fill(const Fill& fill, PixelType as) {
  for (int64_t c = 0; c < size.channels; ++c)
    table.push_back(as == PixelType::bytes    ? fill_value<uint8_t>(fill, c)
                    : as == PixelType::floats ? static_cast<double>(fill_value<float>(fill, c))
                                              : fill_value<double>(fill, c));
}

namespace {

ImageProgram compiled(const BatchTransform& transform, const ImageSize& in) {
  ImageProgram program{{}, {}, in, PixelType::bytes};
  for (const ImageStepPtr& step : transform.bytes) step->compile(program);
  const ChannelScale scale("transform_images", transform.scale, program.size.channels);
  ImageOp& op = program.add(ImageOp::Kind::scale, program.size, PixelType::floats);
  op.p = static_cast<double>(scale.divisor);
  op.normalises = !scale.mean.empty();
  for (const auto* values : {&scale.mean, &scale.stddev})
    program.table.insert(program.table.end(), values->begin(), values->end());
  for (const ImageStepPtr& step : transform.floats) step->compile(program);
  return program;
}

DeviceTransform uploaded(const ImageProgram& program, const ImageSize& in, PixelType in_type, const Device& device) {
  const size_t op_bytes = program.ops.size() * sizeof(ImageOp), table_bytes = program.table.size() * sizeof(double);
  Tensor memory = Tensor::empty({static_cast<int64_t>(op_bytes + table_bytes)}, {DType::uint8, device});
  const Queue queue = queue_of(device);
  const ElementTable& table = elements(queue);
  table.upload(queue, memory.raw_pointer(), program.ops.data(), op_bytes);
  if (table_bytes > 0) table.upload(queue, memory.pointer<uint8_t>() + op_bytes, program.table.data(), table_bytes);
  return {in, program.size, in_type, program.type, program.room, static_cast<int64_t>(program.ops.size()), memory};
}

void run(const DeviceTransform& transform, int64_t count, const Tensor& source, int64_t samples, const int64_t* index,
         const int64_t* keys, const RandomState& random, const Tensor& out) {
  const uint8_t* memory = transform.memory.pointer<uint8_t>();
  const ImageBatch work{count,
                        samples,
                        source.raw_pointer(),
                        index,
                        keys,
                        random.seed,
                        random.calls,
                        reinterpret_cast<const ImageOp*>(memory),
                        static_cast<int32_t>(transform.op_count),
                        extents(transform.in),
                        extents(transform.out),
                        transform.in_type,
                        transform.out_type,
                        reinterpret_cast<const double*>(memory + static_cast<size_t>(transform.op_count) * sizeof(ImageOp)),
                        transform.room,
                        out.raw_pointer()};
  const Queue queue = queue_of(source.device());
  elements(queue).transform_images(queue, work);
}

}  // namespace

void transform_on_device(const Tensor& source, const Tensor& positions, const Tensor& keys, const BatchTransform& transform,
                         const RandomState& random, const Tensor& batch) {
  static std::mutex mutex;
  const ImageSize in{source.ndim() == 4 ? source.size(1) : 1, source.size(-2), source.size(-1)};
  std::shared_ptr<const DeviceTransform> held;
  {
    std::lock_guard lock(mutex);
    held = transform.on_device;
    if (held == nullptr || !(held->in == in) || !(held->memory.device() == source.device())) {
      held = std::make_shared<DeviceTransform>(uploaded(compiled(transform, in), in, PixelType::bytes, source.device()));
      // What is captured has not run: those records are there when the graph has been replayed, for the graph alone.
      if (!cuda::is_capturing(source.device().index)) transform.on_device = held;
    }
  }
  run(*held, positions.numel(), source, source.size(0), positions.pointer<int64_t>(), keys.pointer<int64_t>(), random, batch);
}

Tensor transform_on_device(const Tensor& image, const ImageStep& step, const RandomState& random) {
  const ImageSize in{image.size(0), image.size(1), image.size(2)};
  const PixelType type = pixel_type("transform_image", image.dtype());
  ImageProgram program{{}, {}, in, type};
  step.compile(program);
  if (program.ops.empty()) return plain_copy(image);
  const DeviceTransform transform = uploaded(program, in, type, image.device());
  const ImageSize& out = transform.out;
  Tensor result = Tensor::empty({out.channels, out.height, out.width}, image.options());
  run(transform, 1, image, 1, nullptr, nullptr, random, result);
  return result;
}

}  // namespace cnnx
