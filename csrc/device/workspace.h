// Scratch memory that a caller brings instead of the threads' own (queue.h).
//
// How much a kernel needs is what it asks for in a rehearsal: called with a queue that rehearses, it asks for its scratch and
// returns before it touches any data. The same lines ask again when it runs, so that the two cannot differ.
#pragma once

#include <cstddef>

#include "device/queue.h"

namespace cnnx {

class Workspace {
 public:
  // What a rehearsal says: bytes of a slot that the calling thread asks for, and the thread of each unit.
  void note(int slot, size_t bytes, bool of_unit);

  // What all of it takes for so many threads, wherever it begins in memory; 0 if nothing is needed.
  size_t bytes(int threads) const;
  // From now on slots lie in that memory. The calling thread is the one that calls the kernel.
  void begin_at(void* memory);
  // The calling thread's slot. Throws Error for more than a rehearsal said.
  void* slot(int slot, size_t bytes) const;

 private:
  static constexpr size_t kLine = 64;
  static size_t rounded(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }
  size_t of_caller(int slot) const { return rounded(caller_[slot] > unit_[slot] ? caller_[slot] : unit_[slot]); }
  size_t of_helper(int slot) const { return rounded(unit_[slot]); }

  size_t caller_[Queue::kScratchSlots] = {}, unit_[Queue::kScratchSlots] = {};
  char* begin_ = nullptr;
  int caller_index_ = 0;  // the place in the team of who calls
};

}  // namespace cnnx
