// Which dimensions a reduction covers, and a tensor seen as (outer, reduce, inner).
#pragma once

#include <cstdint>

#include "cnnx/tensor.h"
#include "kernels/shapes.h"

namespace cnnx {

class ReducedDims {
 public:
  // An empty list means all. Throws IndexError for a dimension out of range and ValueError for one named twice.
  ReducedDims(const char* op, const Tensor& input, const Dims& dims);

  bool covers(int dim) const { return (mask_ >> dim) & 1u; }
  const Dims& kept_shape() const { return kept_; }  // the input's shape with 1 for every reduced dimension
  Dims result_shape(bool keepdim) const { return keepdim ? kept_ : dropped_; }
  int64_t count() const { return count_; }  // elements that go into one result

 private:
  unsigned mask_ = 0;
  Dims kept_, dropped_;
  int64_t count_ = 1;
};

// Rows along dimensions [first, last] of a shape; a 0-dimensional tensor is one row of one.
ReduceShape rows_along(const Dims& shape, int first, int last);

// Neighbouring dimensions of a tensor: [first, last].
struct Neighbours {
  Tensor tensor;
  int first = 0, last = -1;
  ReduceShape rows() const { return rows_along(tensor.shape(), first, last); }
};
// The tensor with its covered dimensions beside each other: itself, or a copy with them last, as they must be if `at_end`.
// Recorded.
Neighbours neighbours(const Tensor& t, const ReducedDims& dims, bool at_end = false);

// A fresh result in another shape, which is nobody's view. Recorded.
Tensor result_with_shape(const Tensor& t, const Dims& shape);

}  // namespace cnnx
