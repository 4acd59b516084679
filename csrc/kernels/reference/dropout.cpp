// Dropout: an element is kept if its uniform number, drawn at its logical row-major index, is at least p.
#include "kernels/philox.h"
#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void dropout(const Queue&, int64_t batch, int64_t features, int64_t lanes, double p, uint64_t seed, uint64_t call, const T* x,
             T* y) {
  const uint32_t threshold = dropout_threshold(p);
  const double scale = p < 1 ? 1 / (1 - p) : 0;
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t f = 0; f < features; ++f) {
      const uint64_t logical = static_cast<uint64_t>(n * features + f);
      uint32_t bits[4];
      philox4x32(seed, call, logical / 4, bits);
      const int64_t at = lanes_index(n, 0, f, 1, features, lanes);
      y[at] = bits[logical % 4] >> 8 >= threshold ? static_cast<T>(x[at] * static_cast<T>(scale)) : T(0);
    }
}

template <class T>
void scale_channels(const Queue&, const ChannelShape& s, const T* input, const T* scale, T* output) {
  parallel_for(s.batch * s.channels, static_cast<double>(s.spatial), [&](int64_t unit) {
    for (int64_t i = 0; i < s.spatial; ++i) {
      const int64_t at = lanes_index(unit / s.channels, unit % s.channels, i, s.channels, s.spatial, s.lanes);
      output[at] = input[at] * scale[unit];
    }
  });
}

template <class T>
void shift_channels(const Queue&, const ChannelShape& s, const T* shift, T* data) {
  parallel_for(s.batch * s.channels, static_cast<double>(s.spatial), [&](int64_t unit) {
    for (int64_t i = 0; i < s.spatial; ++i)
      data[lanes_index(unit / s.channels, unit % s.channels, i, s.channels, s.spatial, s.lanes)] += shift[unit % s.channels];
  });
}

CNNX_INSTANTIATE(dropout, scale_channels, shift_channels)

}  // namespace cnnx::reference
