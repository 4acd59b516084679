// What the slots hold that a CPU target leaves empty: the reference, which is slow, behind a report of its first call.
#include <atomic>
#include <cstdio>

#include "kernels/dispatch.h"
#include "kernels/training.h"

namespace cnnx {
namespace {

bool print_line(const char* kernel) {
  std::fprintf(stderr, "cnnx: %s\n", slow_kernel_text(kernel).c_str());
  return true;
}

std::atomic<SlowKernelHook> hook{print_line};

template <auto kSlot>
struct Fallback;
template <class... Args, void (*KernelTable<float>::*kSlot)(Args...)>
struct Fallback<kSlot> {
  inline static void (*reference)(Args...) = nullptr;
  inline static const char* kernel = nullptr;
  inline static std::atomic<bool> reported{false};

  static void run(Args... args) {
    if (!reported.load(std::memory_order_relaxed) && !reported.exchange(true)) reported = hook.load()(kernel);
    reference(args...);
  }
};

}  // namespace

KernelTable<float> fallback_kernels() {
  const KernelTable<float> reference = reference_kernels<float>();
  KernelTable<float> table;
#define KERNEL(slot, signature)                                    \
  Fallback<&KernelTable<float>::slot>::reference = reference.slot; \
  Fallback<&KernelTable<float>::slot>::kernel = #slot;             \
  table.slot = is_left_out(#slot, true) ? reference.slot : Fallback<&KernelTable<float>::slot>::run;
#include "kernels/kernels.def"
  return table;
}

std::string slow_kernel_text(const char* kernel) {
  return std::string(kernel) + ": no kernel for the CPU target " + name(active_target()) +
         ", so the reference runs, which is slow (cnnx info --ops lists the kernels)";
}

void set_slow_kernel_hook(SlowKernelHook replacement) { hook = replacement != nullptr ? replacement : print_line; }

}  // namespace cnnx
