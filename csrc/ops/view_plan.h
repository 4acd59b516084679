// Views by start and step, for slices and indexing.
#pragma once

#include "core/op.h"

namespace cnnx {

// A view that picks evenly spaced elements of its input: output dimension k steps through input dimension source[k] by step[k]
// (source -1: a new dimension of extent 1 or, with step 0, any extent), and input dimension d starts at start[d].
struct ViewPlan {
  Dims shape, step, start;
  int8_t source[Dims::kMaxDims];

  static ViewPlan identity(const Dims& shape);
  // Takes output dimension k away.
  void erase(int k);
  void push_back(int64_t extent, int source_dim, int64_t step_by);
  Tensor show(const Tensor& input) const;
};

enum class ViewName { narrow, select, slice };
Tensor view_by_plan(ViewName name, const Tensor& input, const ViewPlan& plan);

}  // namespace cnnx
