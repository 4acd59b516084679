// The tables of the CUDA backend. Kernels return when they are given to the queue's stream; an empty slot throws
// NotImplementedError. csrc/kernels/cuda/*.cu fills them where a CUDA compiler built it; else absent.cpp answers.
#pragma once

#include "kernels/table.h"

namespace cnnx::cuda {

template <class T>
const KernelTable<T>& kernels();
const ElementTable& elements();

}  // namespace cnnx::cuda
