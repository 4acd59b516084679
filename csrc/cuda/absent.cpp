// Stands for the CUDA backend in a build without it.
#include "build_config.h"
#include "cnnx/error.h"
#include "cuda/graph.h"
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
void copy(const char* op, void*, Device, const void*, Device, size_t) { fail(op); }
void set_zero(void*, size_t, int) { fail("zeros"); }
void synchronize(int) { fail("synchronize"); }

template <class T>
const KernelTable<T>& kernels(int) {
  fail("kernels");
}
template const KernelTable<float>& kernels<float>(int);
template const KernelTable<double>& kernels<double>(int);
const ElementTable& element_kernels(int) { fail("kernels"); }

struct Graph::State {};
Graph::Graph() { fail("CUDAGraph"); }
Graph::~Graph() = default;
void Graph::capture_begin(int) { fail("capture_begin"); }
void Graph::capture_end() { fail("capture_end"); }
void Graph::capture_abort() { fail("capture_abort"); }
void Graph::replay(const std::function<void()>&) { fail("replay"); }
void Graph::reset() { fail("reset"); }
Phase phase() { return Phase::eager; }
bool is_capturing(int) { return false; }
void leave_note(std::shared_ptr<void>) { fail("leave_note"); }
std::shared_ptr<void> take_note(const char* op) { fail(op); }
void keep_if_captured(const std::shared_ptr<Storage>&) {}
void draw_if_captured(const Generator&, const RandomState&) {}
void refuse_in_capture(const char*) {}

}  // namespace cnnx::cuda
