// Where a kernel runs: the first argument of every kernel. C headers only, for the per-instruction-set files.
#pragma once

#include <stddef.h>

namespace cnnx {

class Allocator;
class Workspace;

struct Queue {
  int device;         // a CUDA device, or -1: the CPU, in the calling thread and whoever helps it
  void* stream;       // of a CUDA device: its cudaStream_t
  Allocator* memory;  // for results, and on a CUDA device for scratch

  // On the CPU: memory of at least `bytes`, 64-byte aligned, which belongs to the calling thread (a unit of shared work asks on
  // the thread that runs it) and keeps nothing from call to call; slots below kScratchSlots are apart from each other.
  static constexpr int kScratchSlots = 14;
  void* scratch(int slot, size_t bytes) const;

  // A caller's own memory for scratch (workspace.h), or null. In a rehearsal of it scratch() is null, and a kernel returns
  // before it touches any data, once it has said what its units will ask for.
  Workspace* workspace = nullptr;
  bool rehearses = false;
  bool in_unit = false;  // rehearses what a unit does
  void units_need(int slot, size_t bytes) const;
  Queue of_unit() const { return {device, stream, memory, workspace, rehearses, true}; }
};

extern const Queue kHost;  // the CPU with its pool

}  // namespace cnnx
