// Transforms of images that lie on the device: flips, crops, affine maps, resizing, values; batches of bytes become floats.
//
// Shapes: source (samples, image) uint8, index and keys (count), out (count, image) float32; or a single image of bytes, floats
// or doubles. A block makes one image, step after step: its first thread draws the parameters of all steps (Philox words in the
// order of the CPU), then all threads make the pixels of each step's output, a barrier between two steps. The first step reads
// the data set, the last one that is done writes the batch, and between them images are in two buffers that take turns, in shared
// memory where both fit into kSharedBytes, else in the device's memory, with more threads a block. So a chain of any length is
// one launch, since the images that such nets take are small and launches are what their steps wait for; a step left out for an
// image costs nothing. 64 registers a thread, so that other blocks work while one draws. Large images in small batches leave
// multiprocessors idle: the price of one mapping for all.
// Bytes: 1 read and 4 written for a pixel, no more where the buffers are shared. Operations: about 30 for a pixel moved, 60 in
// double for a bilinear one, which bounds those on cards with few double units: results are the CPU's to the bit (compiled
// without contraction, see CMakeLists.txt).
//
// The gradient of a single image is one block's: each thread goes through all pixels in the CPU's order, and adds what falls into
// its rows. So sums are the CPU's to the bit, and a few microseconds for a thousand pixels are what they cost.
#include <algorithm>

#include "cnnx/error.h"
#include "kernels/cuda/random_key.h"
#include "kernels/cuda/scratch.h"
#include "kernels/transform_pixels.h"

namespace cnnx::cuda {
namespace {

constexpr int kThreads = 256, kManyThreads = 512, kMaxBlocks = 4096;
constexpr int64_t kSharedBytes = 32 << 10;

// A pixel for each of the block's threads.
struct EachPixel {
  using Index = int32_t;
  template <class T, class F>
  __device__ void operator()(const ImageExtents& size, T* out, const F& pixel) const {
    const uint32_t count = static_cast<uint32_t>(size.numel()), width = static_cast<uint32_t>(size.width);
    const uint32_t plane = static_cast<uint32_t>(size.plane());
    for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
      const uint32_t c = i / plane, rest = i - c * plane, y = rest / width;
      out[i] = pixel(static_cast<int32_t>(c), static_cast<int32_t>(y), static_cast<int32_t>(rest - y * width));
    }
  }
};

__device__ void scale(const ImageOp& op, const double* table, const uint8_t* in, float* out) {
  const float divisor = static_cast<float>(op.p);
  const int32_t width = static_cast<int32_t>(op.in.width), plane = static_cast<int32_t>(op.in.plane());
  EachPixel()(op.out, out, [&](int32_t c, int32_t y, int32_t x) {
    const float value = static_cast<float>(in[c * plane + y * width + x]) / divisor;
    if (!op.normalises) return value;
    return (value - static_cast<float>(table[c])) / static_cast<float>(table[op.in.channels + c]);
  });
}

// `scratch`: two buffers for each block, or null if they are in shared memory.
__global__ void __launch_bounds__(kManyThreads, 2)
    transform_kernel(ImageBatch b, RandomKey random, uint8_t* scratch, int32_t* faults) {
  CNNX_DYNAMIC_SHARED(uint8_t, shared);
  DrawnStep* drawn = reinterpret_cast<DrawnStep*>(shared);
  uint8_t* buffers = scratch != nullptr ? scratch + blockIdx.x * 2 * b.room : shared + b.op_count * sizeof(DrawnStep);
  const int64_t in_bytes = b.in.numel() * size_of(b.in_type), out_bytes = b.out.numel() * size_of(b.out_type);
  for (int64_t image = blockIdx.x; image < b.count; image += gridDim.x) {
    uint8_t* result = static_cast<uint8_t*>(b.out_data) + image * out_bytes;
    const int64_t row = b.index == nullptr ? image : b.index[image];
    if (row < 0 || row >= b.samples) {
      if (threadIdx.x == 0) faults[int(Fault::row_index)] = 1;
      for (int64_t i = threadIdx.x; i < out_bytes; i += blockDim.x) result[i] = 0;
      continue;
    }
    if (threadIdx.x == 0) {
      const RandomKey at = now(random);
      draw_all(b, at.seed, at.call, b.keys == nullptr ? 0 : static_cast<uint64_t>(b.keys[image]), drawn);
    }
    __syncthreads();
    int last = b.op_count - 1;                      // that is done
    while (last >= 0 && !drawn[last].done) --last;  // nothing is done to a single image alone: batches become floats
    const void* from = static_cast<const uint8_t*>(b.source) + row * in_bytes;
    for (int64_t i = threadIdx.x; last < 0 && i < out_bytes; i += blockDim.x) result[i] = static_cast<const uint8_t*>(from)[i];
    if (last < 0) __syncthreads();  // the next image's draws overwrite what was just looked at
    int turn = 0;
    for (int i = 0; i <= last; ++i) {
      if (!drawn[i].done) continue;
      const ImageOp& op = b.ops[i];
      const double* table = b.table + op.table;
      void* to = i == last ? static_cast<void*>(result) : buffers + turn * b.room;
      if (op.kind == ImageOp::Kind::scale) scale(op, table, static_cast<const uint8_t*>(from), static_cast<float*>(to));
      else run_op<EachPixel>(op, drawn[i], table, from, to);
      __syncthreads();
      from = to;
      turn = 1 - turn;
    }
  }
}

// Drawn steps in shared memory.
int64_t drawn_bytes(const char* op, const ImageBatch& b) {
  const int64_t bytes = b.op_count * int64_t(sizeof(DrawnStep));
  if (bytes > kSharedBytes) throw ValueError(message(op, ": ", b.op_count, " steps are too many for a device"));
  if (b.largest >= INT32_MAX) throw ValueError(message(op, ": images of ", b.largest, " pixels are too large for a device"));
  return bytes;
}

}  // namespace

