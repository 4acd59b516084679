// Affine maps of one image of bytes, by Pillow's rules and to the bit: coordinates in 16.16 fixed point (nearest) or in double
// (bilinear). A channel has less than 2^31 pixels. A row is worked on in runs: coordinates and weights for the whole run in loops
// that the compiler turns into vectors, then the pixels one by one, then the mixing in vectors again. This file is compiled
// without fused multiply-adds.
#include "kernels/cpu/cpu.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int kRun = 64;    // output pixels
constexpr int kRound = 16;  // runs are rounded up to it, so that no vector loop has a rest

struct Mixing {
  alignas(64) int32_t first[kRun];        // index of the upper left of the four neighbours
  alignas(64) double dx[kRun], dy[kRun];  // 0 where the right or the lower neighbour is beyond the rim, so that it does not count
  alignas(64) int32_t inside[kRun];       // 0 or -1
};

inline int round_up(int64_t count) { return static_cast<int>((count + kRound - 1) / kRound * kRound); }

inline uint32_t fixed(double v) { return static_cast<uint32_t>(static_cast<int32_t>(floor(v * 65536.0 + 0.5))); }

// Sums wrap round in the middle, but not where they end.
void nearest(const WarpShape& s, const double* m, const double* fill, const uint8_t* input, uint8_t* output) {
  const uint32_t a0 = fixed(m[0]), a1 = fixed(m[1]), a3 = fixed(m[3]), a4 = fixed(m[4]);
  const uint32_t a2 = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5), a5 = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5);
  const uint32_t width = static_cast<uint32_t>(s.in_width), height = static_cast<uint32_t>(s.in_height);
  const int64_t plane = s.in_height * s.in_width, out_plane = s.out_height * s.out_width;
  alignas(64) int32_t at[kRun], inside[kRun];
  for (int64_t y = 0; y < s.out_height; ++y)
    for (int64_t begin = 0; begin < s.out_width; begin += kRun) {
      const int count = static_cast<int>(s.out_width - begin < kRun ? s.out_width - begin : kRun), padded = round_up(count);
      const uint32_t u = a2 + a1 * static_cast<uint32_t>(y) + a0 * static_cast<uint32_t>(begin);
      const uint32_t v = a5 + a4 * static_cast<uint32_t>(y) + a3 * static_cast<uint32_t>(begin);
      for (int i = 0; i < padded; ++i) {
        const uint32_t column = static_cast<uint32_t>(static_cast<int32_t>(u + a0 * static_cast<uint32_t>(i)) >> 16);
        const uint32_t line = static_cast<uint32_t>(static_cast<int32_t>(v + a3 * static_cast<uint32_t>(i)) >> 16);
        const int32_t is_in = -static_cast<int32_t>(column < width) & -static_cast<int32_t>(line < height);
        inside[i] = is_in;
        at[i] = static_cast<int32_t>(line * width + column) & is_in;
      }
      for (int64_t c = 0; c < s.channels; ++c) {
        const uint8_t* from = input + c * plane;
        uint8_t* to = output + c * out_plane + y * s.out_width + begin;
        const int32_t outside = static_cast<int32_t>(fill[c]);
        for (int i = 0; i < count; ++i) to[i] = static_cast<uint8_t>((from[at[i]] & inside[i]) | (outside & ~inside[i]));
      }
    }
}

