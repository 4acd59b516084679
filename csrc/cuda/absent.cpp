// Stands for the CUDA backend in a build without it.
#include "build_config.h"
#include "cnnx/error.h"
#include "cuda/runtime.h"

namespace cnnx::cuda {
namespace {

[[noreturn]] void fail(const char* op) {
  throw Error(message(op, ": no CUDA device is available: this build of cnnx has no CUDA backend (", build_text(), ")"));
}

}  // namespace

bool is_built() { return false; }
std::string build_text() { return CNNX_CUDA_TEXT; }
int device_count() { return 0; }
void check_device(const char* op, int device) {
  throw Error(message(op, ": cuda:", device, ": no CUDA device is available: this build of cnnx has no CUDA backend (",
                      build_text(), ")"));
}
std::string device_name(int) { fail("device_name"); }
void* allocate(size_t, int) { fail("empty"); }
void deallocate(void*, size_t, int) {}
MemoryStats memory_stats(int) { fail("memory_stats"); }
void reset_peak(int) { fail("reset_peak"); }
void release_cached(int) { fail("release_cached"); }
void copy(void*, Device, const void*, Device, size_t) { fail("copy"); }
void set_zero(void*, size_t, int) { fail("zeros"); }
void synchronize(int) { fail("synchronize"); }

template <class T>
const KernelTable<T>& kernels(int) {
  fail("kernels");
}
template const KernelTable<float>& kernels<float>(int);
template const KernelTable<double>& kernels<double>(int);
const ElementTable& element_kernels(int) { fail("kernels"); }

}  // namespace cnnx::cuda
