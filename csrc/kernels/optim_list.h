// The loop of an optimizer's update over a list of parameters on the CPU. The elements of all of them together are cut into
// chunks of a fixed size, the units of work; so small biases share a unit and a large weight spreads over all threads. C headers
// only.
#pragma once

#include "device/float_mode.h"
#include "device/parallel.h"
#include "kernels/shapes.h"

namespace cnnx {

// Calls update(part) for parts that cover all items; `nanoseconds` per element. Denormal numbers count as zero here: the
// averages of a gradient that has become zero decay into them and stay there, and would slow down every step from then on.
template <class T, class Update>
inline void for_each_part(int64_t count, const OptimItem<T>* items, double nanoseconds, const Update& update) {
  constexpr int64_t kChunk = 8192;
  int64_t total = 0;
  for (int64_t i = 0; i < count; ++i) total += items[i].n;
  const int64_t chunk = kChunk < total ? kChunk : total;
  parallel_for((total + kChunk - 1) / kChunk, nanoseconds * (double)chunk, [&](int64_t unit) {
    const FloatMode before = float_mode();
    const InFloatMode mode(flushing(before), before);
    const int64_t begin = unit * kChunk, end = begin + kChunk < total ? begin + kChunk : total;
    int64_t first = 0;  // place of an item in the concatenation of all
    for (int64_t i = 0; i < count && first < end; first += items[i].n, ++i) {
      const int64_t from = begin > first ? begin - first : 0, to = (end < first + items[i].n ? end - first : items[i].n);
      if (from >= to) continue;
      OptimItem<T> part = items[i];
      part.n = to - from;
      part.param += from;
      part.grad += from;
      for (T*& state : part.states)
        if (state != nullptr) state += from;
      update(part);
    }
  });
}

}  // namespace cnnx
