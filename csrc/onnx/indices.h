// Elements by their places.
#pragma once

#include "onnx/ops.h"
#include "ops/take.h"

namespace cnnx::onnx {

// Entries along an axis, at places (M,) of int64 that are right by construction.
Tensor taken(const Tensor& x, int64_t axis, const Tensor& places);

struct FlatIndex {
  Tensor index;  // (M,), int64
  Tensor data;   // (places, elements of each)
  Dims result;   // of what lies at the places
};
// Of places given by their coordinates, indices (..., k): the first k dimensions of the data behind batch_dims ones that both
// have.
FlatIndex flat_index(const NodeRun& run, const Tensor& data, const Tensor& indices, int64_t batch_dims);

}  // namespace cnnx::onnx
