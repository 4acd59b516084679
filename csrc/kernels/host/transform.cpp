// Transforms of images on the CPU, image by image between buffers that stay in cache. A batch of bytes that becomes floats goes
// block of lanes by block of lanes: the steps on bytes, then the gather kernel scales the block, then the steps on floats.
#include <cstring>
#include <numeric>
#include <vector>

#include "cnnx/dtype.h"
#include "device/per_thread.h"
#include "kernels/dispatch.h"
#include "kernels/host/host.h"
#include "kernels/transform_pixels.h"

namespace cnnx::host {
namespace {

constexpr int64_t kBlock = 16;  // images of a unit of work without lanes; the most lanes there are

// What a thread needs beside the output, kept because an image of 28 x 28 is done in less time than it takes to allocate.
struct Workspace {
  std::vector<DrawnStep> drawn;
  std::vector<uint8_t> buffers[2];   // between two steps
  std::vector<uint8_t> bytes;        // images after the steps on bytes
  std::vector<float> scaled, plain;  // images as floats, and after the steps on them
  std::vector<int32_t> lines[2];     // rows and columns that a step takes
};
Workspace& workspace() { return per_thread<Workspace>(); }

struct EachPixel {
  using Index = int64_t;
  template <class T, class F>
  void operator()(const ImageExtents& size, T* out, const F& pixel) const {
    for (int64_t c = 0; c < size.channels; ++c)
      for (int64_t y = 0; y < size.height; ++y)
        for (int64_t x = 0; x < size.width; ++x) *out++ = pixel(c, y, x);
  }
};

const std::vector<int32_t>& lines(const ImageOp& op, const DrawnStep& drawn, const double* table, bool column) {
  std::vector<int32_t>& at = workspace().lines[column];
  at.resize(static_cast<size_t>(column ? op.out.width : op.out.height));
  for (size_t i = 0; i < at.size(); ++i)
    at[i] = static_cast<int32_t>(source_line(op, drawn, table, column, static_cast<int64_t>(i)));
  return at;
}

// A step that takes rows and columns independently.
template <class T>
void move(const ImageOp& op, const DrawnStep& drawn, const double* table, const T* in, T* out) {
  const std::vector<int32_t>& rows = lines(op, drawn, table, false);
  const int32_t* at = lines(op, drawn, table, true).data();
  const int64_t width = op.out.width;
  // Outside are columns at the ends alone. Those between are copied as a run if they follow each other.
  int64_t first = 0, last = width;
  while (first < last && at[first] < 0) ++first;
  while (last > first && at[last - 1] < 0) --last;
  bool forwards = true;
  for (int64_t x = first + 1; x < last; ++x) forwards = forwards && at[x] == at[x - 1] + 1;
  for (int64_t c = 0; c < op.out.channels; ++c) {
    const T fill = outside<T>(op, table, c);
    for (int32_t row : rows) {
      T* to = out;
      out += width;
      if (row < 0) {
        std::fill(to, out, fill);
        continue;
      }
      const T* line = in + c * op.in.plane() + row * op.in.width;
      if (first > 0) std::fill(to, to + first, fill);
      if (last < width) std::fill(to + last, out, fill);
      if (first == last) continue;
      if (forwards) std::memcpy(to + first, line + at[first], static_cast<size_t>(last - first) * sizeof(T));
      else
        for (int64_t x = first; x < last; ++x) to[x] = line[at[x]];
    }
  }
}

template <class T>
void flip(const ImageOp& op, const DrawnStep&, const double*, const T* in, T* out) {
  const int64_t height = op.in.height, width = op.in.width;
  for (int64_t row = 0; row < op.in.channels * height; ++row, in += width) {
    if (op.horizontal) std::reverse_copy(in, in + width, out + row * width);
    else std::copy(in, in + width, out + (row + height - 1 - 2 * (row % height)) * width);
  }
}

template <class T>
void erase(const ImageOp& op, const DrawnStep& drawn, const double* table, const T* in, T* out) {
  std::copy(in, in + op.in.numel(), out);
  for (int64_t c = 0; c < op.out.channels; ++c)
    for (int64_t y = drawn.top; y < drawn.top + drawn.height; ++y)
      std::fill_n(out + c * op.out.plane() + y * op.out.width + drawn.left, drawn.width, static_cast<T>(table[c]));
}

template <class F>
void with_type(DType type, const F& f) {
  if (type == DType::uint8) f(uint8_t{});
  else if (type == DType::float32) f(float{});
  else f(double{});
}

void run(const Queue& queue, const ImageOp& op, const DrawnStep& drawn, const double* table, const void* in, void* out) {
  using Kind = ImageOp::Kind;
  const bool pillow_nearest = op.kind == Kind::warp && op.warp.pillow && !op.bilinear;
  const bool moves = op.kind == Kind::window || op.kind == Kind::pick || (pillow_nearest && drawn.way == NearestWay::adding);
  if (moves || op.kind == Kind::flip || op.kind == Kind::erase)
    return with_type(op.in_type, [&]<class T>(T) {
      const auto step = moves ? move<T> : op.kind == Kind::flip ? flip<T> : erase<T>;
      step(op, drawn, table, static_cast<const T*>(in), static_cast<T*>(out));
    });
  if (op.kind == ImageOp::Kind::warp && op.warp.pillow && op.in_type == DType::uint8 &&
      (op.bilinear || drawn.way == NearestWay::fixed))
    return kernels<float>().warp_u8(queue, {op.in.channels, op.in.height, op.in.width, op.out.height, op.out.width, op.bilinear},
                                    drawn.matrix, table, static_cast<const uint8_t*>(in), static_cast<uint8_t*>(out));
  run_op<EachPixel>(op, drawn, table, in, out);
}

// An image through steps [begin, end), of what they have drawn.
void run_steps(const Queue& queue, const ImageBatch& b, int64_t begin, int64_t end, const DrawnStep* drawn, const void* image,
               void* out) {
  Workspace& space = workspace();
  for (std::vector<uint8_t>& buffer : space.buffers)
    if (buffer.size() < static_cast<size_t>(b.room)) buffer.resize(static_cast<size_t>(b.room));
  int64_t last = end - 1;
  while (last >= begin && !drawn[last].done) --last;
  if (last < begin) {
    const ImageExtents& size = begin < b.op_count ? b.ops[begin].in : b.in;
    const DType type = begin < b.op_count ? b.ops[begin].in_type : b.in_type;
    std::memcpy(out, image, static_cast<size_t>(size.numel() * size_of(type)));
  }
  for (int64_t i = begin, turn = 0; i <= last; ++i) {
    if (!drawn[i].done) continue;
    void* to = i == last ? out : space.buffers[turn].data();
    run(queue, b.ops[i], drawn[i], b.table + b.ops[i].table, image, to);
    image = to;
    turn = 1 - turn;
  }
}

// Images [first, first + n) of the batch into `out`: plain, or one block of lanes.
struct Block {
  const Queue& queue;
  const ImageBatch& b;
  int64_t scale;            // which step scales, -1: none
  std::vector<float> norm;  // mean, then deviation of each channel

