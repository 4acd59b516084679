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

// How the header of a backend declares a kernel, which a file of that backend then defines: hidden, so that one that is defined
// nowhere is an error of the linker, of shared libraries too.
#define CNNX_DECLARE(name, signature) [[gnu::visibility("hidden")]] void name CNNX_ON_QUEUE signature

// Behind kernels that are templates: makes them for float and double.
#define CNNX_INSTANTIATE(...) CNNX_EXPAND(CNNX_INSTANTIATE_NEXT(__VA_ARGS__))
#define CNNX_INSTANTIATE_NEXT(kernel, ...)          \
  template decltype(kernel<float>) kernel<float>;   \
  template decltype(kernel<double>) kernel<double>; \
  __VA_OPT__(CNNX_INSTANTIATE_REST CNNX_NO_ARGUMENTS(__VA_ARGS__))
#define CNNX_INSTANTIATE_REST() CNNX_INSTANTIATE_NEXT
#define CNNX_NO_ARGUMENTS ()
#define CNNX_EXPAND(...) CNNX_EXPAND_AGAIN(CNNX_EXPAND_AGAIN(CNNX_EXPAND_AGAIN(__VA_ARGS__)))
#define CNNX_EXPAND_AGAIN(...) __VA_ARGS__

template <class T>
struct KernelTable {
#define KERNEL(name, signature) void(*name) CNNX_ON_QUEUE signature = nullptr;
#include "kernels/kernels.def"
};

struct ElementTable {
#define ELEMENT(name, signature) void(*name) CNNX_ON_QUEUE signature = nullptr;
#include "kernels/elements.def"
};

}  // namespace cnnx
