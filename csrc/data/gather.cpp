// Checks and kernel calls of the batch gather.
#include "cnnx/data/gather.h"

#include <cstring>

#include "core/copy.h"
#include "data/checks.h"
#include "kernels/parallel.h"
#include "kernels/table.h"

namespace cnnx {
namespace {

void check_defined(const char* op, const Tensor& source, const Tensor& index) {
  if (!source.defined()) throw TypeError(message(op, ": source is None"));
  if (!index.defined()) throw TypeError(message(op, ": index is None"));
}

}  // namespace

Tensor checked_positions(const char* op, const Tensor& index, int64_t start, int64_t count, int64_t rows, Device device) {
  if (index.ndim() != 1) throw ShapeError(message(op, ": index must have one dimension, got shape ", index.shape()));
  if (index.dtype() != DType::int64) throw TypeError(message(op, ": index must be int64, got ", name(index.dtype())));
  if (start < 0 || count < 0 || start > index.numel() - count)
    throw IndexError(message(op, ": positions ", start, " to ", start + count, " are outside the index of ", index.numel()));
  const Tensor whole = contiguous(index), positions = whole.as_strided({count}, {1}, whole->offset + start);
  const Tensor there = to_device(positions, device);
  if (const Tensor& readable = positions.device().is_cuda() ? there : positions; !readable.device().is_cuda()) {
    const int64_t* values = readable.data<int64_t>();
    for (int64_t i = 0; i < count; ++i)
      if (values[i] < 0 || values[i] >= rows)
        throw IndexError(message(op, ": index ", values[i], " is out of range for ", rows, " samples"));
  }
  return there;
}

ChannelScale::ChannelScale(const char* op, const PixelScale& scale, int64_t channels)
    : divisor(static_cast<float>(scale.divisor)) {
  if (!(scale.divisor > 0)) throw ValueError(message(op, ": divisor must be positive, got ", scale.divisor));
  if (scale.mean.empty() != scale.stddev.empty()) throw ValueError(message(op, ": mean and stddev come together"));
  auto per_channel = [&](const char* what, const std::vector<double>& values, std::vector<float>& result) {
    if (values.empty()) return;
    if (values.size() != 1 && static_cast<int64_t>(values.size()) != channels)
      throw ShapeError(message(op, ": ", values.size(), " values of ", what, " for images of ", channels, " channels"));
    for (size_t c = 0; c < static_cast<size_t>(channels); ++c)
      result.push_back(static_cast<float>(values[values.size() == 1 ? 0 : c]));
  };
  per_channel("mean", scale.mean, mean);
  per_channel("stddev", scale.stddev, stddev);
  for (float value : stddev)
    if (value == 0.0f) throw ValueError(message(op, ": stddev must not be zero"));
}

void check_images(const char* op, const Tensor& source, const Tensor& index) {
  check_defined(op, source, index);
  if (source.dtype() != DType::uint8) throw TypeError(message(op, ": images must be uint8, got ", name(source.dtype())));
  if (source.ndim() != 3 && source.ndim() != 4)
    throw ShapeError(message(op, ": images must be (N, H, W) or (N, C, H, W), got ", source.shape()));
}

Tensor gather_images(const Tensor& source, const Tensor& index, int64_t start, int64_t count, const PixelScale& scale) {
  check_images("gather_images", source, index);
  const int64_t channels = source.ndim() == 4 ? source.size(1) : 1, height = source.size(-2), width = source.size(-1);
  const ChannelScale scaled("gather_images", scale, channels);
  const Tensor images = contiguous(source);
  const Tensor positions = checked_positions("gather_images", index, start, count, source.size(0), source.device());
  const int64_t* rows = positions.pointer<int64_t>();

  const Dims shape{count, channels, height, width};
  GatherShape s{count, channels, height * width, 1, source.size(0)};
  // The rule of use_lanes(), before there is a tensor to ask about.
  const bool lanes = !source.device().is_cuda() && lane_count() > 1 && 2 * count >= lane_count() && shape.numel() > 0;
  if (lanes) s.lanes = lane_count();
  Tensor batch = lanes ? Tensor::empty_lanes(shape) : Tensor::empty(shape, source.options(DType::float32));
  if (shape.numel() > 0)
    kernels<float>(source.device())
        .gather_u8(s, images.pointer<uint8_t>(), rows, scaled.divisor, scaled.mean_data(), scaled.stddev_data(),
                   lanes ? batch.lanes_data() : batch.pointer<float>());
  return batch;
}

Tensor gather_rows(const Tensor& source, const Tensor& index, int64_t start, int64_t count) {
  check_defined("gather_rows", source, index);
  if (source.ndim() < 1) throw ShapeError("gather_rows: a 0-dimensional tensor has no rows");
  const Tensor values = contiguous(source);
  const Tensor positions = checked_positions("gather_rows", index, start, count, source.size(0), source.device());
  const int64_t* rows = positions.pointer<int64_t>();
  Dims shape = source.shape();
  shape[0] = count;
  Tensor result = Tensor::empty(shape, source.options());
  if (result.numel() == 0) return result;
  const size_t bytes = static_cast<size_t>(result.numel() / count) * itemsize(source.dtype());
  if (source.device().is_cuda()) {
    cuda::element_kernels(source.device().index)
        .gather_rows(count, static_cast<int64_t>(bytes), source.size(0), values.raw_pointer(), rows, result.raw_pointer());
    return result;
  }
  const char* from = static_cast<const char*>(values.raw_data());
  char* to = static_cast<char*>(result.raw_data());
  if (bytes == sizeof(int64_t)) {  // labels: a copy of known size needs no call
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + 8 * i, from + 8 * rows[i], 8);
    return result;
  }
  parallel_for(count, 0.1 * static_cast<double>(bytes), [&](int64_t i) {
    std::memcpy(to + static_cast<size_t>(i) * bytes, from + static_cast<size_t>(rows[i]) * bytes, bytes);
  });
  return result;
}

}  // namespace cnnx
