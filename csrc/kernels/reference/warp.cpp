// Reference of affine maps of one image. Compiled without fused multiply-adds, so that Pillow's results come out to the bit.
#include <vector>

#include "kernels/image_steps.h"
#include "kernels/reference/reference.h"

namespace cnnx::reference {
namespace {

// The pixel that each output pixel shows, -1 if it is outside.
std::vector<int64_t> nearest_pillow(const WarpShape& s, const double* m) {
  std::vector<int64_t> at;
  at.reserve(static_cast<size_t>(s.out_height * s.out_width));
  auto put = [&](int64_t x, int64_t y) {
    at.push_back(x >= 0 && x < s.in_width && y >= 0 && y < s.in_height ? y * s.in_width + x : -1);
  };
  auto to_pixel = [](double v, int64_t extent) { return within(v, extent) ? whole(v) : -1; };
  const NearestWay way = nearest_way(s, m);
  const double first_x = first_center(m), first_y = first_center(m + 3);
  double added_y = first_y;
  for (int64_t y = 0; y < s.out_height; ++y, added_y += m[4]) {
    double added_x = first_x;
    for (int64_t x = 0; x < s.out_width; ++x, added_x += m[0])
      if (way == NearestWay::fixed) {
        put((fixed_point(first_x) + fixed_point(m[0]) * x + fixed_point(m[1]) * y) >> 16,
            (fixed_point(first_y) + fixed_point(m[3]) * x + fixed_point(m[4]) * y) >> 16);
      } else if (way == NearestWay::adding) {
        put(to_pixel(added_x, s.in_width), to_pixel(added_y, s.in_height));
      } else {
        const double u = static_cast<double>(x), v = static_cast<double>(y);
        put(to_pixel(first_x + m[0] * u + m[1] * v, s.in_width), to_pixel(first_y + m[3] * u + m[4] * v, s.in_height));
      }
  }
  return at;
}

template <class E>
void warp(const Queue&, const WarpShape& s, const double* m, const E* fill, const E* input, E* output) {
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
        const SourcePoint p = source_point(s, m, x, y);
        if (s.bilinear) {
          out = static_cast<E>(pillow ? bilinear_pillow(s, p, plane, static_cast<double>(outside))
                                      : bilinear_tensor(s, p, plane, fill != nullptr, static_cast<double>(outside)));
        } else {
          const int64_t i = nearest_tensor(s, p);
          out = i < 0 ? outside : plane[i];
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
