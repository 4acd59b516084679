#include "kernels/reference/reference.h"

#include "cnnx/threads.h"
#include "device/float_mode.h"

namespace cnnx {
namespace {

// A kernel, whose plain loops need not go through parallel_for, in the mode that set_flush_denormal asks for.
template <auto kKernel>
struct InMode;
template <class... Args, void (*kKernel)(Args...)>
struct InMode<kKernel> {
  static void run(Args... args) {
    const FloatMode before = float_mode();
    const InFloatMode mode(get_flush_denormal() ? flushing(before) : before, before);
    kKernel(args...);
  }
};

}  // namespace

template <class T>
KernelTable<T> reference_kernels() {
  KernelTable<T> table;
#define KERNEL(slot, signature) table.slot = InMode<reference::slot<T>>::run;
#include "kernels/kernels.def"
  return table;
}
template KernelTable<float> reference_kernels<float>();
template KernelTable<double> reference_kernels<double>();

}  // namespace cnnx
