// Stacks and the switch between them: a few instructions on x86-64 and aarch64, ucontext elsewhere.
#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "internal.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#define CUDA_ON_CPU_UCONTEXT 1
#include <ucontext.h>
#else
#define CUDA_ON_CPU_UCONTEXT 0
#endif

namespace cuda_on_cpu {

constexpr size_t kStack = CUDA_ON_CPU_ASAN ? 512 << 10 : 128 << 10;

struct Fiber {
  char* stack = nullptr;
  void (*entry)() = nullptr;
  void* stack_pointer = nullptr;
  size_t top = kStack;  // where it starts: staggered, or the fibers' hot lines would all fall into the same sets of the cache
#if CUDA_ON_CPU_UCONTEXT
  ucontext_t context;
#endif
#if CUDA_ON_CPU_ASAN
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  size_t size = 0;
#endif
};

namespace {
Fiber* previous = nullptr;  // who switched last

void arrived([[maybe_unused]] Fiber* self) {
#if CUDA_ON_CPU_ASAN
  __sanitizer_finish_switch_fiber(self->fake_stack, &previous->bottom, &previous->size);
#endif
}
Fiber* starting = nullptr;
void begin() {
  arrived(starting);
  starting->entry();
  __builtin_trap();
}
}  // namespace

#if defined(__x86_64__)
extern "C" void cuda_on_cpu_switch(void** save, void* load);
asm(R"(
.text
.p2align 4
.hidden cuda_on_cpu_switch
.globl cuda_on_cpu_switch
.type cuda_on_cpu_switch, @function
cuda_on_cpu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_on_cpu_switch, .-cuda_on_cpu_switch
)");
#elif defined(__aarch64__)
extern "C" void cuda_on_cpu_switch(void** save, void* load);
asm(R"(
.text
.p2align 4
.hidden cuda_on_cpu_switch
.globl cuda_on_cpu_switch
.type cuda_on_cpu_switch, %function
cuda_on_cpu_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size cuda_on_cpu_switch, .-cuda_on_cpu_switch
)");
#endif

Fiber* main_fiber() {
  static Fiber fiber;
  return &fiber;
}

Fiber* new_fiber(void (*entry)()) {
  const size_t page = size_t(sysconf(_SC_PAGESIZE));
  void* stack = mmap(nullptr, kStack + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED || mprotect(stack, page, PROT_NONE) != 0) throw std::bad_alloc();
  Fiber* fiber = new Fiber;
  fiber->stack = static_cast<char*>(stack) + page;  // an overflow runs into the inaccessible page below
  fiber->entry = entry;
  static unsigned made = 0;
  fiber->top = kStack - made++ * 7 % 64 * 64;
#if CUDA_ON_CPU_ASAN
  fiber->bottom = fiber->stack;
  fiber->size = kStack;
#endif
  restart(fiber);
  return fiber;
}

void restart(Fiber* fiber) {
#if CUDA_ON_CPU_ASAN
  __asan_unpoison_memory_region(fiber->stack, kStack);
  fiber->fake_stack = nullptr;
#endif
#if CUDA_ON_CPU_UCONTEXT
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = fiber->stack;
  fiber->context.uc_stack.ss_size = fiber->top;
  fiber->context.uc_link = nullptr;
  makecontext(&fiber->context, begin, 0);
#else
  void** top = reinterpret_cast<void**>(fiber->stack + fiber->top);
#if defined(__x86_64__)
  top -= 2;  // keeps the alignment that a call leaves behind; the topmost word ends a debugger's walk
  top[1] = nullptr;
  top[0] = reinterpret_cast<void*>(begin);
  top -= 6;
  for (int i = 0; i < 6; ++i) top[i] = nullptr;
#else
  top -= 20;
  for (int i = 0; i < 20; ++i) top[i] = nullptr;
  top[11] = reinterpret_cast<void*>(begin);
#endif
  fiber->stack_pointer = top;
#endif
}

void switch_to(Fiber* from, Fiber* to) {
  previous = from;
  starting = to;
#if CUDA_ON_CPU_ASAN
  __sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->size);
#endif
#if CUDA_ON_CPU_UCONTEXT
  swapcontext(&from->context, &to->context);
#else
  cuda_on_cpu_switch(&from->stack_pointer, to->stack_pointer);
#endif
  arrived(from);
}

}  // namespace cuda_on_cpu
