#include "kernels/raw.h"

#include <algorithm>

#include "cnnx/threads.h"
#include "device/allocator.h"
#include "device/cuda/runtime.h"
#include "device/team.h"
#include "device/workspace.h"
#include "kernels/dispatch.h"

namespace cnnx::raw {
namespace {

// Memory of a device's workspace, in the order in which scopes begin and end. Without memory it counts.
class Stack final : public Allocator {
 public:
  Stack() = default;
  Stack(const char* name, void* memory, size_t bytes) : name_(name) {
    const auto address = reinterpret_cast<uintptr_t>(memory);
    begin_ = rounded(address);
    room_ = begin_ - address < bytes ? bytes - (begin_ - address) : 0;
  }
  void* allocate(size_t bytes) override {
    const uintptr_t at = begin_ + used_;
    used_ += rounded(bytes);
    most_ = std::max(most_, used_);
    if (name_ != nullptr && used_ > room_)
      throw Error(message(name_, ": asks for more workspace than it said, ", most_, " bytes"));
    return reinterpret_cast<void*>(at);
  }
  void free(void*, size_t bytes) noexcept override { used_ -= rounded(bytes); }
  size_t bytes() const { return most_ > 0 ? most_ + kLine : 0; }

 private:
  static constexpr size_t kLine = 256;  // as cudaMalloc aligns
  static size_t rounded(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

  const char* name_ = nullptr;
  uintptr_t begin_ = kLine;
  size_t room_ = 0, used_ = 0, most_ = 0;
};

int threads_of(const char* name, const Where& where) {
  if (where.threads < 0 || where.threads > team::kMaxThreads)
    throw ValueError(message(name, ": threads must be 1 ... ", team::kMaxThreads, ", or 0 for the default, got ", where.threads));
  return where.threads > 0 ? where.threads : get_num_threads();
}

// What the kernels of the processor say in a rehearsal. The reference takes none of it.
Workspace rehearsed(const KernelCall& call) {
  Workspace workspace;
  Queue queue = kHost;
  queue.workspace = &workspace;
  queue.rehearses = true;
  if (active_target() != Target::reference) call(kernels<float>(), queue);
  return workspace;
}

size_t rehearsed_on_device(const Where& where, const KernelCall& call) {
  Stack counts;
  Queue queue{where.device, where.stream, &counts};
  queue.rehearses = true;
  call(cuda::kernels<float>(), queue);
  return counts.bytes();
}

void check_workspace(const char* name, const Where& where, size_t bytes) {
  if (where.workspace_bytes < bytes)
    throw ValueError(message(name, ": needs a workspace of ", bytes, " bytes, got ", where.workspace_bytes));
  if (bytes > 0) check_pointer(name, "workspace", where.workspace);
}

}  // namespace

bool on_device(const char* name, const Where& where) {
  if (where.device < -1)
    throw ValueError(message(name, ": device must be a CUDA device's number, or -1 for the processor, got ", where.device));
  if (where.device >= 0) cuda::check_device(name, where.device);
  return where.device >= 0;
}

int64_t elements(const char* name, const char* what, std::initializer_list<int64_t> extents) {
  int64_t product = 1;
  for (int64_t extent : extents) {
    if (extent < 1) throw ShapeError(message(name, ": extents must be positive, ", what, " has ", Dims(extents)));
    if (__builtin_mul_overflow(product, extent, &product) || product > kMaxElements)
      throw ShapeError(message(name, ": ", what, " ", Dims(extents), " is more than memory can hold"));
  }
  return product;
}

void check_number(const char* name, const char* what, int64_t value, int64_t least) {
  if (value < least || value > INT32_MAX)
    throw ValueError(message(name, ": ", what, " must be ", least, " or more, and below 2^31, got ", value));
}

void check_lanes(const char* name, int64_t lanes, const Where& where) {
  if (lanes == 1) return;
  if (on_device(name, where)) throw ValueError(message(name, ": lanes are 1 on a device, got ", lanes));
  if (lanes != cnnx::lane_count())
    throw ValueError(message(name, ": lanes must be 1 or lane_count(), which is ", cnnx::lane_count(), ", got ", lanes));
}

void check_activation(const char* name, Activation activation) {
  switch (activation) {
    case Activation::none:
    case Activation::relu:
    case Activation::tanh:
    case Activation::sigmoid: return;
  }
  throw ValueError(message(name, ": there is no activation ", static_cast<int>(activation)));
}

const float* grad_or_one(const char* name, const float* grad, const Where& where) {
  static constexpr float kOne = 1;
  if (grad != nullptr) return grad;
  if (on_device(name, where)) throw ValueError(message(name, ": grad_loss is a null pointer"));
  return &kOne;
}

size_t workspace_size(const char* name, const Where& where, Scratch scratch, const KernelCall& call) {
  if (on_device(name, where)) return rehearsed_on_device(where, call);
  const int threads = threads_of(name, where);
  return scratch == Scratch::none ? 0 : rehearsed(call).bytes(threads);
}

void run(const char* name, const Where& where, Scratch scratch, const KernelCall& call) {
  if (on_device(name, where)) {
    check_workspace(name, where, rehearsed_on_device(where, call));
    Stack stack(name, where.workspace, where.workspace_bytes);
    return call(cuda::kernels<float>(), {where.device, where.stream, &stack});
  }
  const int threads = threads_of(name, where);
  const WithThreads scope(threads);  // also of the default, which might change before the call is done
  Queue queue = kHost;
  Workspace workspace;
  if (scratch == Scratch::asks) {
    workspace = rehearsed(call);
    const size_t bytes = workspace.bytes(threads);
    check_workspace(name, where, bytes);
    if (bytes > 0) {
      workspace.begin_at(where.workspace);
      queue.workspace = &workspace;
    }
  }
  call(kernels<float>(), queue);
}

}  // namespace cnnx::raw
