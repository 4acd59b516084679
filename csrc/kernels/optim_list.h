// The loop of an optimizer's update over a list of parameters on the CPU. Each parameter is cut into chunks, and a unit of work
// takes chunks from the same place of all of them; so small biases share a unit, a large weight spreads over all threads, and
// each thread finds the part of a gradient that it has made. C headers only.
#pragma once

#include "device/float_mode.h"
#include "device/parallel.h"
#include "kernels/shapes.h"

namespace cnnx {

// Calls update(part) for parts that cover all items; `nanoseconds` per element. Denormal numbers count as zero here: the
// averages of a gradient that has become zero decay into them and stay there, and would slow down every step from then on.
template <class T, class Update>
inline void for_each_part(int64_t count, const OptimItem<T>* items, double nanoseconds, const Update& update) {
  constexpr int64_t kChunk = 8192, kUnits = 32;
  const auto chunks_of = [&](int64_t i) { return (items[i].n + kChunk - 1) / kChunk; };
  int64_t total = 0, units = 0;
  for (int64_t i = 0; i < count; ++i) {
    total += items[i].n;
    units = chunks_of(i) > units ? chunks_of(i) : units;
  }
  const int64_t wanted = total / kChunk < kUnits ? total / kChunk : kUnits;  // where there are many small ones
  units = wanted > units ? wanted : units;
  parallel_for(units, nanoseconds * (double)total / (double)(units > 0 ? units : 1), [&](int64_t unit) {
    const FloatMode before = float_mode();
    const InFloatMode mode(flushing(before), before);
    for (int64_t i = 0; i < count; ++i) {
      // Those of a few chunks do not all fall to the same units.
      const auto scattered = (int64_t)((uint64_t)i * 0x9E3779B97F4A7C15u >> 33);
      const int64_t chunks = chunks_of(i), shift = chunks < units ? scattered % units : 0;
      const int64_t from = (chunks * unit + shift) / units * kChunk, end = (chunks * (unit + 1) + shift) / units * kChunk;
      const int64_t to = end < items[i].n ? end : items[i].n;
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
