// The activations that convolutions and dense layers apply to their results in the same pass. C headers only: kernels include
// this.
#pragma once

namespace cnnx {

// Those whose gradient follows from the result alone, so that the value before them need not be kept.
enum class Activation { none, relu, tanh, sigmoid };

}  // namespace cnnx
