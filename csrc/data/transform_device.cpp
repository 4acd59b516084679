// Transforms of batches on a device: the steps become records there, once for each size of image, and one kernel runs them.
#include <algorithm>
#include <cstring>
#include <mutex>

#include "core/copy.h"
#include "data/checks.h"
#include "data/step.h"
#include "kernels/table.h"

namespace cnnx {

struct DeviceTransform {
  ImageSize in, out;
  int64_t room, op_count;
  Tensor memory;  // the records, then the table
};

ImageOp& ImageProgram::add(ImageOp::Kind kind, const ImageSize& out, bool bytes_out) {
  for (const ImageSize& image : {size, out})
    if (image.numel() >= INT32_MAX || image.numel() == 0)
      throw ValueError(message("transform_images: images of (", image.channels, ", ", image.height, ", ", image.width,
                               ") are too large or too small for a device"));
  const auto extents = [](const ImageSize& s) {
    return ImageExtents{static_cast<int32_t>(s.channels), static_cast<int32_t>(s.height), static_cast<int32_t>(s.width)};
  };
  if (!ops.empty()) room = std::max(room, size.numel() * static_cast<int64_t>(bytes ? sizeof(uint8_t) : sizeof(float)));
  ImageOp& op = ops.emplace_back();
  std::memset(static_cast<void*>(&op), 0, sizeof op);
  op.kind = kind;
  op.in = extents(size);
  op.out = extents(out);
  op.bytes_in = bytes;
  op.bytes_out = bytes_out;
  op.table = static_cast<int32_t>(table.size());
  size = out;
  bytes = bytes_out;
  return op;
}

void ImageProgram::add_fill(const Fill& fill) {
  const bool as_bytes = ops.back().bytes_out;
  for (int64_t c = 0; c < ops.back().out.channels; ++c)
    table.push_back(as_bytes ? fill_value<uint8_t>(fill, c) : static_cast<double>(fill_value<float>(fill, c)));
}

namespace {

std::shared_ptr<const DeviceTransform> compiled(const BatchTransform& transform, const ImageSize& in, const Device& device) {
  ImageProgram program;
  program.size = in;
  for (const ImageStepPtr& step : transform.bytes) step->compile(program);
  const ChannelScale scale("transform_images", transform.scale, program.size.channels);
  ImageOp& op = program.add(ImageOp::Kind::scale, program.size, false);
  op.p = static_cast<double>(scale.divisor);
  op.normalises = !scale.mean.empty();
  for (const auto* values : {&scale.mean, &scale.stddev})
    program.table.insert(program.table.end(), values->begin(), values->end());
  for (const ImageStepPtr& step : transform.floats) step->compile(program);

  const size_t op_bytes = program.ops.size() * sizeof(ImageOp), table_bytes = program.table.size() * sizeof(double);
  Tensor memory = Tensor::empty({static_cast<int64_t>(op_bytes + table_bytes)}, {DType::uint8});
  uint8_t* bytes = memory.data<uint8_t>();
  std::memcpy(bytes, program.ops.data(), op_bytes);
  if (table_bytes > 0) std::memcpy(bytes + op_bytes, program.table.data(), table_bytes);
  return std::make_shared<DeviceTransform>(
      DeviceTransform{in, program.size, program.room, static_cast<int64_t>(program.ops.size()), to_device(memory, device)});
}

}  // namespace

Tensor transform_on_device(const Tensor& source, const Tensor& positions, const Tensor& keys, const BatchTransform& transform,
                           const RandomState& random) {
  static std::mutex mutex;
  const ImageSize in{source.ndim() == 4 ? source.size(1) : 1, source.size(-2), source.size(-1)};
  std::shared_ptr<const DeviceTransform> program;
  {
    std::lock_guard lock(mutex);
    program = transform.on_device;
    if (program == nullptr || !(program->in == in) || !(program->memory.device() == source.device()))
      transform.on_device = program = compiled(transform, in, source.device());
  }
  const auto extents = [](const ImageSize& s) {
    return ImageExtents{static_cast<int32_t>(s.channels), static_cast<int32_t>(s.height), static_cast<int32_t>(s.width)};
  };
  Tensor batch = Tensor::empty({positions.numel(), program->out.channels, program->out.height, program->out.width},
                               source.options(DType::float32));
  if (batch.numel() == 0) return batch;
  const uint8_t* memory = program->memory.pointer<uint8_t>();
  const auto* ops = reinterpret_cast<const ImageOp*>(memory);
  const ImageBatch work{positions.numel(),
                        source.size(0),
                        source.pointer<uint8_t>(),
                        positions.pointer<int64_t>(),
                        keys.pointer<int64_t>(),
                        random.seed,
                        random.calls,
                        ops,
                        static_cast<int32_t>(program->op_count),
                        extents(in),
                        extents(program->out),
                        reinterpret_cast<const double*>(memory + static_cast<size_t>(program->op_count) * sizeof(ImageOp)),
                        program->room,
                        batch.pointer<float>()};
  cuda::element_kernels(source.device().index).transform_images(work);
  return batch;
}

}  // namespace cnnx
