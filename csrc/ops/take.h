// Gathering along one dimension, for ops whose index is right by construction.
#pragma once

#include "cnnx/tensor.h"

namespace cnnx {

enum class TakeName { gather, max, min, sort, topk, kthvalue, median, cummax, cummin };
// result[.., k, ..] = input[.., index[.., k, ..], ..]; the index is int64 and in range.
Tensor take_along(TakeName name, const Tensor& input, int dim, const Tensor& index);

// The first position of an int64 index that is not in [0, extent), or [-extent, extent) if it wraps; -1: there is none. Waits for
// a device.
int64_t first_bad_index(const Tensor& index, int64_t extent, bool wraps);

// What an index may be: in [0, extent), or [-extent, extent) if it wraps; and what an error says: the op, and the dimension of a
// shape if there is one.
struct IndexBounds {
  const char* op;
  int64_t extent;
  bool wraps = true;
  int dim = -1;
  Dims shape = {};
};
// The index as int64, negative ones counted from the end. Throws IndexError for one out of bounds, on the CPU when the op runs,
// so that a plan can hold it; on a device it waits.
Tensor index_within(const Tensor& index, const IndexBounds& bounds);
// The look alone, at a contiguous index of int64 on a device: for kernels that count negative ones from the end themselves.
void check_within(const Tensor& index, const IndexBounds& bounds);

// `value`, the median of the input, as its function: the elements equal to it share the gradient.
Tensor pick_median(const Tensor& input, const Tensor& value);

}  // namespace cnnx