void transform_images(const Queue& queue, const ImageBatch& given) {
  const int64_t drawn = drawn_bytes("transform_images", given), blocks = std::min<int64_t>(given.count, kMaxBlocks);
  ImageBatch b = given;
  b.room = (b.room + 15) / 16 * 16;
  const RandomKey random = random_key(queue, "transform_images", b.seed, b.call);
  if (drawn + 2 * b.room <= kSharedBytes) {
    launch("transform_images", transform_kernel, dim3(unsigned(blocks)), dim3(kThreads), size_t(drawn + 2 * b.room), queue, b,
           random, static_cast<uint8_t*>(nullptr), faults(queue.device));
    return;
  }
  const int64_t few = std::min<int64_t>(blocks, 512);  // bounds the scratch memory
  const Scratch<uint8_t> scratch(queue, few * 2 * b.room);
  launch("transform_images", transform_kernel, dim3(unsigned(few)), dim3(kManyThreads), size_t(drawn), queue, b, random,
         scratch.data(), faults(queue.device));
}

namespace {
// `buffers`: two of the largest image.
template <class T>
__global__ void linear_kernel(ImageBatch b, bool transposed, RandomKey random, T* buffers) {
  CNNX_DYNAMIC_SHARED(uint8_t, shared);
  DrawnStep* drawn = reinterpret_cast<DrawnStep*>(shared);
  if (threadIdx.x == 0) {
    const RandomKey at = now(random);
    draw_all(b, at.seed, at.call, 0, drawn);
  }
  __syncthreads();
  const T* from = static_cast<const T*>(b.source);
  int turn = 0;
  for (int step = 0; step < b.op_count; ++step) {
    const int i = transposed ? b.op_count - 1 - step : step;
    const ImageOp& op = b.ops[i];
    if (!drawn[i].done) continue;
    T* to = buffers + turn * b.largest;
    const int64_t count = (transposed ? op.in : op.out).numel();
    for (int64_t k = threadIdx.x; k < count; k += blockDim.x) to[k] = 0;
    __syncthreads();
    add_linear(op, drawn[i], b.table + op.table, transposed, from, to,
               [](int64_t row) { return static_cast<uint32_t>(row) % blockDim.x == threadIdx.x; });
    __syncthreads();
    from = to;
    turn = 1 - turn;
  }
  const int64_t count = (transposed ? b.in : b.out).numel();
  for (int64_t k = threadIdx.x; k < count; k += blockDim.x) static_cast<T*>(b.out_data)[k] = from[k];
}

template <class T>
void run_linear(const Queue& queue, const ImageBatch& b, bool transposed) {
  const int64_t drawn = drawn_bytes("transform_linear", b);
  const Scratch<T> scratch(queue, 2 * b.largest);
  launch("transform_linear", linear_kernel<T>, dim3(1), dim3(kThreads), size_t(drawn), queue, b, transposed,
         random_key(queue, "transform_linear", b.seed, b.call), scratch.data());
}
}  // namespace

void transform_linear(const Queue& queue, const ImageBatch& b, bool transposed) {
  if (b.in_type == DType::float32) run_linear<float>(queue, b, transposed);
  else run_linear<double>(queue, b, transposed);
}

}  // namespace cnnx::cuda
