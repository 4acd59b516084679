// What the functions of cnnx/kernels.h share: how they check what they are given, and how they run a kernel in the caller's
// workspace on so many threads.
#pragma once

#include <initializer_list>

#include "cnnx/dims.h"
#include "cnnx/error.h"
#include "cnnx/kernels.h"
#include "kernels/table.h"

namespace cnnx::raw {

// Whether the call goes to a device, which must be there.
bool on_device(const char* name, const Where& where);
// The number of elements of such extents, each of which must be 1 or more.
int64_t elements(const char* name, const char* what, std::initializer_list<int64_t> extents);
// Strides, dilations and the like: `least` ... 2^31 - 1.
void check_number(const char* name, const char* what, int64_t value, int64_t least);
void check_lanes(const char* name, int64_t lanes, const Where& where);
void check_activation(const char* name, Activation activation);
inline void check_pointer(const char* name, const char* what, const void* pointer) {
  if (pointer == nullptr) throw ValueError(message(name, ": ", what, " is a null pointer"));
}
// The gradient of a loss: what the caller gives, or on the processor a 1.
const float* grad_or_one(const char* name, const float* grad, const Where& where);

// A call of one kernel with all of its arguments but the queue, without owning what it refers to.
class KernelCall {
 public:
  template <class F>
  KernelCall(const F& f)  // NOLINT(google-explicit-constructor): a lambda stands where one is taken
      : f_(&f), run_([](const void* call, const KernelTable<float>& kernels, const Queue& queue) {
          (*static_cast<const F*>(call))(kernels, queue);
        }) {}
  void operator()(const KernelTable<float>& kernels, const Queue& queue) const { run_(f_, kernels, queue); }

 private:
  const void* f_;
  void (*run_)(const void* call, const KernelTable<float>& kernels, const Queue& queue);
};

// Whether the kernel asks for scratch memory on the processor, where one that does not would not stop in a rehearsal. On a device
// any may.
enum class Scratch { none, asks };

// Bytes of the workspace that the call takes there. In this rehearsal no pointer is followed, but null ones may say what is not
// wanted.
size_t workspace_size(const char* name, const Where& where, Scratch scratch, const KernelCall& call);
void run(const char* name, const Where& where, Scratch scratch, const KernelCall& call);

// Stands for any array in a rehearsal.
inline float* const kSomewhere = reinterpret_cast<float*>(uintptr_t{4096});

}  // namespace cnnx::raw
