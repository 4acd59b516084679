// Where a kernel runs: the first argument of every kernel. C headers only, for the per-instruction-set files.
#pragma once

#include <stddef.h>

namespace cnnx {

class Allocator;

struct Queue {
  int device;         // a CUDA device, or -1: the CPU, in the calling thread and whoever helps it
  void* stream;       // of a CUDA device: its cudaStream_t
  Allocator* memory;  // for results, and on a CUDA device for scratch

  // On the CPU: memory of at least `bytes`, 64-byte aligned, which belongs to the calling thread (a unit of shared work asks on
  // the thread that runs it) and keeps nothing from call to call; slots below kScratchSlots are apart from each other.
  static constexpr int kScratchSlots = 14;
  void* scratch(int slot, size_t bytes) const;
};

extern const Queue kHost;  // the CPU with its pool

}  // namespace cnnx
