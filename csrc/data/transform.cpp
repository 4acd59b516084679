// Runs transforms: over one image, and over the images of a batch, block of lanes by block of lanes.
#include "cnnx/data/transform.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "cnnx/autograd.h"
#include "core/copy.h"
#include "data/checks.h"
#include "data/step.h"
#include "kernels/parallel.h"
#include "kernels/table.h"

namespace cnnx {
namespace {

constexpr const char* kOp = "transform_images";

ImageSize size_after(const std::vector<ImageStepPtr>& steps, ImageSize size) {
  for (const ImageStepPtr& step : steps) size = step->output_size(size);
  return size;
}

// What a thread needs beside the output, kept from batch to batch.
struct Workspace {
  PixelBuffer<uint8_t> bytes[2];
  PixelBuffer<float> floats[2];
  std::vector<uint8_t> block;         // images after the steps on bytes
  std::vector<float> scaled, result;  // images as floats, and after the steps on them
};
Workspace& workspace() {
  thread_local Workspace space;
  return space;
}

struct Batch {
  const BatchTransform& transform;
  const ChannelScale& scale;
  ImageSize in, middle, out;
  const uint8_t* source;
  const int64_t* rows;
  const int64_t* keys;
  RandomState random;
  int64_t lanes;

  // Images [first, first + n), n <= kBlock, into `output`: plain, or one block of lanes.
  void run(int64_t first, int64_t n, float* output) const {
    Workspace& space = workspace();
    static const std::vector<int64_t> identity = [] {
      std::vector<int64_t> numbers(kBlock);
      std::iota(numbers.begin(), numbers.end(), 0);
      return numbers;
    }();
    std::vector<Draws> draws;
    draws.reserve(static_cast<size_t>(n));
    space.block.resize(static_cast<size_t>(n * middle.numel()));
    for (int64_t i = 0; i < n; ++i) {
      draws.emplace_back(random.seed, random.calls, static_cast<uint64_t>(keys[first + i]));
      const Pixels<uint8_t> image{in, source + rows[first + i] * in.numel()};
      const Pixels<uint8_t> done = run_steps(transform.bytes, image, space.bytes, draws.back());
      std::memcpy(space.block.data() + i * middle.numel(), done.data, static_cast<size_t>(middle.numel()));
    }
    const bool more = !transform.floats.empty();
    GatherShape shape{n, middle.channels, middle.height * middle.width, more ? 1 : lanes};
    if (more) space.scaled.resize(static_cast<size_t>(n * middle.numel()));
    kernels<float>().gather_u8(kHost, shape, space.block.data(), identity.data(), scale.divisor, scale.mean_data(),
                               scale.stddev_data(), more ? space.scaled.data() : output);
    if (!more) return;
    float* plain = output;
    if (lanes > 1) {
      space.result.resize(static_cast<size_t>(n * out.numel()));
      plain = space.result.data();
    }
    for (int64_t i = 0; i < n; ++i) {
      const Pixels<float> image{middle, space.scaled.data() + i * middle.numel()};
      const Pixels<float> done = run_steps(transform.floats, image, space.floats, draws[static_cast<size_t>(i)]);
      std::memcpy(plain + i * out.numel(), done.data, static_cast<size_t>(out.numel()) * sizeof(float));
    }
    if (lanes > 1) kernels<float>().pack_lanes(kHost, n, out.numel(), lanes, plain, output);
  }

