// Plain (batch, features) <-> lanes [ceil(batch/L)][features][L]: a blocked transpose.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/transpose.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {

void pack_lanes(const Queue&, int64_t batch, int64_t features, int64_t, const float* plain, float* packed) {
  pack_all(batch, features, plain, packed);
}
void unpack_lanes(const Queue&, int64_t batch, int64_t features, int64_t, const float* packed, float* plain) {
  unpack_all(batch, features, packed, plain);
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
