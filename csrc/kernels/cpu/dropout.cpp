#include "kernels/cpu/cpu.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {

void fill_dropout(KernelTable<float>&) {}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
