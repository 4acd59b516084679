#include "kernels/reference/reference.h"

#include <type_traits>

#include "cnnx/error.h"
#include "cnnx/threads.h"
#include "device/float_mode.h"
#include "kernels/training.h"

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

// In the slot of a kernel that a build for inference alone does not have.
template <class T, auto kSlot>
struct LeftOut;
template <class T, class... Args, void (*KernelTable<T>::*kSlot)(Args...)>
struct LeftOut<T, kSlot> {
  inline static const char* kernel = nullptr;

  static void run(Args...) {
    throw NotImplementedError(message(kernel, ": this build of cnnx is for inference in float32 alone (CNNX_INFERENCE_ONLY)"));
  }
};

}  // namespace

template <class T>
KernelTable<T> reference_kernels() {
  KernelTable<T> table;
#define KERNEL(slot, signature)                                 \
  if constexpr (is_left_out(#slot, std::is_same_v<T, float>)) { \
    LeftOut<T, &KernelTable<T>::slot>::kernel = #slot;          \
    table.slot = LeftOut<T, &KernelTable<T>::slot>::run;        \
  } else {                                                      \
    table.slot = InMode<reference::slot<T>>::run;               \
  }
#include "kernels/kernels.def"
  return table;
}
template KernelTable<float> reference_kernels<float>();
template KernelTable<double> reference_kernels<double>();

}  // namespace cnnx
