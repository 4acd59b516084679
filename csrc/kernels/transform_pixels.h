// The arithmetic of transforms, pixel by pixel: shared by the CPU and devices, so that both give the same bits.
// Compile without contraction to fused multiply-adds (elementary.h).
#pragma once

#include <type_traits>

#include "kernels/transform.h"

// What runs a step: for one device, or for the host.
#ifdef __CUDACC__
#define CNNX_STEP __device__
#else
#define CNNX_STEP
#endif

namespace cnnx {

// ---- Where pixels come from.

// Pillow's floor of a coordinate; only its sign matters below 0.
CNNX_BOTH inline int64_t whole(double v) { return v < 0.0 ? -1 : static_cast<int64_t>(v); }
CNNX_BOTH inline bool within(double v, int64_t extent) { return v >= 0.0 && v < static_cast<double>(extent); }
CNNX_BOTH inline int64_t clamped(int64_t i, int64_t extent) { return i < 0 ? 0 : i < extent ? i : extent - 1; }

// For steps that take rows and columns of pixels independently: the input's row for the output's row i, or column for column i;
// -1: outside.
CNNX_BOTH inline int64_t source_line(const ImageOp& op, const DrawnStep& drawn, const double* table, bool column, int64_t i) {
  const int64_t extent = column ? op.in.width : op.in.height;
  switch (op.kind) {
    case ImageOp::Kind::flip: return op.horizontal == column ? extent - 1 - i : i;
    case ImageOp::Kind::window: return (column ? op.columns : op.rows).position(i, column ? drawn.left : drawn.top, op.mode);
    case ImageOp::Kind::pick: return static_cast<int64_t>(table[column ? op.out.height + i : i]);
    default: {
      const double* m = column ? drawn.matrix : drawn.matrix + 3;
      const double at = added_steps(first_center(m), m[column ? 0 : 1], i);
      return within(at, extent) ? static_cast<int64_t>(at) : -1;
    }
  }
}

// Coordinates in the input of the output pixel's centre, counted from the top left corner.
struct SourcePoint {
  double x, y;
};
CNNX_BOTH inline SourcePoint source_point(const ImageOp& op, const double* m, int64_t x, int64_t y) {
  double u = static_cast<double>(x) + 0.5, v = static_cast<double>(y) + 0.5;
  if (op.warp.pillow) return {m[0] * u + m[1] * v + m[2], m[3] * u + m[4] * v + m[5]};
  u -= 0.5 * static_cast<double>(op.out.width);
  v -= 0.5 * static_cast<double>(op.out.height);
  return {m[0] * u + m[1] * v + m[2] + 0.5 * static_cast<double>(op.in.width),
          m[3] * u + m[4] * v + m[5] + 0.5 * static_cast<double>(op.in.height)};
}

// The nearest pixel's place in the plane, -1 outside.
CNNX_BOTH inline int64_t nearest_pixel(const ImageOp& op, const DrawnStep& drawn, int64_t y, int64_t x) {
  const double *m = drawn.matrix, i = static_cast<double>(x), j = static_cast<double>(y);
  double column, line;
  if (!op.warp.pillow) {
    const SourcePoint p = source_point(op, m, x, y);
    column = nearbyint(p.x - 0.5);
    line = nearbyint(p.y - 0.5);
  } else if (drawn.way == NearestWay::fixed) {  // sums wrap round in the middle, but not where they end
    const uint32_t *f = drawn.fixed, u = static_cast<uint32_t>(x), v = static_cast<uint32_t>(y);
    const int64_t at_x = static_cast<int32_t>(f[2] + f[1] * v + f[0] * u) >> 16;
    const int64_t at_y = static_cast<int32_t>(f[5] + f[4] * v + f[3] * u) >> 16;
    return at_x >= 0 && at_x < op.in.width && at_y >= 0 && at_y < op.in.height ? at_y * op.in.width + at_x : -1;
  } else if (drawn.way == NearestWay::adding) {
    column = added_steps(first_center(m), m[0], x);
    line = added_steps(first_center(m + 3), m[4], y);
  } else {
    column = first_center(m) + m[0] * i + m[1] * j;
    line = first_center(m + 3) + m[3] * i + m[4] * j;
  }
  if (!within(column, op.in.width) || !within(line, op.in.height)) return -1;
  return static_cast<int64_t>(line) * op.in.width + static_cast<int64_t>(column);
}

// ---- Values.

// A sum in double as a pixel; tensors of bytes go by way of floats, and are rounded.
template <class T>
CNNX_BOTH T to_pixel(double value) {
  if constexpr (sizeof(T) > 1) return static_cast<T>(value);
  const float rounded = nearbyintf(static_cast<float>(value));
  return static_cast<T>(rounded < 0 ? 0.0f : rounded > 255 ? 255.0f : rounded);
}

// What lies outside the image.
template <class T>
CNNX_BOTH T outside(const ImageOp& op, const double* table, int64_t c) {
  return op.kind == ImageOp::Kind::window || op.kind == ImageOp::Kind::warp ? to_pixel<T>(table[c]) : T(0);
}

// Between the four neighbours, of which those outside repeat the rim; `fill` if the point itself is outside.
template <class E>
CNNX_BOTH double bilinear_pillow(const ImageOp& op, SourcePoint p, const E* plane, double fill) {
  if (!within(p.x, op.in.width) || !within(p.y, op.in.height)) return fill;
  const double u = p.x - 0.5, v = p.y - 0.5;
  const int64_t x = whole(u), y = whole(v);
  const double dx = u - static_cast<double>(x), dy = v - static_cast<double>(y);
  double mixed[2];
  for (int j = 0; j < 2; ++j) {
    const E* line = plane + clamped(y + j, op.in.height) * op.in.width;
    const double a = line[clamped(x, op.in.width)], b = line[clamped(x + 1, op.in.width)];
    mixed[j] = a + (b - a) * dx;
  }
  return mixed[0] + (mixed[1] - mixed[0]) * dy;
}

// grid_sample with zeros outside; with a fill, torchvision samples an image of ones beside it, and mixes by it.
template <class E>
CNNX_BOTH double bilinear_tensor(const ImageOp& op, SourcePoint p, const E* plane, double fill) {
  const double u = p.x - 0.5, v = p.y - 0.5, x = floor(u), y = floor(v);
  double value = 0, inside = 0;
  for (int j = 0; j < 2; ++j)
    for (int i = 0; i < 2; ++i) {
      const double column = x + i, line = y + j;
      if (!within(column, op.in.width) || !within(line, op.in.height)) continue;
      const double weight = (i == 0 ? x + 1 - u : u - x) * (j == 0 ? y + 1 - v : v - y);
      value += weight * static_cast<double>(plane[static_cast<int64_t>(line) * op.in.width + static_cast<int64_t>(column)]);
      inside += weight;
    }
  return op.has_fill ? value * inside + (1.0 - inside) * fill : value;
}

// A pixel of an affine map, from the plane of its channel.
template <class T>
CNNX_BOTH T warped(const ImageOp& op, const DrawnStep& drawn, const double* table, const T* plane, int64_t c, int64_t y,
                   int64_t x) {
  if (!op.bilinear) {
    const int64_t at = nearest_pixel(op, drawn, y, x);
    return at < 0 ? outside<T>(op, table, c) : plane[at];
  }
  const SourcePoint p = source_point(op, drawn.matrix, x, y);
  if (op.warp.pillow) return static_cast<T>(bilinear_pillow(op, p, plane, table[c]));
  return to_pixel<T>(bilinear_tensor(op, p, plane, table[c]));
}

CNNX_BOTH inline uint8_t grey_pillow(uint8_t red, uint8_t green, uint8_t blue) {
  return static_cast<uint8_t>((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
}
template <class F>
CNNX_BOTH F grey_tensor(F red, F green, F blue) {
  return F(0.2989) * red + F(0.587) * green + F(0.114) * blue;
}

// A weighted sum along a line of pixels that are `step` apart.
CNNX_BOTH inline uint8_t sum_bytes(const uint8_t* in, int64_t step, const int32_t* weights, int64_t count) {
  int32_t sum = 1 << (kFixedBits - 1);
  for (int64_t k = 0; k < count; ++k) sum += in[k * step] * weights[k];
  sum >>= kFixedBits;
  return static_cast<uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}
template <class T>
CNNX_BOTH double sum_values(const T* in, int64_t step, const double* weights, int64_t count) {
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) sum += static_cast<double>(in[k * step]) * weights[k];
  return sum;
}

// ---- Steps. Each()(size, out, pixel) makes out[c, y, x] = pixel(c, y, x); the positions are of the type Each::Index.

// Weight: int32_t in fixed point, else double.
template <class Each, class Weight, class In, class Out>
CNNX_STEP void resample(const ImageOp& op, const double* table, const In* in, Out* out) {
  using I = typename Each::Index;
  const I width = static_cast<I>(op.in.width), plane = static_cast<I>(op.in.plane()), step = op.horizontal ? 1 : width;
  Each()(op.out, out, [=, horizontal = op.horizontal, apart = op.taps](I c, I y, I x) {
    const Taps& taps = *reinterpret_cast<const Taps*>(table + int64_t(horizontal ? x : y) * apart);
    const In* from = in + c * plane + (horizontal ? y * width : x) + taps.first * step;
    if constexpr (std::is_same_v<Weight, int32_t>) return sum_bytes(from, step, taps.weights<Weight>(), taps.count);
    else return to_pixel<Out>(sum_values(from, step, taps.weights<Weight>(), taps.count));
  });
}

// A step that keeps the type of its pixels.
template <class Each, class T>
CNNX_STEP void run_step(const ImageOp& op, const DrawnStep& drawn, const double* table, const T* in, T* out) {
  using I = typename Each::Index;
  using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const I width = static_cast<I>(op.in.width), plane = static_cast<I>(op.in.plane());
  switch (op.kind) {
    case ImageOp::Kind::flip:
    case ImageOp::Kind::window:
    case ImageOp::Kind::pick:
      Each()(op.out, out, [=, &op, &drawn](I c, I y, I x) {
        const int64_t line = source_line(op, drawn, table, false, y), column = source_line(op, drawn, table, true, x);
        if (line < 0 || column < 0) return outside<T>(op, table, c);
        return in[c * plane + static_cast<I>(line) * width + static_cast<I>(column)];
      });
      break;
    case ImageOp::Kind::warp:
      Each()(op.out, out, [=, &op, &drawn](I c, I y, I x) { return warped(op, drawn, table, in + c * plane, c, y, x); });
      break;
    case ImageOp::Kind::grey:
      Each()(op.out, out, [=, &op](I, I y, I x) {
        const T* pixel = in + y * width + x;
        if (op.in.channels == 1) return *pixel;
        if constexpr (sizeof(T) == 1)
          if (op.pillow) return grey_pillow(pixel[0], pixel[plane], pixel[2 * plane]);
        return static_cast<T>(
            grey_tensor(static_cast<Wide>(pixel[0]), static_cast<Wide>(pixel[plane]), static_cast<Wide>(pixel[2 * plane])));
      });
      break;
    case ImageOp::Kind::erase:
      Each()(op.out, out, [=, &drawn](I c, I y, I x) {
        const bool erased = y >= drawn.top && y < drawn.top + drawn.height && x >= drawn.left && x < drawn.left + drawn.width;
        return erased ? static_cast<T>(table[c]) : in[c * plane + y * width + x];
      });
      break;
    case ImageOp::Kind::normalise:
      Each()(op.out, out, [=, deviations = table + op.in.channels](I c, I y, I x) {
        return static_cast<T>((in[c * plane + y * width + x] - static_cast<T>(table[c])) / static_cast<T>(deviations[c]));
      });
      break;
    default: break;
  }
}

// Bytes become floats in a resampling alone, floats bytes as well.
template <class Each, class T>
CNNX_STEP void run_any(const ImageOp& op, const DrawnStep& drawn, const double* table, const T* in, void* out) {
  if (op.kind != ImageOp::Kind::resample) return run_step<Each>(op, drawn, table, in, static_cast<T*>(out));
  if constexpr (std::is_same_v<T, uint8_t>)
    if (op.fixed_point) return resample<Each, int32_t>(op, table, in, static_cast<uint8_t*>(out));
  if constexpr (std::is_same_v<T, double>) return resample<Each, double>(op, table, in, static_cast<double*>(out));
  else if (op.out_type == DType::uint8) resample<Each, double>(op, table, in, static_cast<uint8_t*>(out));
  else resample<Each, double>(op, table, in, static_cast<float*>(out));
}

// Any step but `scale`.
template <class Each>
CNNX_STEP void run_op(const ImageOp& op, const DrawnStep& drawn, const double* table, const void* in, void* out) {
  switch (op.in_type) {
    case DType::uint8: return run_any<Each>(op, drawn, table, static_cast<const uint8_t*>(in), out);
    case DType::float32: return run_any<Each>(op, drawn, table, static_cast<const float*>(in), out);
    default: return run_any<Each>(op, drawn, table, static_cast<const double*>(in), out);
  }
}

// ---- Gradients. Every step is affine in the pixels once its parameters are drawn.

// Calls f(line, column, weight) for the pixels of a plane that pixel (y, x) of the output is the weighted sum of.
template <class F>
CNNX_STEP void each_source(const ImageOp& op, const DrawnStep& drawn, const double* table, int64_t y, int64_t x, const F& f) {
  const int64_t height = op.in.height, width = op.in.width;
  switch (op.kind) {
    case ImageOp::Kind::flip:
    case ImageOp::Kind::window:
    case ImageOp::Kind::pick: {
      const int64_t line = source_line(op, drawn, table, false, y), column = source_line(op, drawn, table, true, x);
      if (line >= 0 && column >= 0) f(line, column, 1.0);
      break;
    }
    case ImageOp::Kind::warp: {
      if (!op.bilinear) {
        const int64_t at = nearest_pixel(op, drawn, y, x);
        if (at >= 0) f(at / width, at % width, 1.0);
        break;
      }
      const SourcePoint p = source_point(op, drawn.matrix, x, y);
      const bool pillow = op.warp.pillow;
      if (pillow && !(within(p.x, width) && within(p.y, height))) break;
      const double left = floor(p.x - 0.5), top = floor(p.y - 0.5), dx = p.x - 0.5 - left, dy = p.y - 0.5 - top;
      double weights[4], inside = 0;
      for (int k = 0; k < 4; ++k) {
        const bool there = pillow || (within(left + k % 2, width) && within(top + k / 2, height));
        weights[k] = there ? (k % 2 == 0 ? 1 - dx : dx) * (k / 2 == 0 ? 1 - dy : dy) : 0;
        inside += weights[k];
      }
      for (int k = 0; k < 4; ++k)
        if (weights[k] != 0)
          f(clamped(static_cast<int64_t>(top) + k / 2, height), clamped(static_cast<int64_t>(left) + k % 2, width),
            !pillow && op.has_fill ? weights[k] * inside : weights[k]);
      break;
    }
    case ImageOp::Kind::resample: {
      const Taps& taps = *reinterpret_cast<const Taps*>(table + (op.horizontal ? x : y) * op.taps);
      for (int32_t k = 0; k < taps.count; ++k)
        f(op.horizontal ? y : taps.first + k, op.horizontal ? taps.first + k : x, taps.weights<double>()[k]);
      break;
    }
    case ImageOp::Kind::erase:
      if (y >= drawn.top && y < drawn.top + drawn.height && x >= drawn.left && x < drawn.left + drawn.width) break;
      f(y, x, 1.0);
      break;
    default: f(y, x, 1.0);
  }
}

// What channel c of the output has of the input's channel k.
CNNX_STEP inline double channel_weight(const ImageOp& op, const double* table, int64_t c, int64_t k) {
  if (op.kind == ImageOp::Kind::normalise) return 1.0 / table[op.in.channels + c];
  if (op.kind != ImageOp::Kind::grey || op.in.channels == 1) return 1.0;
  return k == 0 ? 0.2989 : k == 1 ? 0.587 : 0.114;
}

// to += the linear part of a step, or its transpose, of `from`, in the order of the output's pixels; for those rows of `to`,
// counted over all channels, that are `mine`.
template <class T, class Mine>
CNNX_STEP void add_linear(const ImageOp& op, const DrawnStep& drawn, const double* table, bool transposed, const T* from, T* to,
                          const Mine& mine) {
  const bool mixes = op.kind == ImageOp::Kind::grey;
  for (int64_t y = 0; y < op.out.height; ++y)
    for (int64_t x = 0; x < op.out.width; ++x)
      each_source(op, drawn, table, y, x, [&](int64_t line, int64_t column, double weight) {
        for (int64_t c = 0; c < op.out.channels; ++c)
          for (int64_t k = mixes ? 0 : c, end = mixes ? op.in.channels : c + 1; k < end; ++k) {
            const int64_t in_row = k * op.in.height + line, out_row = c * op.out.height + y;
            if (!mine(transposed ? in_row : out_row)) continue;
            const int64_t in_at = in_row * op.in.width + column, out_at = out_row * op.out.width + x;
            to[transposed ? in_at : out_at] +=
                static_cast<T>(weight * channel_weight(op, table, c, k)) * from[transposed ? out_at : in_at];
          }
      });
}

}  // namespace cnnx
