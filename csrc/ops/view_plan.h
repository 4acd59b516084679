// Views by start and step, for slices and indexing.
#pragma once

#include <limits>

#include "core/op.h"

namespace cnnx {

// A view that picks evenly spaced elements of its input: output dimension k steps through input dimension source[k] by step[k]
// (source -1: a new dimension of extent 1 or, with step 0, any extent), and input dimension d starts at start[d]. `cut` has a bit
// for each input dimension of which more was asked for than there is: then start and shape depend on its extent.
struct ViewPlan {
  Dims shape, step, start;
  int8_t source[Dims::kMaxDims] = {};
  uint8_t cut = 0;

  static ViewPlan identity(const Dims& shape);
  // Takes output dimension k away.
  void erase(int k);
  void push_back(int64_t extent, int source_dim, int64_t step_by);
  // A bound of dimension d as it was given.
  void note_bound(int d, int64_t extent, int64_t bound) {
    if (bound != kNoBound && (bound > extent || bound < -extent)) cut |= static_cast<uint8_t>(1u << d);
  }
  static constexpr int64_t kNoBound = std::numeric_limits<int64_t>::max();
  Tensor show(const Tensor& input) const;
};
CNNX_FIELDS(ViewPlan, shape, step, start, source, cut)

enum class ViewName { narrow, select, slice };
Tensor view_by_plan(ViewName name, const Tensor& input, const ViewPlan& plan);

}  // namespace cnnx
