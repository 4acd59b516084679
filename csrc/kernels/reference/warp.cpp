// Reference of affine maps of one image. Compiled without fused multiply-adds, so that Pillow's results come out to the bit.
#include <cmath>
#include <vector>

#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

// Pillow's floor of a coordinate; only its sign matters below 0.
int64_t whole(double v) { return v < 0.0 ? -1 : static_cast<int64_t>(v); }

bool within(double v, int64_t extent) { return v >= 0.0 && v < static_cast<double>(extent); }

// True if all coordinates are small enough for Pillow's 16.16 fixed-point numbers.
bool fits_fixed_point(const WarpShape& s, const double* m) {
  for (int64_t x : {int64_t{0}, s.out_width - 1})
    for (int64_t y : {int64_t{0}, s.out_height - 1})
      for (int row : {0, 3}) {
        const double v = static_cast<double>(x) * m[row] + static_cast<double>(y) * m[row + 1] + m[row + 2];
        if (!(std::fabs(v) < 32768.0)) return false;
      }
  return true;
}

// The pixel that each output pixel shows, -1 if it is outside. Pillow has three ways of counting, with different rounding.
std::vector<int64_t> nearest_pillow(const WarpShape& s, const double* m) {
  std::vector<int64_t> at;
  at.reserve(static_cast<size_t>(s.out_height * s.out_width));
  auto put = [&](int64_t x, int64_t y) {
    at.push_back(x >= 0 && x < s.in_width && y >= 0 && y < s.in_height ? y * s.in_width + x : -1);
  };
  auto to_pixel = [](double v, int64_t extent) { return within(v, extent) ? whole(v) : -1; };
  const double first_x = m[2] + m[0] * 0.5 + m[1] * 0.5, first_y = m[5] + m[3] * 0.5 + m[4] * 0.5;
  if (m[1] == 0.0 && m[3] == 0.0) {  // steps add up
    double v = m[5] + m[4] * 0.5;
    for (int64_t y = 0; y < s.out_height; ++y, v += m[4]) {
      double u = m[2] + m[0] * 0.5;
      for (int64_t x = 0; x < s.out_width; ++x, u += m[0]) put(to_pixel(u, s.in_width), to_pixel(v, s.in_height));
    }
  } else if (fits_fixed_point(s, m)) {
    auto fixed = [](double v) { return static_cast<int64_t>(std::floor(v * 65536.0 + 0.5)); };
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x)
        put((fixed(first_x) + fixed(m[0]) * x + fixed(m[1]) * y) >> 16,
            (fixed(first_y) + fixed(m[3]) * x + fixed(m[4]) * y) >> 16);
  } else {
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        const double u = static_cast<double>(x), v = static_cast<double>(y);
        put(to_pixel(first_x + m[0] * u + m[1] * v, s.in_width), to_pixel(first_y + m[3] * u + m[4] * v, s.in_height));
      }
  }
  return at;
}

// Coordinates in the input of the output pixel's centre, counted from the top left corner.
struct Point {
  double x, y;
};
Point source_point(const WarpShape& s, const double* m, int64_t x, int64_t y) {
  double u = static_cast<double>(x) + 0.5, v = static_cast<double>(y) + 0.5;
  if (s.rules == WarpRules::pillow) return {m[0] * u + m[1] * v + m[2], m[3] * u + m[4] * v + m[5]};
  u -= 0.5 * static_cast<double>(s.out_width);
  v -= 0.5 * static_cast<double>(s.out_height);
  return {m[0] * u + m[1] * v + m[2] + 0.5 * static_cast<double>(s.in_width),
          m[3] * u + m[4] * v + m[5] + 0.5 * static_cast<double>(s.in_height)};
}

int64_t clamped(int64_t i, int64_t extent) { return i < 0 ? 0 : i < extent ? i : extent - 1; }

// Between the four neighbours, of which those outside repeat the rim; `fill` if the point itself is outside.
template <class E>
double bilinear_pillow(const WarpShape& s, Point p, const E* plane, double fill) {
  if (!within(p.x, s.in_width) || !within(p.y, s.in_height)) return fill;
  const double u = p.x - 0.5, v = p.y - 0.5;
  const int64_t x = whole(u), y = whole(v);
  const double dx = u - static_cast<double>(x), dy = v - static_cast<double>(y);
  auto row = [&](int64_t j) {
    const E* line = plane + clamped(j, s.in_height) * s.in_width;
    const double a = line[clamped(x, s.in_width)], b = line[clamped(x + 1, s.in_width)];
    return a + (b - a) * dx;
  };
  const double top = row(y), bottom = row(y + 1);
  return top + (bottom - top) * dy;
}

// grid_sample with zeros outside; with a fill, torchvision samples an image of ones beside it, and mixes by it.
template <class E>
double bilinear_tensor(const WarpShape& s, Point p, const E* plane, const E* fill) {
  const double u = p.x - 0.5, v = p.y - 0.5, x = std::floor(u), y = std::floor(v);
  double value = 0, inside = 0;
  for (int j = 0; j < 2; ++j)
    for (int i = 0; i < 2; ++i) {
      const double column = x + i, line = y + j;
      if (!within(column, s.in_width) || !within(line, s.in_height)) continue;
      const double weight = (i == 0 ? x + 1 - u : u - x) * (j == 0 ? y + 1 - v : v - y);
      value += weight * static_cast<double>(plane[static_cast<int64_t>(line) * s.in_width + static_cast<int64_t>(column)]);
      inside += weight;
    }
  return fill == nullptr ? value : value * inside + (1.0 - inside) * static_cast<double>(*fill);
}

template <class E>
void warp(const WarpShape& s, const double* m, const E* fill, const E* input, E* output) {
  const bool pillow = s.rules == WarpRules::pillow;
  const std::vector<int64_t> at = pillow && !s.bilinear ? nearest_pillow(s, m) : std::vector<int64_t>();
  for (int64_t c = 0; c < s.channels; ++c) {
    const E* plane = input + c * s.in_height * s.in_width;
    const E outside = fill != nullptr ? fill[c] : E(0);
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) {
        E& out = output[(c * s.out_height + y) * s.out_width + x];
        if (!at.empty()) {
          const int64_t i = at[static_cast<size_t>(y * s.out_width + x)];
          out = i < 0 ? outside : plane[i];
          continue;
        }
        const Point p = source_point(s, m, x, y);
        if (s.bilinear) {
          out = static_cast<E>(pillow ? bilinear_pillow(s, p, plane, static_cast<double>(outside))
                                      : bilinear_tensor(s, p, plane, fill != nullptr ? fill + c : nullptr));
        } else {
          const double u = std::nearbyint(p.x - 0.5), v = std::nearbyint(p.y - 0.5);
          out = within(u, s.in_width) && within(v, s.in_height)
                    ? plane[static_cast<int64_t>(v) * s.in_width + static_cast<int64_t>(u)]
                    : outside;
        }
      }
  }
}

}  // namespace

template <class T>
void fill_warp(KernelTable<T>& table) {
  table.warp_u8 = warp<uint8_t>;
  table.warp = warp<T>;
}
template void fill_warp(KernelTable<float>&);
template void fill_warp(KernelTable<double>&);

}  // namespace cnnx::reference
