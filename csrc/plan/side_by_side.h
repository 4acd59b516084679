// Steps that have nothing to do with each other, on a thread each.
#pragma once

#include <cstddef>
#include <vector>

#include "plan/program.h"

namespace cnnx {

// Steps first ... last - 1 of a program fall into parts that share nothing any of them writes. Each part runs in the order of its
// steps; the parts may run at the same time.
struct SideBySide {
  size_t first, last;
  std::vector<std::vector<size_t>> parts;  // indices of steps
  std::vector<double> costs;               // of the parts: nanoseconds on one thread, roughly

  std::vector<bool> suited;  // by number of threads: whether each is busy most of the time if it takes whole parts

  bool suits(int threads) const { return static_cast<size_t>(threads) < suited.size() && suited[static_cast<size_t>(threads)]; }
};

// Where small steps that would gain little from threads of their own can run so.
std::vector<SideBySide> find_side_by_side(const Program& program);

}  // namespace cnnx
