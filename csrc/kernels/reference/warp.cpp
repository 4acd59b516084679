// Reference of affine maps of one image of bytes. Compiled without fused multiply-adds: Pillow's results come out to the bit.
#include <algorithm>

#include "kernels/reference/reference.h"
#include "kernels/transform_pixels.h"

namespace cnnx::reference {

template <class T>
void warp_u8(const Queue&, const WarpShape& s, const double* matrix, const double* fill, const uint8_t* input, uint8_t* output) {
  ImageOp op{};
  op.kind = ImageOp::Kind::warp;
  op.in = {s.channels, s.in_height, s.in_width};
  op.out = {s.channels, s.out_height, s.out_width};
  op.warp.pillow = true;
  op.bilinear = s.bilinear;
  DrawnStep drawn{};
  std::copy(matrix, matrix + 6, drawn.matrix);
  settle(op, drawn);
  for (int64_t c = 0; c < s.channels; ++c)
    for (int64_t y = 0; y < s.out_height; ++y)
      for (int64_t x = 0; x < s.out_width; ++x) *output++ = warped(op, drawn, fill, input + c * op.in.plane(), c, y, x);
}

CNNX_INSTANTIATE(warp_u8)

}  // namespace cnnx::reference
