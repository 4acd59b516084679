// The tables as the per-target files see them: C headers only.
#pragma once

#include "device/queue.h"
#include "kernels/shapes.h"

namespace cnnx {

enum class DType : uint8_t;

// What a kernel does with the memory behind a pointer (kernels.def).
template <class T>
using In = const T*;
template <class T>
using Out = T*;
template <class T>
using InOut = T*;
template <class T>
using Accumulate = T*;

// Every kernel takes the queue first.
#define CNNX_ON_QUEUE(...) (const Queue& queue, __VA_ARGS__)

template <class T>
struct KernelTable {
#define KERNEL(name, signature) void(*name) CNNX_ON_QUEUE signature = nullptr;
#include "kernels/kernels.def"
#undef KERNEL
};

struct ElementTable {
#define ELEMENT(name, signature) void(*name) CNNX_ON_QUEUE signature = nullptr;
#include "kernels/elements.def"
#undef ELEMENT
};

#undef CNNX_ON_QUEUE

}  // namespace cnnx
