// Memory that a kernel call needs for itself, from the queue's stream-ordered pool: it may be given back as soon as the kernels
// are launched, because whoever gets it next writes later in the same stream.
#pragma once

#include "device/allocator.h"
#include "kernels/cuda/cuda.h"

namespace cnnx::cuda {

template <class T>
class Scratch {
 public:
  Scratch(const Queue& queue, int64_t count)
      : memory_(*queue.memory), bytes_(static_cast<size_t>(count) * sizeof(T)), data_(memory_.allocate(bytes_)) {}
  ~Scratch() { memory_.free(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return static_cast<T*>(data_); }

 private:
  Allocator& memory_;
  size_t bytes_;
  void* data_;
};

}  // namespace cnnx::cuda