  Block(const Queue& on, const ImageBatch& batch) : queue(on), b(batch), scale(batch.op_count - 1) {
    while (scale >= 0 && b.ops[scale].kind != ImageOp::Kind::scale) --scale;
    if (scale < 0 || !b.ops[scale].normalises) return;
    const double* values = b.table + b.ops[scale].table;
    norm.assign(values, values + 2 * b.ops[scale].in.channels);
  }

  void run(int64_t first, int64_t n, uint8_t* out) const {
    Workspace& space = workspace();
    space.drawn.resize(static_cast<size_t>(n * b.op_count));
    const auto drawn = [&](int64_t i) { return space.drawn.data() + i * b.op_count; };
    for (int64_t i = 0; i < n; ++i)
      draw_all(b, b.seed, b.call, b.keys == nullptr ? 0 : static_cast<uint64_t>(b.keys[first + i]), drawn(i));
    const auto source = [&](int64_t i) {
      const int64_t row = b.index == nullptr ? first + i : b.index[first + i];
      return static_cast<const uint8_t*>(b.source) + row * b.in.numel() * size_of(b.in_type);
    };
    if (scale < 0) {
      for (int64_t i = 0; i < n; ++i)
        run_steps(queue, b, 0, b.op_count, drawn(i), source(i), out + i * b.out.numel() * size_of(b.out_type));
      return;
    }
    const ImageOp& op = b.ops[scale];
    const int64_t pixels = op.in.numel(), results = b.out.numel();
    const uint8_t* bytes = static_cast<const uint8_t*>(b.source);
    const int64_t* index = b.index + first;
    if (scale > 0) {
      static const std::vector<int64_t> identity = [] {
        std::vector<int64_t> numbers(kBlock);
        std::iota(numbers.begin(), numbers.end(), 0);
        return numbers;
      }();
      space.bytes.resize(static_cast<size_t>(n * pixels));
      for (int64_t i = 0; i < n; ++i) run_steps(queue, b, 0, scale, drawn(i), source(i), space.bytes.data() + i * pixels);
      bytes = space.bytes.data();
      index = identity.data();
    }
    const bool more = scale + 1 < b.op_count;
    float *floats = reinterpret_cast<float*>(out), *scaled = floats, *plain = floats;
    if (more) {
      space.scaled.resize(static_cast<size_t>(n * pixels));
      scaled = space.scaled.data();
    }
    const float* mean = norm.empty() ? nullptr : norm.data();
    kernels<float>().gather_u8(queue, {n, op.in.channels, op.in.plane(), more ? 1 : b.lanes}, bytes, index,
                               static_cast<float>(op.p), mean, mean == nullptr ? nullptr : mean + op.in.channels, scaled);
    if (!more) return;
    if (b.lanes > 1) {
      space.plain.resize(static_cast<size_t>(n * results));
      plain = space.plain.data();
    }
    for (int64_t i = 0; i < n; ++i)
      run_steps(queue, b, scale + 1, b.op_count, drawn(i), scaled + i * pixels, plain + i * results);
    if (b.lanes > 1) kernels<float>().pack_lanes(queue, n, results, b.lanes, plain, floats);
  }
};

}  // namespace

void transform_images(const Queue& queue, const ImageBatch& b) {
  const Block work(queue, b);
  const int64_t block = b.lanes > 1 ? b.lanes : kBlock, units = (b.count + block - 1) / block;
  const int64_t unit_bytes = block * b.out.numel() * size_of(b.out_type);
  const double pixels = static_cast<double>(block * std::max(b.in.numel(), b.out.numel()));
  parallel_for(units, 0.7 * static_cast<double>(b.op_count) * pixels, [&](int64_t unit) {
    work.run(unit * block, std::min(block, b.count - unit * block), static_cast<uint8_t*>(b.out_data) + unit * unit_bytes);
  });
}

void transform_linear(const Queue&, const ImageBatch& b, bool transposed) {
  std::vector<DrawnStep> drawn(static_cast<size_t>(b.op_count));
  draw_all(b, b.seed, b.call, 0, drawn.data());
  with_type(b.in_type, [&]<class T>(T) {
    const T* from = static_cast<const T*>(b.source);
    std::vector<T> buffers[2];
    for (int64_t step = 0, turn = 0; step < b.op_count; ++step) {
      const int64_t i = transposed ? b.op_count - 1 - step : step;
      const ImageOp& op = b.ops[i];
      if (!drawn[static_cast<size_t>(i)].done) continue;
      std::vector<T>& to = buffers[turn];
      to.assign(static_cast<size_t>((transposed ? op.in : op.out).numel()), T(0));
      add_linear(op, drawn[static_cast<size_t>(i)], b.table + op.table, transposed, from, to.data(),
                 [](int64_t) { return true; });
      from = to.data();
      turn = 1 - turn;
    }
    std::copy_n(from, (transposed ? b.in : b.out).numel(), static_cast<T*>(b.out_data));
  });
}

void upload(const Queue&, void* target, const void* source, size_t bytes) { std::memcpy(target, source, bytes); }

}  // namespace cnnx::host
