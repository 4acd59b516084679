// What a kernel does to a result before it writes it.
#pragma once

#include "cnnx/activation.h"

namespace cnnx::cuda {

// The same for all threads, so the branch costs next to nothing. NaN stays NaN, as in functions of their own (elementwise.cu).
template <class T>
__device__ __forceinline__ T activate(Activation activation, T x) {
  switch (activation) {
    case Activation::relu: return x <= 0 ? T(0) : x;
    case Activation::tanh: return tanh(x);
    case Activation::sigmoid: return 1 / (1 + exp(-x));
    case Activation::none: break;
  }
  return x;
}

}  // namespace cnnx::cuda
