// Memory that a kernel call needs for itself, on the selected device, from the stream-ordered pool: it may be given back as soon
// as the kernels are launched, because whoever gets it next writes later in the same stream.
#pragma once

#include "kernels/cuda/cuda.h"

namespace cnnx::cuda {

// The selected device, and its pool (table.cu).
int selected(const char* op);
void* allocate_scratch(size_t bytes, int device);
void free_scratch(void* block, size_t bytes, int device);

template <class T>
class Scratch {
 public:
  Scratch(const char* op, int64_t count)
      : bytes_(static_cast<size_t>(count) * sizeof(T)), device_(selected(op)), data_(allocate_scratch(bytes_, device_)) {}
  ~Scratch() { free_scratch(data_, bytes_, device_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return static_cast<T*>(data_); }

 private:
  size_t bytes_;
  int device_;
  void* data_;
};

}  // namespace cnnx::cuda
