// What a kernel does to a result before it writes it.
#pragma once

#include "cnnx/activation.h"
#include "kernels/shapes.h"

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

// The same with the normalisation of a convolution's result, in channel c, before it.
template <class T>
__device__ __forceinline__ T finish(const ChannelNorm<T>& norm, int c, Activation activation, T x) {
  if (norm.mean != nullptr) {
    const T scale = norm.inv_std[c] * (norm.weight != nullptr ? norm.weight[c] : T(1));
    x = (x - norm.mean[c]) * scale + (norm.bias != nullptr ? norm.bias[c] : T(0));
  }
  return activate(activation, x);
}

}  // namespace cnnx::cuda
