// Reference kernels: plain loops that accumulate in double, written to be read. They are the oracle of every other kernel, and
// they serve float64 and whatever slot a target leaves empty. They take any `lanes`, and leave dead lanes untouched unless said
// otherwise.
#pragma once

#include <cmath>

#include "device/parallel.h"
#include "kernels/dispatch.h"

namespace cnnx::reference {

// What a convolution or a dense layer does to a result, which is rounded before, so that one op after the other gives the same.
inline double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::relu: return x <= 0 ? 0 : x;
    case Activation::tanh: return std::tanh(x);
    case Activation::sigmoid: return 1 / (1 + std::exp(-x));
    case Activation::none: break;
  }
  return x;
}

// Writes a result, or adds it to what is there: a whole sum that is rounded first, so that one after the other gives the same.
template <class T>
void put(T& to, double sum, bool accumulate) {
  to = accumulate ? to + static_cast<T>(sum) : static_cast<T>(sum);
}

#define KERNEL(name, signature) \
  template <class T>            \
  CNNX_DECLARE(name, signature);
#include "kernels/kernels.def"

}  // namespace cnnx::reference
