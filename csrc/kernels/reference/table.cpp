#include "kernels/reference/reference.h"

#include "cnnx/threads.h"
#include "device/float_mode.h"

namespace cnnx {
namespace {

// A kernel, whose plain loops need not go through parallel_for, in the mode that set_flush_denormal asks for.
template <auto kSlot>
struct InMode;
template <class T, class... Args, void (*KernelTable<T>::*kSlot)(Args...)>
struct InMode<kSlot> {
  inline static void (*kernel)(Args...) = nullptr;

  static void run(Args... args) {
    const FloatMode before = float_mode();
    const InFloatMode mode(get_flush_denormal() ? flushing(before) : before, before);
    kernel(args...);
  }
};

}  // namespace

template <class T>
KernelTable<T> reference_kernels() {
  KernelTable<T> table;
  reference::fill_batch_norm(table);
  reference::fill_conv2d(table);
  reference::fill_pool2d(table);
  reference::fill_planes(table);
  reference::fill_layout(table);
  reference::fill_linear(table);
  reference::fill_elementwise(table);
  reference::fill_dropout(table);
  reference::fill_distance(table);
  reference::fill_reduce(table);
  reference::fill_group_norm(table);
  reference::fill_softmax(table);
  reference::fill_loss(table);
  reference::fill_pair_loss(table);
  reference::fill_optim(table);
  reference::fill_data(table);
  reference::fill_warp(table);
#define KERNEL(slot, signature)                       \
  InMode<&KernelTable<T>::slot>::kernel = table.slot; \
  table.slot = InMode<&KernelTable<T>::slot>::run;
#include "kernels/kernels.def"
#undef KERNEL
  return table;
}
template KernelTable<float> reference_kernels<float>();
template KernelTable<double> reference_kernels<double>();

}  // namespace cnnx
