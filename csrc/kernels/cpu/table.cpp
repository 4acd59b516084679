// The kernels of this target, as dispatch.cpp takes them.
#include "kernels/cpu/cpu.h"
#include "kernels/training.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {

extern const KernelTable<float> kKernels;
extern const int kLaneCount;

const KernelTable<float> kKernels = {
#define KERNEL(slot, signature) .slot = is_left_out(#slot, true) ? nullptr : slot,
#define WITHOUT_CPU(...)
#include "kernels/kernels.def"
};
const int kLaneCount = kLanes;

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
