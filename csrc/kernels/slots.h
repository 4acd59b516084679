// The tables as the per-target files see them: C headers only.
#pragma once

#include "kernels/shapes.h"

namespace cnnx {

enum class DType : uint8_t;

template <class T>
struct KernelTable {
#define KERNEL(name, signature) void(*name) signature = nullptr;
#include "kernels/kernels.def"
#undef KERNEL
};

struct ElementTable {
#define ELEMENT(name, signature) void(*name) signature = nullptr;
#include "kernels/elements.def"
#undef ELEMENT
};

}  // namespace cnnx
