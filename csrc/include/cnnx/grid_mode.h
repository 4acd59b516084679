// How a grid reads images.
#pragma once

namespace cnnx {

enum class GridMode {
  bilinear,  // the mean of four pixels by their distance
  nearest,   // of pixels equally near the even one
  bicubic    // of sixteen, by Keys' cubic with a = -3/4
};
enum class GridPadding {
  zeros,      // outside are zeros
  border,     // outside is the nearest pixel of the edge
  reflection  // the image is mirrored at its edges, or with align_corners at the centres of its outermost pixels
};

}  // namespace cnnx
