// Runs of ops whose kernels are in KernelTable<T>.
#pragma once

#include "core/op.h"
#include "kernels/dispatch.h"

namespace cnnx {

// A run on elements of type T, which is float or double.
template <class T>
struct Floats {
  const Run& run;
  const KernelTable<T>& kernels;
  const T* in(size_t i) const { return run.in<T>(i); }
  T* inout(size_t i) const { return run.inout<T>(i); }
  T* out(size_t i) const { return run.out<T>(i); }
};

// The table for products: with `in_bfloat16`, which float32 calls on the CPU alone may ask for, that of such factors.
inline const KernelTable<float>& product_kernels(const Floats<float>& f, bool in_bfloat16) {
  return in_bfloat16 ? bfloat16_kernels() : f.kernels;
}
inline const KernelTable<double>& product_kernels(const Floats<double>& f, bool) { return f.kernels; }

// Calls f(floats) for the type of the first result, or of the first input where that is not wanted.
template <class F>
void on_floats(const Run& r, const F& f) {
  const Tensor& typed = r.results[0].defined() ? r.results[0] : r.inputs[0];
  dispatch_floating(r.call.op.name, typed.dtype(), [&]<class T>(T) { f(Floats<T>{r, kernels<T>(r.queue)}); });
}

}  // namespace cnnx
