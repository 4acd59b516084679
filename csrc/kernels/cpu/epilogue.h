// What a kernel does to its result while that is still in the nearest cache.
#pragma once

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec_math.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// Of values, so that compilers contract it alike wherever it stands: with sanitizers clang contracts nothing around a load.
inline Vec normalised(Vec x, Vec mean, Vec scale, Vec shift) { return (x - mean) * scale + shift; }

// NaN stays NaN, as in the functions of their own (elementwise.cpp). The same for all vectors of a call, so the branch is
// foreseen.
__attribute__((always_inline)) inline Vec activated(Activation activation, Vec v) {
  switch (activation) {
    case Activation::relu: return select(v <= 0.0f, Vec{}, v);
    case Activation::tanh: return tanh(v);
    case Activation::sigmoid: return sigmoid(v);
    case Activation::none: break;
  }
  return v;
}

// In place; the commonest one has a loop of its own, in which nothing is left to choose.
__attribute__((noinline)) inline void activate(Activation activation, float* y, int64_t count) {
  const auto each = [&](const auto& f) {
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) store(y + i, f(load(y + i)));
    if (i < count) store_partial(y + i, f(load_partial(y + i, count - i)), count - i);
  };
  if (activation == Activation::none) return;
  if (activation == Activation::relu) each([](Vec v) { return activated(Activation::relu, v); });
  else each([&](Vec v) { return activated(activation, v); });
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
