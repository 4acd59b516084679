// Random fills, as element_kernels.h, with another loop:
//   draw(queue, op, n, seed, call, out, f)  f(words, values) for the F::kCount elements of each Philox counter
#pragma once

#include "cnnx/dtype.h"
#include "kernels/element_functions.h"

namespace cnnx::CNNX_ELEMENT_LOOPS {

void bernoulli(const Queue& queue, DType dtype, int64_t n, uint64_t seed, uint64_t call, double p, void* out) {
  dispatch(dtype, [&]<class T>(T) { draw(queue, "bernoulli_", n, seed, call, static_cast<T*>(out), Bernoulli<T>{p}); });
}

void randint(const Queue& queue, DType dtype, int64_t n, uint64_t seed, uint64_t call, int64_t low, uint64_t range, void* out) {
  dispatch(dtype, [&]<class T>(T) {
    draw(queue, "randint", n, seed, call, static_cast<T*>(out), Integers<T>{static_cast<uint64_t>(low), range});
  });
}

}  // namespace cnnx::CNNX_ELEMENT_LOOPS
