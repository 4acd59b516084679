// Reference of the batch gather: source (count, channels, spatial) bytes -> (batch, channels, spatial) floats with `lanes`.
#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void gather_u8(const Queue&, const GatherShape& s, const uint8_t* source, const int64_t* index, T divisor, const T* mean,
               const T* stddev, T* out) {
  const int64_t blocks = (s.batch + s.lanes - 1) / s.lanes;
  parallel_for(blocks * s.lanes, 2.0 * static_cast<double>(s.channels * s.spatial), [&](int64_t n) {
    for (int64_t c = 0; c < s.channels; ++c)
      for (int64_t p = 0; p < s.spatial; ++p) {
        T& y = out[lanes_index(n, c, p, s.channels, s.spatial, s.lanes)];
        if (n >= s.batch) {
          y = T(0);
          continue;
        }
        y = static_cast<T>(source[(index[n] * s.channels + c) * s.spatial + p]) / divisor;
        if (mean != nullptr) y = (y - mean[c]) / stddev[c];
      }
  });
}

CNNX_INSTANTIATE(gather_u8)

}  // namespace cnnx::reference
