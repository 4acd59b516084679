// Sharing work among threads, in plain C++ so that the per-instruction-set kernel files may include it.
//
// Work is cut into units whose shape depends on the problem alone, not on the number of threads unless that changes no sum, and
// every unit writes its own output; so results are the same to the bit for any number of threads.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace cnnx {

// Runs run(context, unit) for unit = 0 ... units-1, on all threads if the total cost is worth it. The cost of a unit is the
// nanoseconds it takes one thread, roughly: a scalar operation or an element moved by plain loops is about 1. A call from inside
// a unit runs serially. An exception thrown by a unit reaches the caller, after all units have ended.
void parallel_run(int64_t units, double unit_cost, void (*run)(void* context, int64_t unit), void* context);

// How many threads would share units here: 1 inside a unit.
int threads_here();

namespace {
template <class F>
inline void parallel_for(int64_t units, double unit_cost, const F& body) {
  parallel_run(
      units, unit_cost, [](void* context, int64_t unit) { (*static_cast<const F*>(context))(unit); },
      const_cast<void*>(static_cast<const void*>(&body)));
}
}  // namespace

}  // namespace cnnx
