// The tables of the CUDA backend. Kernels return when they are given to the queue's stream; one that is
// WITHOUT_CUDA throws NotImplementedError. In a build without CUDA absent.cpp answers.
#pragma once

#include "kernels/table.h"

namespace cnnx::cuda {

template <class T>
const KernelTable<T>& kernels();
const ElementTable& elements();

}  // namespace cnnx::cuda
