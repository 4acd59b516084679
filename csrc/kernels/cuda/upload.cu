// Puts bytes of the host into device memory by way of a kernel's arguments: CUDA copies those at the launch, so the host neither
// waits nor has to keep the bytes, and a graph that captures the launch holds them itself. For what is small and changes from
// call to call: 4,000 bytes a launch. A thread for each word.
#include <algorithm>
#include <cstring>

#include "kernels/cuda/cuda.h"

namespace cnnx::cuda {
namespace {

constexpr size_t kWords = 1000;

struct Words {
  uint32_t values[kWords];
};

__global__ void write_words(Words words, int count, uint32_t* target) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) target[i] = words.values[i];
}

}  // namespace

void upload(const Queue& queue, const char* op, void* target, const void* source, size_t bytes) {
  constexpr unsigned kThreads = 128;
  for (size_t done = 0; done < bytes;) {
    Words words{};
    const size_t part = std::min(bytes - done, sizeof words), count = part / sizeof(uint32_t);
    std::memcpy(words.values, static_cast<const char*>(source) + done, part);
    launch(op, write_words, dim3(static_cast<unsigned>(count + kThreads - 1) / kThreads), dim3(kThreads), 0, queue, words,
           static_cast<int>(count), static_cast<uint32_t*>(target) + done / sizeof(uint32_t));
    done += part;
  }
}
void upload(const Queue& queue, void* target, const void* source, size_t bytes) {
  upload(queue, "transform_images", target, source, bytes);
}

}  // namespace cnnx::cuda
