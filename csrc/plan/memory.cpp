#include "plan/memory.h"

#include <algorithm>
#include <numeric>

namespace cnnx {

size_t place(std::vector<Lifetime>& lifetimes) {
  constexpr size_t kAlignment = 64;
  const auto end_of = [](const Lifetime& l) { return l.offset + (l.bytes + kAlignment - 1) / kAlignment * kAlignment; };
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  std::vector<const Lifetime*> placed;  // by offset
  size_t total = 0;
  for (size_t i : order) {
    Lifetime& l = lifetimes[i];
    l.offset = 0;
    for (const Lifetime* other : placed) {
      if (other->last < l.first || l.last < other->first) continue;
      if (end_of(l) <= other->offset) break;
      l.offset = std::max(l.offset, end_of(*other));
    }
    total = std::max(total, end_of(l));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &l,
                                   [](const Lifetime* a, const Lifetime* b) { return a->offset < b->offset; }),
                  &l);
  }
  return total;
}

}  // namespace cnnx
