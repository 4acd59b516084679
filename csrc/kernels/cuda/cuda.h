// What the files of this folder share, and the kernels that they define; tensors are plain (lanes == 1) on a device.
#pragma once

#include "cnnx/dtype.h"
#include "device/cuda/launch.h"
#include "device/cuda/stream.h"
#include "kernels/table.h"

namespace cnnx::cuda {

// target = `bytes` of the host's, a multiple of 4, in the queue; without a wait (upload.cu).
void upload(const Queue& queue, const char* op, void* target, const void* source, size_t bytes);

// Entries that are equal, as lists in their order: next[i] is the next entry equal to entry[i] or -1, first[i] whether there is
// none before (sort.cu).
void chain(const Queue& queue, const char* op, int64_t n, const int64_t* entry, int64_t* next, bool* first);

#define KERNEL(name, signature) \
  template <class T>            \
  CNNX_DECLARE(name, signature);
#include "kernels/kernels.def"
#define ELEMENT(name, signature) CNNX_DECLARE(name, signature);
#include "kernels/elements.def"

}  // namespace cnnx::cuda
