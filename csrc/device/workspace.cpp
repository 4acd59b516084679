#include "device/workspace.h"

#include <algorithm>
#include <cstdint>

#include "cnnx/error.h"
#include "device/team.h"

namespace cnnx {

void Workspace::note(int slot, size_t bytes, bool of_unit) {
  size_t& most = (of_unit ? unit_ : caller_)[slot];
  most = std::max(most, bytes);
}

size_t Workspace::bytes(int threads) const {
  size_t caller = 0, helper = 0;
  for (int slot = 0; slot < Queue::kScratchSlots; ++slot) {
    caller += of_caller(slot);
    helper += of_helper(slot);
  }
  const size_t all = caller + helper * static_cast<size_t>(threads - 1);
  return all > 0 ? all + kLine : 0;  // memory may begin anywhere in a line
}

void Workspace::begin_at(void* memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  begin_ = static_cast<char*>(memory) + (kLine - address % kLine) % kLine;
  caller_index_ = team::index();
}

// The caller's slots, one behind the other, then those of the first helper, of the second, ...
void* Workspace::slot(int slot, size_t bytes) const {
  const int index = team::index();
  const bool helps = index != caller_index_;
  const size_t said = helps ? of_helper(slot) : of_caller(slot);
  if (bytes > said) {
    throw Error(message("workspace: slot ", slot, " holds ", said, " bytes, as the kernel said; it asks for ", bytes));
  }
  char* at = begin_;
  for (int i = 0; i < (helps ? Queue::kScratchSlots : slot); ++i) at += of_caller(i);
  if (!helps) return at;
  size_t helper = 0, before = 0;
  for (int i = 0; i < Queue::kScratchSlots; ++i) {
    if (i < slot) before += of_helper(i);
    helper += of_helper(i);
  }
  return at + helper * static_cast<size_t>(index - 1) + before;
}

}  // namespace cnnx
