// Says on stderr what was going on when the process hits a segmentation fault: a kernel gone astray, or the host touching device
// memory. What handled the signal before handles it next.
#include <unistd.h>
#include <csignal>
#include <cstdio>

#include "internal.h"

namespace cuda_on_cpu {
namespace {

struct sigaction former;

void on_fault(int, siginfo_t* info, void*) {
  char text[400];
  int n = 0;
  const void* address = info->si_addr;
  char where[40] = "an impossible address";  // not canonical: the processor does not tell which
  if (info->si_code != SI_KERNEL) std::snprintf(where, sizeof where, "address %p", address);
  if (const char* op = running_kernel(); op != nullptr)
    n = std::snprintf(text, sizeof text,
                      "CUDA on the CPU: kernel of %s, block (%u, %u, %u), thread (%u, %u, %u): no access to %s\n", op, blockIdx.x,
                      blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, where);
  else if (device_of(address) >= 0)
    n = std::snprintf(text, sizeof text, "CUDA on the CPU: the host touched device memory at %p, outside any launch or copy\n",
                      address);
  if (n > 0 && write(STDERR_FILENO, text, size_t(n)) < 0) _exit(1);
  sigaction(SIGSEGV, &former, nullptr);  // the instruction runs again and faults into it
}

}  // namespace

void tell_crashes() {
  struct sigaction action = {}, now = {};
  if (sigaction(SIGSEGV, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault) return;
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &former);
}

}  // namespace cuda_on_cpu
