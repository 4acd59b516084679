// Transforms as ops: their steps become records for images of one size, which lie beside the images as an input of the call, and
// one kernel runs them.
#include "cnnx/data/transform.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "core/copy.h"
#include "core/cuda/graph.h"
#include "core/node.h"
#include "data/checks.h"
#include "data/step.h"
#include "kernels/dispatch.h"

namespace cnnx {

struct CompiledTransform {
  ImageBatch shape;  // without pointers
  Tensor program;    // the records, then the table
};

CNNX_FIELDS(ImageExtents, channels, height, width)
CNNX_FIELDS(ImageBatch, count, samples, lanes, source, index, keys, seed, call, ops, table, op_count, in, out, in_type, out_type,
            room, largest, out_data)

namespace {

constexpr const char* kOp = "transform_images";

// Bytes of the host that become a tensor.
struct UploadCall {
  const ImageProgram* program;  // lives as long as the call
  size_t op_bytes, table_bytes;
  Device device;
};
CNNX_FIELDS(UploadCall, program, op_bytes, table_bytes, device)
void infer_upload(const Call& call, ResultSpecs& results) {
  const UploadCall& c = call.as<UploadCall>();
  results.push_back({.shape = {static_cast<int64_t>(c.op_bytes + c.table_bytes)}, .dtype = DType::uint8, .device = c.device});
}
void run_upload(const Run& r) {
  const UploadCall& c = r.as<UploadCall>();
  if (c.op_bytes > 0) elements(r.queue).upload(r.queue, r.out<uint8_t>(0), c.program->ops.data(), c.op_bytes);
  if (c.table_bytes > 0)
    elements(r.queue).upload(r.queue, r.out<uint8_t>(0) + c.op_bytes, c.program->table.data(), c.table_bytes);
}
constexpr OpDef kUpload = op<UploadCall>("upload", infer_upload, run_upload).borrowing();

CompiledTransform finished(const ImageProgram& program, const ImageExtents& in, DType in_type, const Device& device) {
  ImageBatch shape{};
  shape.op_count = static_cast<int32_t>(program.ops.size());
  shape.in = in;
  shape.out = program.size;
  shape.in_type = in_type;
  shape.out_type = program.type;
  shape.room = program.room;
  shape.largest = program.largest;
  const UploadCall upload{&program, program.ops.size() * sizeof(ImageOp), program.table.size() * sizeof(double), device};
  return {shape, emit_one(kUpload, upload, {})};
}

CompiledTransform compiled(const BatchTransform& transform, const ImageExtents& in, const Device& device) {
  ImageProgram program{in, DType::uint8};
  for (const ImageStepPtr& step : transform.bytes) step->compile(program);
  const ChannelScale scale(kOp, transform.scale, program.size.channels);
  ImageOp& op = program.add(ImageOp::Kind::scale, program.size, DType::float32);
  op.p = static_cast<double>(scale.divisor);
  op.normalises = !scale.mean.empty();
  for (const auto* values : {&scale.mean, &scale.stddev})
    program.table.insert(program.table.end(), values->begin(), values->end());
  for (const ImageStepPtr& step : transform.floats) step->compile(program);
  return finished(program, in, DType::uint8, device);
}

// For images of the size and the device that were last seen.
CompiledTransform compiled_once(const BatchTransform& transform, const ImageExtents& in, const Device& device) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  std::shared_ptr<const CompiledTransform>& kept = transform.compiled;
  if (kept != nullptr && kept->shape.in == in && kept->program.device() == device) return *kept;
  const auto made = std::make_shared<const CompiledTransform>(compiled(transform, in, device));
  // What is captured has not run: those records are there when the graph has been replayed, for the graph alone.
  if (!cuda::is_capturing(device.index)) kept = made;
  return *made;
}

// Inputs: images, their positions and the keys of the random numbers (both left out: one image), the program.
struct TransformCall {
  ImageBatch shape;
  bool transposed;  // of kTransformLinear
};
CNNX_FIELDS(TransformCall, shape, transposed)
ImageBatch batch_of(const Run& r) {
  ImageBatch b = r.as<TransformCall>().shape;
  const bool single = !r.inputs[1].defined();
  b.count = single ? 1 : r.inputs[1].numel();
  b.samples = single ? 1 : r.inputs[0].size(0);
  b.lanes = r.lanes;
  b.source = r.input_data[0];
  b.index = r.in<int64_t>(1);
  b.keys = r.in<int64_t>(2);
  b.ops = r.in<ImageOp>(3);
  b.table = reinterpret_cast<const double*>(b.ops + b.op_count);
  b.out_data = r.result_data[0];
  return b;
}
Dims batch_shape(const Call& call) {
  const ImageExtents& out = call.as<TransformCall>().shape.out;
  return {call[1].numel(), out.channels, out.height, out.width};
}

void infer_transform(const Call& call, ResultSpecs& results) {
  const ImageBatch& b = call.as<TransformCall>().shape;
  const Dims shape = call[1].defined() ? batch_shape(call) : Dims{b.out.channels, b.out.height, b.out.width};
  results.push_back({shape, b.out_type, Place::call});
}
void run_transform(const Run& r) { elements(r.queue).transform_images(r.queue, batch_of(r)); }

void infer_linear(const Call& call, ResultSpecs& results) {
  const TransformCall& c = call.as<TransformCall>();
  const ImageExtents& size = c.transposed ? c.shape.in : c.shape.out;
  results.push_back({{size.channels, size.height, size.width}, call[0].dtype()});
}
void run_linear(const Run& r) { elements(r.queue).transform_linear(r.queue, batch_of(r), r.as<TransformCall>().transposed); }
extern const OpDef kTransformLinear;
// Every step is affine in the pixels once its parameters are drawn: the gradient is the transpose of its linear part, and the
// gradient of that is the linear part.
void gradient(const Backward& call, Grads& grads) {
  const Tensor none;
  TransformCall c = call.as<TransformCall>();
  c.transposed = !c.transposed;
  grads[0] = emit_one(kTransformLinear, c, {call.grad(), none, none, call.input(3)});
}

constexpr OpDef kTransform =
    op<TransformCall>(kOp, infer_transform, run_transform)
        .lanes_if([](const Call& call) {
          return call[1].defined() && lanes_for_images(batch_shape(call), {DType::float32, call[0].device()});
        })
        .with_gradient(gradient, saving<input_bit(3)>);
const OpDef kTransformLinear =
    op<TransformCall>("transform_linear", infer_linear, run_linear).with_gradient(gradient, saving<input_bit(3)>);

Tensor transformed(CompiledTransform transform, const RandomState& random, const Tensor& images, const Tensor& positions,
                   const Tensor& keys) {
  transform.shape.seed = random.seed;
  transform.shape.call = random.calls;
  return emit_one(kTransform, TransformCall{transform.shape, false}, {images, positions, keys, transform.program});
}

}  // namespace

