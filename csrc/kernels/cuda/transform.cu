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
#include <algorithm>

#include "kernels/cuda/random_key.h"
#include "kernels/cuda/scratch.h"
#include "kernels/image_steps.h"

namespace cnnx::cuda {
namespace {

constexpr int kThreads = 256, kManyThreads = 512, kMaxBlocks = 4096;
constexpr int64_t kSharedBytes = 32 << 10;

// What the first thread draws for a step.
struct Drawn {
  bool done;
  NearestWay way;
  int32_t top, left, height, width;
  double matrix[6];
  uint32_t fixed[6];
};

__device__ WarpShape warp_shape(const ImageOp& op) {
  return {op.in.channels, op.in.height, op.in.width,
          op.out.height,  op.out.width, op.warp.pillow ? WarpRules::pillow : WarpRules::tensor,
          op.bilinear};
}

__device__ void draw(const ImageOp& op, Draws& draws, Drawn& drawn) {
  drawn.done = true;
  switch (op.kind) {
    case ImageOp::Kind::flip: drawn.done = drawn_flip(op.p, draws); break;
    case ImageOp::Kind::window: {
      const bool both = op.rows.choices > 1 || op.columns.choices > 1;
      drawn.top = static_cast<int32_t>(both ? draws.integer(op.rows.choices) : op.rows.offset);
      drawn.left = static_cast<int32_t>(both ? draws.integer(op.columns.choices) : op.columns.offset);
      break;
    }
    case ImageOp::Kind::warp: {
      double* m = drawn.matrix;
      drawn_matrix(op.warp, op.in.height, op.in.width, draws, m);
      drawn.way = nearest_way(warp_shape(op), m);
      if (drawn.way == NearestWay::fixed)
        for (int k = 0; k < 6; ++k)
          drawn.fixed[k] = static_cast<uint32_t>(fixed_point(k % 3 == 2 ? first_center(m + k - 2) : m[k]));
      break;
    }
    case ImageOp::Kind::erase: {
      const Rectangle r = drawn_rectangle(op.erase, op.in.height, op.in.width, draws);
      drawn.done = r.height >= 0;
      drawn.top = static_cast<int32_t>(r.top);
      drawn.left = static_cast<int32_t>(r.left);
      drawn.height = static_cast<int32_t>(r.height);
      drawn.width = static_cast<int32_t>(r.width);
      break;
    }
    default: break;
  }
}

__device__ void draw_all(const ImageBatch& b, const RandomKey& random, uint64_t key, Drawn* drawn) {
  const RandomKey now = random.now();
  Draws draws(now.seed, now.call, key);
  for (int i = 0; i < b.op_count; ++i) {
    const ImageOp& op = b.ops[i];
    if (op.kind == ImageOp::Kind::sometimes) {
      drawn[i].done = false;  // nothing of its own
      if (op.p < draws.uniform())
        for (const int end = i + op.span; i < end;) drawn[++i].done = false;
    } else {
      draw(op, draws, drawn[i]);
    }
  }
}

// The pixel of the input's plane that a nearest neighbour by Pillow's rules shows, -1 outside.
__device__ int64_t nearest_pillow(const WarpShape& s, const Drawn& drawn, int32_t y, int32_t x) {
  const double* m = drawn.matrix;
  int64_t column, line;
  if (drawn.way == NearestWay::fixed) {  // sums wrap round in the middle, but not where they end
    const uint32_t* f = drawn.fixed;
    column = static_cast<int32_t>(f[2] + f[1] * static_cast<uint32_t>(y) + f[0] * static_cast<uint32_t>(x)) >> 16;
    line = static_cast<int32_t>(f[5] + f[4] * static_cast<uint32_t>(y) + f[3] * static_cast<uint32_t>(x)) >> 16;
    return column >= 0 && column < s.in_width && line >= 0 && line < s.in_height ? line * s.in_width + column : -1;
  }
  double u = first_center(m), v = first_center(m + 3);
  if (drawn.way == NearestWay::adding) {
    u = added_steps(u, m[0], x);
    v = added_steps(v, m[4], y);
  } else {
    u = u + m[0] * x + m[1] * y;
    v = v + m[3] * x + m[4] * y;
  }
  return within(u, s.in_width) && within(v, s.in_height) ? static_cast<int64_t>(v) * s.in_width + static_cast<int64_t>(u) : -1;
}

// to[c, y, x] = pixel(c, y, x) for the block's threads.
template <class Out, class F>
__device__ void each_pixel(const ImageExtents& size, Out* to, const F& pixel) {
  const uint32_t count = static_cast<uint32_t>(size.numel()), width = static_cast<uint32_t>(size.width);
  const uint32_t plane = width * static_cast<uint32_t>(size.height);
  for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
    const uint32_t c = i / plane, rest = i - c * plane, y = rest / width;
    to[i] = pixel(static_cast<int32_t>(c), static_cast<int32_t>(y), static_cast<int32_t>(rest - y * width));
  }
}

// A sum in double as a pixel; tensors of bytes go by way of floats, and are rounded.
template <class T>
__device__ T to_pixel(double value) {
  if constexpr (sizeof(T) > 1) return static_cast<T>(value);
  const float rounded = nearbyintf(static_cast<float>(value));
  return static_cast<T>(rounded < 0 ? 0.0f : rounded > 255 ? 255.0f : rounded);
}

template <class In, class Out>
__device__ void resample(const ImageOp& op, const double* table, const In* in, Out* out) {
  const int64_t width = op.in.width, plane = op.in.height * width;
  each_pixel(op.out, out, [&](int32_t c, int32_t y, int32_t x) {
    const double* entry = table + int64_t(op.horizontal ? x : y) * (op.taps + 2);
    const int64_t first = static_cast<int64_t>(entry[0]), count = static_cast<int64_t>(entry[1]);
    const In* from = in + c * plane + (op.horizontal ? y * width + first : first * width + x);
    const int64_t step = op.horizontal ? 1 : width;
    if constexpr (sizeof(In) == 1 && sizeof(Out) == 1)
      if (op.pillow) return sum_bytes(from, step, entry + 2, count);
    return to_pixel<Out>(sum_values(from, step, entry + 2, count));
  });
}

// A step that keeps the type of its pixels.
template <class T>
__device__ void run_step(const ImageOp& op, const Drawn& drawn, const double* table, const T* in, T* out) {
  using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const int32_t height = op.in.height, width = op.in.width;
  const auto plane = [=](int32_t c) { return in + int64_t(c) * height * width; };
  switch (op.kind) {
    case ImageOp::Kind::flip:
      each_pixel(op.out, out, [&](int32_t c, int32_t y, int32_t x) {
        return plane(c)[op.horizontal ? y * width + (width - 1 - x) : (height - 1 - y) * width + x];
      });
      break;
    case ImageOp::Kind::window:
      each_pixel(op.out, out, [&](int32_t c, int32_t y, int32_t x) {
        const int64_t line = op.rows.position(y, drawn.top, op.mode), column = op.columns.position(x, drawn.left, op.mode);
        return line < 0 || column < 0 ? static_cast<T>(table[c]) : plane(c)[line * width + column];
      });
      break;
    case ImageOp::Kind::warp: {
      const WarpShape s = warp_shape(op);
      const bool pillow = op.warp.pillow;
      each_pixel(op.out, out, [&](int32_t c, int32_t y, int32_t x) {
        const double fill = table[c];
        if (pillow && !s.bilinear) {
          const int64_t at = nearest_pillow(s, drawn, y, x);
          return at < 0 ? static_cast<T>(fill) : plane(c)[at];
        }
        const SourcePoint p = source_point(s, drawn.matrix, x, y);
        if (pillow) return static_cast<T>(bilinear_pillow(s, p, plane(c), fill));
        if (s.bilinear) return to_pixel<T>(bilinear_tensor(s, p, plane(c), op.has_fill, fill));
        const int64_t at = nearest_tensor(s, p);
        return at < 0 ? to_pixel<T>(fill) : plane(c)[at];
      });
      break;
    }
    case ImageOp::Kind::pick:
      each_pixel(op.out, out, [&](int32_t c, int32_t y, int32_t x) {
        return plane(c)[static_cast<int32_t>(table[y]) * width + static_cast<int32_t>(table[op.out.height + x])];
      });
      break;
    case ImageOp::Kind::grey:
      each_pixel(op.out, out, [&](int32_t, int32_t y, int32_t x) {
        const int32_t at = y * width + x;
        if (op.in.channels == 1) return in[at];
        const T red = in[at], green = plane(1)[at], blue = plane(2)[at];
        if constexpr (sizeof(T) == 1)
          if (op.pillow) return grey_pillow(red, green, blue);
        return static_cast<T>(grey_tensor<Wide>(static_cast<Wide>(red), static_cast<Wide>(green), static_cast<Wide>(blue)));
      });
      break;
    case ImageOp::Kind::erase:
      each_pixel(op.out, out, [&](int32_t c, int32_t y, int32_t x) {
        const bool erased = y >= drawn.top && y < drawn.top + drawn.height && x >= drawn.left && x < drawn.left + drawn.width;
        return erased ? static_cast<T>(table[c]) : plane(c)[y * width + x];
      });
      break;
    case ImageOp::Kind::normalise:
      each_pixel(op.out, out, [&](int32_t c, int32_t y, int32_t x) {
        const T mean = static_cast<T>(table[c]), deviation = static_cast<T>(table[op.in.channels + c]);
        return static_cast<T>((plane(c)[y * width + x] - mean) / deviation);
      });
      break;
    default: break;
  }
}

__device__ void scale(const ImageOp& op, const double* table, const uint8_t* in, float* out) {
  const float divisor = static_cast<float>(op.p);
  each_pixel(op.out, out, [&](int32_t c, int32_t y, int32_t x) {
    const float value = static_cast<float>(in[(int64_t(c) * op.in.height + y) * op.in.width + x]) / divisor;
    if (!op.normalises) return value;
    return (value - static_cast<float>(table[c])) / static_cast<float>(table[op.in.channels + c]);
  });
}

__device__ void run_any(const ImageOp& op, const Drawn& drawn, const double* table, const void* in, void* out) {
  const auto* bytes_in = static_cast<const uint8_t*>(in);
  const auto* floats_in = static_cast<const float*>(in);
  auto* bytes_out = static_cast<uint8_t*>(out);
  auto* floats_out = static_cast<float*>(out);
  const bool to_bytes = op.out_type == PixelType::bytes;
  if (op.kind == ImageOp::Kind::scale) return scale(op, table, bytes_in, floats_out);
  const bool resamples = op.kind == ImageOp::Kind::resample;
  switch (op.in_type) {
    case PixelType::bytes:
      if (!resamples) run_step(op, drawn, table, bytes_in, bytes_out);
      else if (to_bytes) resample(op, table, bytes_in, bytes_out);
      else resample(op, table, bytes_in, floats_out);
      break;
    case PixelType::floats:
      if (!resamples) run_step(op, drawn, table, floats_in, floats_out);
      else if (to_bytes) resample(op, table, floats_in, bytes_out);
      else resample(op, table, floats_in, floats_out);
      break;
    case PixelType::doubles:
      if (!resamples) run_step(op, drawn, table, static_cast<const double*>(in), static_cast<double*>(out));
      else resample(op, table, static_cast<const double*>(in), static_cast<double*>(out));
      break;
  }
}

__device__ int64_t size_of(PixelType type) { return type == PixelType::bytes ? 1 : type == PixelType::floats ? 4 : 8; }

// `scratch`: two buffers for each block, or null if they are in shared memory.
__global__ void __launch_bounds__(kManyThreads, 2)
    transform_kernel(ImageBatch b, RandomKey random, uint8_t* scratch, int32_t* faults) {
  CNNX_DYNAMIC_SHARED(uint8_t, shared);
  Drawn* drawn = reinterpret_cast<Drawn*>(shared);
  uint8_t* buffers = scratch != nullptr ? scratch + blockIdx.x * 2 * b.room : shared + b.op_count * sizeof(Drawn);
  const int64_t in_bytes = b.in.numel() * size_of(b.in_type), out_bytes = b.out.numel() * size_of(b.out_type);
  for (int64_t image = blockIdx.x; image < b.count; image += gridDim.x) {
    uint8_t* result = static_cast<uint8_t*>(b.out_data) + image * out_bytes;
    const int64_t row = b.index == nullptr ? image : b.index[image];
    if (row < 0 || row >= b.samples) {
      if (threadIdx.x == 0) faults[int(Fault::row_index)] = 1;
      for (int64_t i = threadIdx.x; i < out_bytes; i += blockDim.x) result[i] = 0;
      continue;
    }
    if (threadIdx.x == 0) draw_all(b, random, b.keys == nullptr ? 0 : static_cast<uint64_t>(b.keys[image]), drawn);
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
      void* to = i == last ? static_cast<void*>(result) : buffers + turn * b.room;
      run_any(op, drawn[i], b.table + op.table, from, to);
      __syncthreads();
      from = to;
      turn = 1 - turn;
    }
  }
}