  static constexpr int64_t kBlock = 16;
};

template <class T>
Tensor run_single(const Tensor& image, const ImageStep& step, const RandomState& random) {
  const ImageSize size{image.size(0), image.size(1), image.size(2)};
  PixelBuffer<T> out;
  Draws draws(random.seed, random.calls, 0);
  if (!step.apply(Pixels<T>{size, image.plain().data<T>()}, out, draws)) return plain_copy(image);
  Tensor result = Tensor::empty({out.size.channels, out.size.height, out.size.width}, image.options());
  if (result.numel() > 0) std::memcpy(result.raw_data(), out.data.data(), static_cast<size_t>(result.numel()) * sizeof(T));
  return result;
}

Tensor run_single(const Tensor& image, const ImageStep& step, const RandomState& random) {
  if (image.device().is_cuda()) return transform_on_device(image, step, random);
  switch (image.dtype()) {
    case DType::uint8: return run_single<uint8_t>(image, step, random);
    case DType::float32: return run_single<float>(image, step, random);
    case DType::float64: return run_single<double>(image, step, random);
    default: throw TypeError(message("transform_image: needs uint8, float32 or float64, got ", name(image.dtype())));
  }
}

}  // namespace

CNNX_FIELDS(ImageSize, channels, height, width)

namespace {

// Inputs: images, positions, keys of the random numbers.
struct TransformCall {
  const BatchTransform* transform;  // these two live as long as the call
  const ChannelScale* scale;
  ImageSize in, middle, out;
  RandomState random;
};
CNNX_FIELDS(TransformCall, transform, scale, in, middle, out, random)
Dims result_shape(const Call& call) {
  const ImageSize& out = call.as<TransformCall>().out;
  return {call[1].numel(), out.channels, out.height, out.width};
}
void infer(const Call& call, ResultSpecs& results) { results.push_back({result_shape(call), DType::float32, Place::call}); }
void run(const Run& r) {
  const TransformCall& c = r.as<TransformCall>();
  const Tensor& batch = r.results[0];
  if (batch.numel() == 0) return;
  if (r.inputs[0].device().is_cuda())
    return transform_on_device(r.inputs[0], r.inputs[1], r.inputs[2], *c.transform, c.random, batch);
  const Batch work{*c.transform,     *c.scale,         c.in,     c.middle, c.out, r.in<uint8_t>(0),
                   r.in<int64_t>(1), r.in<int64_t>(2), c.random, r.lanes};
  float* output = r.out<float>(0);
  const int64_t count = batch.size(0), block = r.lanes > 1 ? r.lanes : Batch::kBlock;
  const double steps = static_cast<double>(c.transform->bytes.size() + c.transform->floats.size() + 1);
  parallel_for((count + block - 1) / block, 0.7 * steps * static_cast<double>(block * std::max(c.in.numel(), c.out.numel())),
               [&](int64_t unit) {
                 work.run(unit * block, std::min(block, count - unit * block), output + unit * block * c.out.numel());
               });
}
constexpr OpDef kTransform{
    .name = kOp,
    .attributes = attributes_of<TransformCall>,
    .lanes = [](const Call& call) { return lanes_for_images(result_shape(call), {DType::float32, call[0].device()}); },
    .infer = infer,
    .run = run};

}  // namespace

bool is_random(const ImageStep& step) { return step.random(); }

Tensor transform_image(const Tensor& image, const ImageStep& step, const RandomState& random) {
  if (!image.defined()) throw TypeError("transform_image: image is None");
  if (image.ndim() != 3) throw ShapeError(message("transform_image: the image must be (C, H, W), got ", image.shape()));
  if (image.numel() == 0) throw ValueError(message("transform_image: the image has no pixels, its shape is ", image.shape()));
  const Tensor pixels = contiguous(image.detach());
  const Tensor result = run_single(pixels, step, random);
  if (needs_grad({image})) {
    ImageSize size{image.size(0), image.size(1), image.size(2)};
    Draws draws(random.seed, random.calls, 0);
    record("transform_image", result, {image},
           [transposed = step.transposed(size, draws)](const Tensor& g, const Needs&) { return Grads{transposed(g)}; });
  }
  return result;
}

Tensor transform_images(const Tensor& source, const Tensor& index, int64_t start, int64_t count, const BatchTransform& transform,
                        const RandomState& random, const Tensor& keys) {
  if (transform.bytes.empty() && transform.floats.empty()) return gather_images(source, index, start, count, transform.scale);
  check_images(kOp, source, index);
  if (!keys.defined()) throw TypeError(message(kOp, ": keys is None"));
  const ImageSize in{source.ndim() == 4 ? source.size(1) : 1, source.size(-2), source.size(-1)};
  if (in.numel() == 0) throw ValueError(message(kOp, ": the images have no pixels, their shape is ", source.shape()));
  const Tensor images = contiguous(source), whole_keys = contiguous(keys);
  const Tensor positions = checked_positions(kOp, index, start, count, source.size(0), source.device());
  if (whole_keys.dtype() != DType::int64 || whole_keys.shape() != index.shape())
    throw ShapeError(message(kOp, ": keys must be int64 of shape ", index.shape(), ", got ", name(whole_keys.dtype()), " of ",
                             whole_keys.shape()));
  const Tensor key_values = to_device(whole_keys.as_strided({count}, {1}, whole_keys->offset + start), source.device());
  const ImageSize middle = size_after(transform.bytes, in), out = size_after(transform.floats, middle);
  const ChannelScale scale(kOp, transform.scale, middle.channels);
  return emit_one(kTransform, TransformCall{&transform, &scale, in, middle, out, random}, {images, positions, key_values});
}

}  // namespace cnnx
