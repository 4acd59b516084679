// Which dimensions a reduction covers, and a tensor seen as (outer, reduce, inner).
#pragma once

#include <cstdint>
#include <string>

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

// Rows along one dimension; a 0-dimensional tensor is one row of one.
ReduceShape rows_along(const Tensor& t, int dim);

// A contiguous tensor whose covered dimensions come last, so that it is (outer, count, 1).
Tensor reduced_last(const Tensor& t, const ReducedDims& dims);
// The same where the covered dimensions are neighbours, whatever stands behind them; else reduced_last. The results lie in the
// order of kept_shape().
struct Rows {
  Tensor data;
  ReduceShape shape;
};
Rows rows_over(const Tensor& t, const ReducedDims& dims);
// The way back: a tensor of reduced_last's order with the shape `shape`.
Tensor undo_reduced_last(const Tensor& t, const ReducedDims& dims, const Dims& shape);

// op over the covered dimensions of a float32 or float64 tensor, without history; the result has kept_shape().
Tensor reduce_floating(ReduceOp op, const Tensor& input, const ReducedDims& dims);

}  // namespace cnnx
