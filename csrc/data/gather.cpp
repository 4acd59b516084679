// Checks and kernel calls of the batch gather.
#include "cnnx/data/gather.h"

#include "core/copy.h"
#include "data/checks.h"
#include "kernels/dispatch.h"
#include "ops/take.h"

namespace cnnx {
Tensor checked_positions(const char* op, const Tensor& index, int64_t start, int64_t count, int64_t rows, Device device) {
  if (index.ndim() != 1) throw ShapeError(message(op, ": index must have one dimension, got shape ", index.shape()));
  if (index.dtype() != DType::int64) throw TypeError(message(op, ": index must be int64, got ", name(index.dtype())));
  if (start < 0 || count < 0 || start > index.numel() - count)
    throw IndexError(message(op, ": positions ", start, " to ", start + count, " are outside the index of ", index.numel()));
  const Tensor whole = contiguous(index), positions = whole.as_strided({count}, {1}, whole->offset + start);
  const Tensor there = to_device(positions, device);
  for (const Tensor* readable : {&positions, &there}) {
    if (readable->device().is_cuda()) continue;
    if (const int64_t bad = first_bad_index(*readable, rows, false); bad >= 0)
      throw IndexError(message(op, ": index ", readable->data<int64_t>()[bad], " is out of range for ", rows, " samples"));
    break;
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
  check_defined(op, "source", source);
  check_defined(op, "index", index);
  if (source.dtype() != DType::uint8) throw TypeError(message(op, ": images must be uint8, got ", name(source.dtype())));
  if (source.ndim() != 3 && source.ndim() != 4)
    throw ShapeError(message(op, ": images must be (N, H, W) or (N, C, H, W), got ", source.shape()));
}

namespace {

// Inputs of both: what is gathered from, positions. A batch of images is scaled, and in lanes where images are.
struct GatherCall {
  GatherShape shape;  // lanes: 1, the call decides
  Dims result;
  const ChannelScale* scale;  // lives as long as the call
};
CNNX_FIELDS(GatherCall, shape, result, scale)
void infer_images(const Call& call, ResultSpecs& results) {
  results.push_back({call.as<GatherCall>().result, DType::float32, Place::call});
}
void run_images(const Run& r) {
  const GatherCall& c = r.as<GatherCall>();
  const GatherShape s = shape_in_lanes<GatherCall>(r);
  kernels<float>(r.queue).gather_u8(r.queue, s, r.in<uint8_t>(0), r.in<int64_t>(1), c.scale->divisor, c.scale->mean_data(),
                                    c.scale->stddev_data(), r.out<float>(0));
}
constexpr OpDef kGatherImages =
    op<GatherCall>("gather_images", infer_images, run_images).borrowing().lanes_if([](const Call& call) {
      return lanes_for_images(call.as<GatherCall>().result, {DType::float32, call[0].device()});
    });

void infer_rows(const Call& call, ResultSpecs& results) {
  Dims shape = call[0].shape();
  shape[0] = call[1].numel();
  results.push_back({shape, call[0].dtype()});
}
void run_rows(const Run& r) {
  const Tensor& out = r.results[0];
  const int64_t count = out.size(0), bytes = out.numel() / count * static_cast<int64_t>(itemsize(out.dtype()));
  elements(r.queue).gather_rows(r.queue, count, bytes, r.inputs[0].size(0), r.input_data[0], r.in<int64_t>(1), r.result_data[0]);
}
constexpr OpDef kGatherRows = op("gather_rows", infer_rows, run_rows);

}  // namespace

Tensor gather_images(const Tensor& source, const Tensor& index, int64_t start, int64_t count, const PixelScale& scale) {
  check_images("gather_images", source, index);
  const int64_t channels = source.ndim() == 4 ? source.size(1) : 1, height = source.size(-2), width = source.size(-1);
  const ChannelScale scaled("gather_images", scale, channels);
  const Tensor positions = checked_positions("gather_images", index, start, count, source.size(0), source.device());
  const GatherCall c{{count, channels, height * width, 1, source.size(0)}, {count, channels, height, width}, &scaled};
  return emit_one(kGatherImages, c, {source, positions});
}

Tensor gather_rows(const Tensor& source, const Tensor& index, int64_t start, int64_t count) {
  check_defined("gather_rows", "source", source);
  check_defined("gather_rows", "index", index);
  if (source.ndim() < 1) throw ShapeError("gather_rows: a 0-dimensional tensor has no rows");
  const Tensor positions = checked_positions("gather_rows", index, start, count, source.size(0), source.device());
  return emit_one(kGatherRows, NoAttributes{}, {source.detach(), positions});
}

}  // namespace cnnx