ImageOp& ImageProgram::add(ImageOp::Kind kind, const ImageExtents& out, DType out_type) {
  const auto numel = [](const ImageExtents& s) { return checked_product(checked_product(s.channels, s.height), s.width); };
  largest = std::max({largest, numel(size), numel(out)});
  if (!ops.empty()) room = std::max(room, checked_product(size.numel(), size_of(type)));
  ImageOp& op = ops.emplace_back();
  op.kind = kind;
  op.in = size;
  op.out = out;
  op.in_type = type;
  op.out_type = out_type;
  op.table = static_cast<int32_t>(table.size());
  size = out;
  type = out_type;
  return op;
}

void ImageProgram::add_values(const char* op, const Fill& values, DType as) {
  if (values.size() > 1 && static_cast<int64_t>(values.size()) != size.channels)
    throw ValueError(message(op, ": fill has ", values.size(), " values, the image has ", size.channels, " channels"));
  for (size_t c = 0; c < static_cast<size_t>(size.channels); ++c) {
    const double value = values.empty() ? 0.0 : values[values.size() == 1 ? 0 : c];
    if (as == DType::uint8) table.push_back(value >= 255 ? 255 : value > 0 ? std::trunc(value) : 0);
    else table.push_back(as == DType::float32 ? static_cast<double>(static_cast<float>(value)) : value);
  }
}

bool is_random(const ImageStep& step) { return step.random; }

Tensor transform_image(const Tensor& image, const ImageStep& step, const RandomState& random) {
  check_defined("transform_image", "image", image);
  if (image.ndim() != 3) throw ShapeError(message("transform_image: the image must be (C, H, W), got ", image.shape()));
  if (image.numel() == 0) throw ValueError(message("transform_image: the image has no pixels, its shape is ", image.shape()));
  const ImageExtents in{image.size(0), image.size(1), image.size(2)};
  const DType type = image.dtype();
  if (type != DType::uint8 && !is_floating_point(type))
    throw TypeError(message("transform_image: needs uint8, float32 or float64, got ", name(type)));
  ImageProgram program{in, type, random};
  step.compile(program);
  return transformed(finished(program, in, type, image.device()), random, image, {}, {});
}

Tensor transform_images(const Tensor& source, const Tensor& index, int64_t start, int64_t count, const BatchTransform& transform,
                        const RandomState& random, const Tensor& keys) {
  check_defined(kOp, "source", source);
  check_defined(kOp, "index", index);
  if (transform.bytes.empty() && transform.floats.empty()) return gather_images(source, index, start, count, transform.scale);
  check_images(kOp, source, index);
  check_defined(kOp, "keys", keys);
  const ImageExtents in{source.ndim() == 4 ? source.size(1) : 1, source.size(-2), source.size(-1)};
  if (in.numel() == 0) throw ValueError(message(kOp, ": the images have no pixels, their shape is ", source.shape()));
  const Tensor positions = checked_positions(kOp, index, start, count, source.size(0), source.device());
  const Tensor whole_keys = contiguous(keys);
  if (whole_keys.dtype() != DType::int64 || whole_keys.shape() != index.shape())
    throw ShapeError(message(kOp, ": keys must be int64 of shape ", index.shape(), ", got ", name(whole_keys.dtype()), " of ",
                             whole_keys.shape()));
  const Tensor key_values = to_device(whole_keys.as_strided({count}, {1}, whole_keys->offset + start), source.device());
  return transformed(compiled_once(transform, in, source.device()), random, source, positions, key_values);
}

}  // namespace cnnx
