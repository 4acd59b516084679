// Plain (batch, features) <-> lanes [ceil(batch/lanes)][features][lanes].
#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void pack_lanes(const Queue&, int64_t batch, int64_t features, int64_t lanes, const T* plain, T* packed) {
  const int64_t blocks = (batch + lanes - 1) / lanes;
  for (int64_t n = 0; n < blocks * lanes; ++n)
    for (int64_t f = 0; f < features; ++f)
      packed[(n / lanes * features + f) * lanes + n % lanes] = n < batch ? plain[n * features + f] : T(0);
}

template <class T>
void unpack_lanes(const Queue&, int64_t batch, int64_t features, int64_t lanes, const T* packed, T* plain) {
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t f = 0; f < features; ++f) plain[n * features + f] = packed[(n / lanes * features + f) * lanes + n % lanes];
}

CNNX_INSTANTIATE(pack_lanes, unpack_lanes)

}  // namespace cnnx::reference
