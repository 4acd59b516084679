// The transforms of Winograd's minimal filtering (conv2d_winograd.cpp) on vectors: of a plane of images, or of channels.
#pragma once

#include "kernels/cpu/conv2d.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// G, by kernel size: row p is (1, a, a^2, ...) of the point a, scaled.
template <int R>
inline float kernel_point(int point, int tap) {
  constexpr float kScale[kPoints] = {1.0f / 4, -1.0f / 6, -1.0f / 6, 1.0f / 24, 1.0f / 24, 1.0f};
  constexpr float kAt[kPoints] = {0, 1, -1, 2, -2, 0};
  if (point == kPoints - 1) return tap == R - 1 ? 1.0f : 0.0f;
  float power = 1;
  for (int i = 0; i < tap; ++i) power *= kAt[point];
  return power * kScale[point];
}

// G g along one axis: the same, sums and differences shared.
template <int R>
inline void transform_kernel(const Vec (&g)[R], Vec (&out)[kPoints]) {
  Vec even = g[0] + g[2], odd = g[1], even2 = g[0] + 4.0f * g[2], odd2 = 2.0f * g[1];
  if constexpr (R > 3) {
    even += g[4];
    odd += g[3];
    even2 += 16.0f * g[4];
    odd2 += 8.0f * g[3];
  }
  out[0] = 0.25f * g[0];
  out[1] = (-1.0f / 6) * (even + odd);
  out[2] = (-1.0f / 6) * (even - odd);
  out[3] = (1.0f / 24) * (even2 + odd2);
  out[4] = (1.0f / 24) * (even2 - odd2);
  out[5] = g[R - 1];
}

// G g G^T of kernel[tap].
template <int R>
inline void transform_kernels(const float* kernel, Vec (&out)[kPoints][kPoints]) {
  Vec half[kPoints][R];
  for (int x = 0; x < R; ++x) {
    Vec column[R], points[kPoints];
    for (int y = 0; y < R; ++y) column[y] = load(kernel + (y * R + x) * kLanes);
    transform_kernel<R>(column, points);
    for (int p = 0; p < kPoints; ++p) half[p][x] = points[p];
  }
  for (int p = 0; p < kPoints; ++p) transform_kernel<R>(half[p], out[p]);
}

// B^T d along one axis.
inline void transform_input(const Vec (&d)[kPoints], Vec (&out)[kPoints]) {
  const Vec even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
  const Vec even2 = d[4] - d[2], odd2 = 2.0f * (d[3] - d[1]);
  out[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
  out[1] = even + odd;
  out[2] = even - odd;
  out[3] = even2 + odd2;
  out[4] = even2 - odd2;
  out[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

// A^T x along one axis: M outputs from the six points.
template <int M>
inline void transform_output(const Vec (&x)[kPoints], Vec (&out)[M]) {
  const Vec sum = x[1] + x[2], difference = x[1] - x[2], sum2 = x[3] + x[4], difference2 = x[3] - x[4];
  out[0] = x[0] + sum + sum2;
  out[1] = difference + 2.0f * difference2;
  if constexpr (M > 2) {
    out[2] = sum + 4.0f * sum2;
    out[3] = difference + 8.0f * difference2;
  }
  out[M - 1] += x[5];
}

// The height x width window at (y, x) of a plane, side by side; zeros outside.
inline void copy_window(const float* plane, int64_t in_height, int64_t in_width, int64_t y, int64_t x, int64_t height,
                        int64_t width, float* to) {
  const int64_t left = min(max(-x, 0), width), end = max(min(in_width - x, width), left);
  for (int64_t r = 0; r < height; ++r, to += width * kLanes) {
    if (y + r < 0 || y + r >= in_height) {
      zero_pixels(width, kLanes, to);
      continue;
    }
    zero_pixels(left, kLanes, to);
    copy_pixels(plane + ((y + r) * in_width + x + left) * kLanes, end - left, kLanes, to + left * kLanes);
    zero_pixels(width - end, kLanes, to + end * kLanes);
  }
}

// The 6x6 input tile at (y, x) of one plane, zeros outside, transformed to to[point * point_pitch].
inline void input_tile(const ConvPlan& c, const float* plane, int64_t y, int64_t x, float* to, int64_t point_pitch) {
  alignas(64) float edge[kGrid * kLanes];
  const float* from = plane + (y * c.in_width + x) * kLanes;
  int64_t pitch = c.in_width * kLanes;
  if (y < 0 || x < 0 || y + kPoints > c.in_height || x + kPoints > c.in_width) {
    copy_window(plane, c.in_height, c.in_width, y, x, kPoints, kPoints, edge);
    from = edge;
    pitch = kPoints * kLanes;
  }
  Vec half[kPoints][kPoints];
  for (int j = 0; j < kPoints; ++j) {
    Vec column[kPoints], out[kPoints];
    for (int i = 0; i < kPoints; ++i) column[i] = load(from + i * pitch + j * kLanes);
    transform_input(column, out);
    for (int i = 0; i < kPoints; ++i) half[i][j] = out[i];
  }
  for (int i = 0; i < kPoints; ++i) {
    Vec out[kPoints];
    transform_input(half[i], out);
    for (int j = 0; j < kPoints; ++j) store(to + (i * kPoints + j) * point_pitch, out[j]);
  }
}

// The M x M outputs, or the first rows and columns of them, of from[point * point_pitch].
template <int M, class F>
inline void output_tile(const float* from, int64_t point_pitch, Vec start, const F& finish, int64_t rows, int64_t columns,
                        float* to, int64_t row_pitch) {
  Vec half[M][kPoints];
  for (int j = 0; j < kPoints; ++j) {
    Vec column[kPoints], out[M];
    for (int i = 0; i < kPoints; ++i) column[i] = load(from + (i * kPoints + j) * point_pitch);
    transform_output<M>(column, out);
    for (int i = 0; i < M; ++i) half[i][j] = out[i];
  }
  for (int i = 0; i < M; ++i) {
    if (i >= rows) break;
    Vec out[M];
    transform_output<M>(half[i], out);
    for (int j = 0; j < M; ++j)
      if (j < columns) store(to + i * row_pitch + j * kLanes, finish(out[j] + start));
  }
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
