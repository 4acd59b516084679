#include "plan/run_steps.h"

#include <algorithm>

namespace cnnx {

void run_side_by_side(const SideBySide& group, const std::vector<BoundStep>& steps, const Queue& queue) {
  const double most = *std::ranges::max_element(group.costs);
  parallel_for(static_cast<int64_t>(group.parts.size()), most, [&](int64_t part) {
    for (size_t i : group.parts[static_cast<size_t>(part)]) steps[i].run(queue);
  });
}

}  // namespace cnnx
