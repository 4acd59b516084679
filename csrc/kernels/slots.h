// The table as the per-target files see it: C headers only.
#pragma once

#include "kernels/shapes.h"

namespace cnnx {

template <class T>
struct KernelTable {
#define KERNEL(name, signature) void(*name) signature = nullptr;
#include "kernels/kernels.def"
#undef KERNEL
};

}  // namespace cnnx
