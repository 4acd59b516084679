// What every CPU kernel file includes. These files are compiled once per instruction set, each time in the namespace of the
// target, with everything internal to it. They include C headers, vec.h and the kernels' own headers only: an inline std::
// function compiled here with wide-vector flags could be the copy that the linker keeps for everybody.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "device/parallel.h"
#include "kernels/cpu/vec.h"
#include "kernels/shapes.h"
#include "kernels/table.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {

using T = float;  // of kernels.def, whose kernels the files of this folder define
#define KERNEL(name, signature) CNNX_DECLARE(name, signature);
#include "kernels/kernels.def"

namespace {

// Scratch memory that each unit asks for on its thread. Made before the first unit, so that a rehearsal knows of it.
template <class E>
class UnitScratch {
 public:
  UnitScratch(const Queue& queue, int slot, int64_t count)
      : queue_(queue), slot_(slot), bytes_(static_cast<size_t>(count) * sizeof(E)) {
    queue.units_need(slot, bytes_);
  }
  E* here() const { return static_cast<E*>(queue_.scratch(slot_, bytes_)); }

 private:
  const Queue& queue_;
  int slot_;
  size_t bytes_;
};

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