void transform_images(const Queue& queue, const ImageBatch& given) {
  ImageBatch b = given;
  b.room = (b.room + 15) / 16 * 16;
  const RandomKey random = random_key(queue, "transform_images", b.seed, b.call);
  const int64_t drawn = b.op_count * int64_t(sizeof(Drawn));
  const bool shared = drawn + 2 * b.room <= kSharedBytes;
  const int64_t blocks = std::min<int64_t>(b.count, kMaxBlocks);
  if (drawn > kSharedBytes) throw ValueError(message("transform_images: ", b.op_count, " steps are too many for a device"));
  if (shared) {
    launch("transform_images", transform_kernel, dim3(unsigned(blocks)), dim3(kThreads), size_t(drawn + 2 * b.room), queue, b,
           random, static_cast<uint8_t*>(nullptr), faults(queue.device));
    return;
  }
  const int64_t few = std::min<int64_t>(blocks, 512);  // bounds the scratch memory
  const Scratch<uint8_t> scratch(queue, few * 2 * b.room);
  launch("transform_images", transform_kernel, dim3(unsigned(few)), dim3(kManyThreads), size_t(drawn), queue, b, random,
         scratch.data(), faults(queue.device));
}

}  // namespace

void fill_transform(const Queue& queue, ElementTable& table) {
  table.transform_images = transform_images;
  table.upload = [](const Queue&, void* target, const void* source, size_t bytes) {
    upload("transform_images", target, source, bytes);
  };
}

}  // namespace cnnx::cuda
