#include "ops/reduced_dims.h"

#include <algorithm>
#include <vector>

#include "cnnx/ops/view.h"
#include "core/copy.h"

namespace cnnx {

ReducedDims::ReducedDims(const char* op, const Tensor& input, const Dims& dims) {
  check_defined(op, "input", input);
  const int ndim = input.ndim();
  if (dims.empty()) mask_ = (1u << ndim) - 1;
  for (int64_t dim : dims) {
    const unsigned bit = 1u << normalize_dim(op, dim, ndim);
    if (mask_ & bit) throw ValueError(message(op, ": dim ", dim, " appears twice in ", dims));
    mask_ |= bit;
  }
  for (int i = 0; i < ndim; ++i) {
    kept_.push_back(covers(i) ? 1 : input.size(i));
    if (covers(i)) count_ *= input.size(i);
    else dropped_.push_back(input.size(i));
  }
}

ReduceShape rows_along(const Dims& shape, int first, int last) {
  ReduceShape s{1, 1, 1};
  for (int i = 0; i < shape.size(); ++i) (i < first ? s.outer : i <= last ? s.reduce : s.inner) *= shape[i];
  return s;
}

Neighbours neighbours(const Tensor& t, const ReducedDims& dims, bool at_end) {
  Neighbours found{t, 0, t.ndim() - 1};
  while (found.last >= 0 && !dims.covers(found.last)) --found.last;
  found.first = std::max(found.last, 0);  // a scalar has none
  // Dimensions of extent 1 may stand between and before.
  while (found.first > 0 && (dims.covers(found.first - 1) || t.size(found.first - 1) == 1)) --found.first;
  bool all = !at_end || rows_along(t.shape(), found.first, found.last).inner == 1;
  for (int i = 0; i < found.first; ++i) all = all && !dims.covers(i);
  if (all) return found;
  std::vector<int64_t> order;
  for (int pass = 0; pass < 2; ++pass)
    for (int i = 0; i < t.ndim(); ++i)
      if (dims.covers(i) == (pass == 1)) order.push_back(i);
  int covered = 0;
  for (int i = 0; i < t.ndim(); ++i) covered += dims.covers(i);
  return {recorded_copy(permute(t, order)), t.ndim() - covered, t.ndim() - 1};
}

Tensor result_with_shape(const Tensor& t, const Dims& shape) {
  if (t.shape() == shape) return t;
  const Tensor result = reshape(t, shape);
  result->is_view = false;
  return result;
}

}  // namespace cnnx