// All in double, indices too (they are exact), because loops of one element size become vectors.
void prepare(const WarpShape& s, const double* m, int64_t y, int64_t begin, int padded, Mixing& run) {
  const double width = static_cast<double>(s.in_width), height = static_cast<double>(s.in_height);
  const double v = static_cast<double>(y) + 0.5, start = static_cast<double>(begin) + 0.5;
  const double m0 = m[0], m3 = m[3], row_x = m[1] * v, row_y = m[4] * v, m2 = m[2], m5 = m[5];
  for (int i = 0; i < padded; ++i) {
    const double u = start + static_cast<double>(i);
    const double px = m0 * u + row_x + m2, py = m3 * u + row_y + m5;
    // Outside, and not a number: any point of the image.
    const double some_x = px >= 0.0 ? px : 0.0, some_y = py >= 0.0 ? py : 0.0;
    const double in_x = some_x < width ? some_x : 0.5, in_y = some_y < height ? some_y : 0.5;
    const double x_seen = in_x == px ? 1.0 : 0.0, y_seen = in_y == py ? 1.0 : 0.0;
    const double x = in_x - 0.5 < 0.0 ? 0.0 : in_x - 0.5, y0 = in_y - 0.5 < 0.0 ? 0.0 : in_y - 0.5;
    const double column = static_cast<double>(static_cast<int32_t>(x)), line = static_cast<double>(static_cast<int32_t>(y0));
    run.dx[i] = column + 1.0 < width ? x - column : 0.0;
    run.dy[i] = line + 1.0 < height ? y0 - line : 0.0;
    run.first[i] = static_cast<int32_t>(line * width + column);
    run.inside[i] = -static_cast<int32_t>(x_seen * y_seen);
  }
}

// The two pixels from p on, p[0] in the lower byte.
inline uint32_t two_pixels(const uint8_t* p) { return static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8; }

void bilinear(const Queue& queue, const WarpShape& s, const double* m, const double* fill, const uint8_t* input,
              uint8_t* output) {
  const int64_t plane = s.in_height * s.in_width, out_plane = s.out_height * s.out_width, pitch = s.in_width;
  // A copy with a row and a pixel more, so that neighbours beyond the rim can be read.
  const int64_t room = plane + pitch + 1;
  uint8_t* copy = static_cast<uint8_t*>(queue.scratch(0, static_cast<size_t>(room * s.channels)));
  for (int64_t c = 0; c < s.channels; ++c) {
    memcpy(copy + c * room, input + c * plane, static_cast<size_t>(plane));
    memset(copy + c * room + plane, 0, static_cast<size_t>(room - plane));
  }
  Mixing run;
  alignas(64) uint32_t corners[kRun] = {};
  alignas(64) int32_t mixed[kRun];
  for (int64_t y = 0; y < s.out_height; ++y)
    for (int64_t begin = 0; begin < s.out_width; begin += kRun) {
      const int count = static_cast<int>(s.out_width - begin < kRun ? s.out_width - begin : kRun), padded = round_up(count);
      prepare(s, m, y, begin, padded, run);
      for (int64_t c = 0; c < s.channels; ++c) {
        const uint8_t* from = copy + c * room;
        uint8_t* to = output + c * out_plane + y * s.out_width + begin;
        const int32_t outside = static_cast<int32_t>(fill[c]);
        for (int i = 0; i < count; ++i) {
          const uint8_t* p = from + run.first[i];
          corners[i] = two_pixels(p) | two_pixels(p + pitch) << 16;
        }
        for (int i = 0; i < padded; ++i) {
          const double a = static_cast<double>(static_cast<int32_t>(corners[i] & 255));
          const double b = static_cast<double>(static_cast<int32_t>(corners[i] >> 8 & 255));
          const double e = static_cast<double>(static_cast<int32_t>(corners[i] >> 16 & 255));
          const double f = static_cast<double>(static_cast<int32_t>(corners[i] >> 24));
          const double top = a + (b - a) * run.dx[i], low = e + (f - e) * run.dx[i];
          mixed[i] = (static_cast<int32_t>(top + (low - top) * run.dy[i]) & run.inside[i]) | (outside & ~run.inside[i]);
        }
        for (int i = 0; i < count; ++i) to[i] = static_cast<uint8_t>(mixed[i]);
      }
    }
}

}  // namespace

void warp_u8(const Queue& queue, const WarpShape& s, const double* m, const double* fill, const uint8_t* input, uint8_t* output) {
  if (s.bilinear) bilinear(queue, s, m, fill, input, output);
  else nearest(s, m, fill, input, output);
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
