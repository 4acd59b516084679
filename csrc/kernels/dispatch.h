// The kernel table: one function pointer per kernel and float type, chosen once per process from the CPU (or CNNX_TARGET).
#pragma once

#include <string>
#include <vector>

#include "cnnx/api.h"
#include "device/cuda/runtime.h"
#include "kernels/cuda/table.h"
#include "kernels/table.h"

namespace cnnx {

// The CPU's table. A slot that the target does not fill holds the reference; for float32 its first call is reported.
template <class T>
CNNX_INTERNAL_API const KernelTable<T>& kernels();
// The table of a queue's device.
template <class T>
const KernelTable<T>& kernels(const Queue& queue) {
  return queue.device < 0 ? kernels<T>() : cuda::kernels<T>();
}

// Whether this CPU and build have products of factors in bfloat16 beside the active target, and the float32 table with them.
bool has_bfloat16();
const KernelTable<float>& bfloat16_kernels();

// The kernels over elements of any dtype.
const ElementTable& elements();  // the CPU's
inline const ElementTable& elements(const Queue& queue) { return queue.device < 0 ? elements() : cuda::elements(); }

enum class Target { reference, baseline, v2, v3, v4 };
CNNX_INTERNAL_API const char* name(Target target);
CNNX_INTERNAL_API Target active_target();
CNNX_INTERNAL_API std::vector<Target> available_targets();  // built in and runnable on this CPU, the slowest first

// For `cnnx info --ops`: which implementation each slot has.
struct KernelInfo {
  std::string kernel, dtype, implementation;  // "conv2d_forward", "float32", "v4"
};
CNNX_INTERNAL_API std::vector<KernelInfo> kernel_infos();

// What the targets provide; a target fills only the slots it has.
template <class T>
KernelTable<T> reference_kernels();
// As filled by the target itself: all slots for float32, products and convolutions for float64.
template <class T>
const KernelTable<T>& target_kernels(Target target);

// The reference in every slot, each of which reports its first call to the hook.
CNNX_INTERNAL_API KernelTable<float> fallback_kernels();
// Runs on whatever thread makes that call, inside native work; returns false if the report could not be made and is to be tried
// again. Null restores the default, a line on stderr.
using SlowKernelHook = bool (*)(const char* kernel);
CNNX_INTERNAL_API void set_slow_kernel_hook(SlowKernelHook hook);
CNNX_INTERNAL_API std::string slow_kernel_text(const char* kernel);

int lane_count();

}  // namespace cnnx
